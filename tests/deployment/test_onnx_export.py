"""ONNX files give the scores of the bundles that they were made from, under onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.config.study import ModelSection
from windtunnel.delivery import export_again
from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.manifest import Label
from windtunnel.deployment.onnx_export import export_onnx
from windtunnel.deployment.replay import replay
from windtunnel.errors import BundleError
from windtunnel.trainers.scoring import Network

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

CASES = {
    "linear": ({"family": "linear", "hidden": []}, "forward_return", False),
    "perceptron": ({"family": "mlp", "hidden": [16, 8]}, "direction", False),
    "residual": ({"family": "mlp", "hidden": [6, 8, 8], "residual": True}, "direction", False),
    "regression_on_directions": (
        {"family": "mlp", "hidden": [8], "head": "regression"},
        "direction",
        False,
    ),
    "sharpe": ({"family": "mlp", "hidden": [8], "head": "sharpe"}, "forward_return", False),
    "sharpe_long_only": ({"family": "linear", "head": "sharpe"}, "direction", False),
    "masked": ({"family": "mlp", "hidden": [8]}, "forward_return", True),
}


def export_family(maker, example, path, model, kind, masked, gain=1.0):
    """A bundle of a model family with random weights and two seeds, its scores by NumPy."""
    random = np.random.default_rng(7)
    rows = example.features.reshape(-1, example.features.shape[2])
    rows = rows[~np.isnan(rows).any(axis=1)]
    widths = [rows.shape[1], *(model["hidden"] if model["family"] == "mlp" else []), 1]
    names = [*(f"hidden_{i}" for i in range(len(widths) - 2)), "head"]
    network = {
        name: {
            "kernel": random.normal(0, 0.5 * gain, (2, a, b)).astype(np.float32),
            "bias": random.normal(0, 0.1, (2, b)).astype(np.float32),
        }
        for name, a, b in zip(names, widths, widths[1:], strict=False)
    }
    params = {"network": network, "mean": rows.mean(0), "scale": rows.std(0)}
    if masked:
        params["mask"] = (np.arange(rows.shape[1]) % 2).astype(np.float32)
    long_only = maker.POLICY.long_only
    built = Network.build(ModelSection.model_validate(model), kind, long_only=long_only)
    flat = example.features.reshape(-1, rows.shape[1]).astype(np.float64)
    h = (flat - params["mean"]) / params["scale"] * params.get("mask", 1.0)
    h = np.repeat(h[None], 2, axis=0)
    for name in names:
        given = h
        h = h @ network[name]["kernel"] + network[name]["bias"][:, None]
        h = h if name == "head" else np.maximum(h, 0)
        if model.get("residual") and name != "head" and h.shape == given.shape:
            h = h + given
    match model.get("head", "auto"), kind:
        case "sharpe", _:
            h = 1 / (1 + np.exp(-h)) if maker.POLICY.long_only else np.tanh(h)
        case "auto", "direction":
            h = np.tanh(h / 2)
    scores = h.mean(0)[:, 0].astype(np.float32).reshape(example.scores.shape)
    scores[np.isnan(example.scores)] = np.nan
    return maker.export_scored(
        example,
        path,
        scores,
        score=built.score,
        params=params,
        model=model,
        label=Label(kind=kind, horizon=5),
    )


@pytest.fixture(params=CASES)
def family_bundle(request, maker, example, tmp_path, monkeypatch):
    policy = maker.POLICY.model_copy(update={"long_only": "long_only" in request.param})
    monkeypatch.setattr(maker, "POLICY", policy)
    return export_family(maker, example, tmp_path / "bundle", *CASES[request.param])


def test_onnx_equals_the_bundle(family_bundle, tmp_path):
    certificate = export_onnx(family_bundle, tmp_path / "model.onnx")
    bundle = load_bundle(family_bundle)
    assert certificate.rows > 500
    assert certificate.largest_difference <= 1e-5
    assert "onnxruntime and the bundle agree" in certificate.sentence
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    rows = np.random.default_rng(1).normal(0, 1, (37, bundle.width)).astype(np.float32)
    rows *= bundle.parameters["scale"]
    rows[3, 1] = np.nan
    for size in (1, 5, 37):
        (scores,) = session.run(None, {"features": rows[:size]})
        assert scores.shape == (size,)
        np.testing.assert_allclose(scores, bundle.score(rows[:size]), rtol=1e-5, atol=1e-5)
    kept = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert tuple(kept["features"].split(",")) == bundle.manifest.features


def test_exported_again_it_replays_and_takes_over_the_record(family_bundle, tmp_path):
    certificate = export_again(family_bundle, tmp_path / "again")
    assert certificate.ok
    old, new = load_bundle(family_bundle), load_bundle(tmp_path / "again")
    assert replay(new).ok
    changing = {"created", "files", "versions", "platforms"}
    assert new.manifest.model_dump(exclude=changing) == old.manifest.model_dump(exclude=changing)
    assert new.reference().equals(old.reference())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "bundle"]
    with pytest.raises(BundleError, match="exists already"):
        export_again(family_bundle, tmp_path / "again")


def test_other_models_are_refused(bundle_path, tmp_path):
    with pytest.raises(BundleError, match="no ONNX export: the parameters are not those of"):
        export_onnx(bundle_path, tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="parameters are not those of a model family"):
        export_again(bundle_path, tmp_path / "again")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "gru"}, r"model\.family must be one of 'linear', 'mlp', .* has 'gru'"),
        ({"trainer": "rl"}, r"training\.trainer must be 'supervised'.* has 'rl'"),
        ({"scope": "cross_section"}, r"model\.scope must be 'instrument', .*'cross_section'"),
        ({"head": "quantile"}, r"model\.head must be one of 'auto', .* has 'quantile'"),
        ({"hidden": [16, 16]}, "not those of family 'mlp' with 2 hidden layers"),
    ],
)
def test_what_stands_in_the_way_is_named(variants, tmp_path, change, message):
    model = {"family": "mlp", "hidden": [16], **change}
    (path,) = variants(tmp_path, 1, model=model)
    with pytest.raises(BundleError, match=f"has no ONNX export: .*{message}"):
        export_onnx(path, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_large_scores_may_differ_by_their_own_digits(maker, example, tmp_path):
    model = {"family": "linear", "hidden": []}
    path = export_family(maker, example, tmp_path / "bundle", model, "forward_return", False, 1e4)
    certificate = export_onnx(path, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    rows = load_bundle(path).reference().to_numpy()
    (scores,) = session.run(None, {"features": rows.astype(np.float32)})
    assert np.abs(scores).max() > 1e3
    assert certificate.largest_difference <= 1e-5


def test_onnx_that_differs_is_not_written(family_bundle, tmp_path, monkeypatch):
    from windtunnel.deployment.bundle import Bundle

    wrong = {
        name: np.zeros_like(value) for name, value in load_bundle(family_bundle).parameters.items()
    }
    wrong["scale"] += 1
    whole = Bundle.__init__

    def altered(self, *arguments):
        whole(self, *arguments)
        self.parameters = wrong

    monkeypatch.setattr(Bundle, "__init__", altered)
    with pytest.raises(BundleError, match="onnxruntime gives scores that differ by up to"):
        export_onnx(family_bundle, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="exists already"):
        export_onnx(family_bundle, tmp_path / "model.onnx")
