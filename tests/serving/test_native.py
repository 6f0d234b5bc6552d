from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.deployment.registry import Registry
from windtunnel.serving.native import build, native_scorer
from windtunnel.serving.service import open_predictor


def parameters(random, sizes, seeds):
    width = sizes[0]
    found = {
        "mean": random.normal(size=width).astype(np.float32),
        "scale": random.uniform(0.5, 2, width).astype(np.float32),
    }
    names = [f"hidden_{i}" for i in range(len(sizes) - 2)] + ["head"]
    for name, a, b in zip(names, sizes[:-1], sizes[1:], strict=True):
        kernel = random.normal(0, a**-0.5, (seeds, a, b)).astype(np.float32)
        found[f"network/{name}/kernel"] = kernel
        found[f"network/{name}/bias"] = random.normal(0, 0.1, (seeds, b)).astype(np.float32)
    return found


def reference(params, hidden, kind, x):
    """Layer by layer in float64, with nothing taken from the kernel."""
    seeds = params["network/head/kernel"].shape[0]
    total = np.zeros(len(x))
    for seed in range(seeds):
        h = (x.astype(np.float64) - params["mean"]) / params["scale"]
        for i in range(hidden):
            layer = f"network/hidden_{i}"
            h = np.maximum(h @ params[f"{layer}/kernel"][seed] + params[f"{layer}/bias"][seed], 0)
        z = (h @ params["network/head/kernel"][seed] + params["network/head/bias"][seed])[:, 0]
        total += 2 / (1 + np.exp(-z)) - 1 if kind == "direction" else z
    return total / seeds


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.lists(st.integers(1, 12), max_size=3),
    st.integers(1, 3),
    st.sampled_from(["direction", "forward_return"]),
)
def test_scores_are_those_of_the_network(seed, width, hidden, seeds, kind):
    random = np.random.default_rng(seed)
    params = parameters(random, [width, *hidden, 1], seeds)
    family = {"family": "mlp", "hidden": hidden} if hidden else {"family": "linear", "hidden": [8]}
    scorer = build(family, kind, params)
    x = random.normal(0, 2, (5, width)).astype(np.float32)
    x[3, random.integers(width)] = np.nan
    got, expected = scorer.score(x), reference(params, len(hidden), kind, x)
    assert np.isnan(got[3])
    np.testing.assert_allclose(np.delete(got, 3), np.delete(expected, 3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p.pop("mean"),
        lambda p: p.update({"network/extra/kernel": p["network/head/kernel"]}),
        lambda p: p.update({"scale": p["scale"].astype(np.float64)}),
        lambda p: p.update({"network/head/bias": p["network/head/bias"][:1]}),
        lambda p: p.update({"network/hidden_0/kernel": p["network/hidden_0/kernel"][:, :2]}),
    ],
)
def test_parameters_of_another_form_are_left_to_the_program(spoil):
    params = parameters(np.random.default_rng(1), [4, 3, 1], 2)
    model = {"family": "mlp", "hidden": [3]}
    assert build(model, "direction", params) is not None
    for change in (
        {"family": "transformer"},
        {"residual": True},
        {"scope": "cross_section"},
        {"head": "sharpe"},
        {"head": "quantile"},
    ):
        assert build({**model, **change}, "direction", params) is None
    spoil(params)
    assert build(model, "direction", params) is None


def study_score(params, x):
    import jax
    import jax.numpy as jnp

    network = params["network"]
    h = (x - params["mean"]) * (1 / params["scale"])
    h = jnp.maximum(h @ network["hidden_0"]["kernel"][0] + network["hidden_0"]["bias"][0], 0)
    z = h @ network["head"]["kernel"][0] + network["head"]["bias"][0]
    return 2 * jax.nn.sigmoid(z[:, 0]) - 1


def test_the_kernel_serves_only_when_it_agrees_with_the_program(maker, example, tmp_path, caplog):
    from windtunnel.deployment.bundle import load_bundle

    flat = parameters(np.random.default_rng(2), [6, 16, 1], 1)
    params = {
        "mean": flat["mean"],
        "scale": flat["scale"],
        "network": {
            layer: {part: flat[f"network/{layer}/{part}"] for part in ("kernel", "bias")}
            for layer in ("hidden_0", "head")
        },
    }
    good = maker.export_example(example, tmp_path / "good", score=study_score, params=params)
    bundle = load_bundle(good)
    scorer = native_scorer(bundle)
    rows = bundle.reference().to_numpy()[:50]
    np.testing.assert_allclose(scorer.score(rows), bundle.score(rows), rtol=0, atol=1e-5)

    other = maker.export_example(
        example, tmp_path / "other", params=params, score=lambda p, x: study_score(p, x) * 0.99
    )
    assert native_scorer(load_bundle(other)) is None
    assert "differs from the program" in caplog.text


def test_exact_scores_are_the_bits_of_the_exported_program(registry_path, example):
    registry = Registry(registry_path)
    rows = example.features[example.first + 5]
    exact = open_predictor(registry, None, "champion", exact=True)
    assert exact.native is None
    for count in (1, 3, 5):
        expected = exact.bundle.score(rows[:count])
        np.testing.assert_array_equal(exact.score(rows[:count]), expected, strict=True)
