"""Families that look back compute what their papers say: against plain NumPy and PyTorch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from windtunnel.config.study import ModelSection
from windtunnel.errors import StudyFileError
from windtunnel.models import create

ROWS, FEATURES, WIDTH = 5, 3, 4


def drawn(window: int, **fields: Any) -> tuple[Any, Any, np.ndarray]:
    module = create(ModelSection(width=WIDTH, window=window, **fields))
    x = np.random.default_rng(window).normal(size=(ROWS, window, FEATURES)).astype(np.float32)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: np.asarray(leaf) + rng.normal(0, 0.2, leaf.shape).astype(np.float32),
        module.init(jax.random.key(0), jnp.asarray(x))["params"],
    )
    return module, params, x


def logits(module: Any, params: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(module.apply({"params": params}, jnp.asarray(x)))


def dense(params: Any, x: np.ndarray) -> np.ndarray:
    return x @ params["kernel"] + params.get("bias", 0)


@pytest.mark.parametrize("window", [1, 2, 3, 7, 8, 13])
def test_tcn_is_the_last_output_of_dilated_causal_convolutions(window: int) -> None:
    """Computed bar by bar over the whole window, where the module computes a tree."""
    module, params, x = drawn(window, family="tcn")
    h = x
    for layer in range(module.layers):
        new = np.zeros((ROWS, window, WIDTH), np.float32)
        # Zeros before the window pass through the layers like any other bar.
        early = np.zeros((ROWS, 1, FEATURES), np.float32)
        for below in range(layer):
            early = residual(params, below, early, early)
        for bar in range(window):
            before = h[:, [bar - 2**layer]] if bar >= 2**layer else early
            new[:, [bar]] = residual(params, layer, before, h[:, [bar]])
        h = new
    np.testing.assert_allclose(
        logits(module, params, x), dense(params["head"], h[:, -1])[:, 0], atol=2e-5
    )


def residual(params: Any, layer: int, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    taps = np.maximum(dense(params[f"taps_{layer}"], np.concatenate([before, now], axis=-1)), 0)
    skip = f"skip_{layer}"
    return taps + (dense(params[skip], now) if skip in params else now)


def test_gru_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    module, params, x = drawn(6, family="gru", depth=2)
    peer = torch.nn.GRU(FEATURES, WIDTH, num_layers=2, batch_first=True)
    with torch.no_grad():
        for layer in range(2):
            given, kernel = params[f"input_{layer}"], params[f"recurrent_{layer}"]
            bias = np.zeros(3 * WIDTH, np.float32)
            bias[2 * WIDTH :] = params[f"recurrent_bias_{layer}"]
            for name, value in {
                "weight_ih": given["kernel"].T,
                "bias_ih": given["bias"],
                "weight_hh": kernel.T,
                "bias_hh": bias,
            }.items():
                getattr(peer, f"{name}_l{layer}").copy_(torch.tensor(np.array(value)))
        states, _ = peer(torch.tensor(x))
    expected = dense(params["head"], states[:, -1].numpy())[:, 0]
    np.testing.assert_allclose(logits(module, params, x), expected, atol=2e-5)


def norm(params: Any, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return scaled * params["scale"] + params["bias"]


@pytest.mark.parametrize("depth", [1, 3])
def test_transformer_is_causal_attention_written_out(depth: int) -> None:
    """Every bar of every block, one row and one head at a time."""
    module, params, x = drawn(5, family="transformer", depth=depth)
    heads, each = 2, WIDTH // 2
    found = []
    for row in x:
        h = dense(params["embed"], row) + params["positions"]
        for block in range(depth):
            n = norm(params[f"norm_{block}_0"], h)
            q = dense(params[f"query_{block}"], n)
            k, v = np.split(dense(params[f"key_value_{block}"], n), 2, axis=-1)
            mixed = np.zeros_like(h)
            for head in range(heads):
                own = slice(head * each, (head + 1) * each)
                for bar in range(len(h)):
                    match = k[: bar + 1, own] @ q[bar, own] / np.sqrt(each)
                    weight = np.exp(match - match.max())
                    mixed[bar, own] = weight / weight.sum() @ v[: bar + 1, own]
            h = h + dense(params[f"mix_{block}"], mixed)
            wide = np.maximum(
                dense(params[f"widen_{block}"], norm(params[f"norm_{block}_1"], h)), 0
            )
            h = h + dense(params[f"narrow_{block}"], wide)
        found.append(dense(params["head"], norm(params["norm"], h[-1]))[0])
    np.testing.assert_allclose(logits(module, params, x), found, atol=5e-5)


@pytest.mark.parametrize("family", ["gru", "tcn", "transformer"])
def test_a_dropped_unit_is_dropped_at_every_bar(family: str) -> None:
    """All bits below the rate: the hidden layers fall silent, the head's bias is left."""
    module, params, x = drawn(4, family=family)
    bits = jnp.zeros((ROWS, module.masked_units), jnp.uint8)
    silent = np.asarray(module.apply({"params": params}, jnp.asarray(x), 0.5, bits))
    if family == "gru":
        np.testing.assert_allclose(silent, params["head"]["bias"][0], atol=1e-6)
    else:  # what skips the layers stays
        assert not np.allclose(silent, logits(module, params, x), atol=1e-3)
    untouched = module.apply({"params": params}, jnp.asarray(x), 0.0, bits)
    np.testing.assert_allclose(untouched, logits(module, params, x), atol=1e-6)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(
        StudyFileError, match=r"attention_heads: must divide model.width = 6, got 4"
    ):
        create(ModelSection(family="transformer", width=6, attention_heads=4))


def test_residual_layers_add_where_widths_agree() -> None:
    module = create(ModelSection(family="mlp", hidden=(WIDTH, WIDTH, 2), residual=True))
    x = np.random.default_rng(1).normal(size=(ROWS, WIDTH)).astype(np.float32)
    params = jax.tree.map(np.asarray, module.init(jax.random.key(1), jnp.asarray(x))["params"])
    h = x
    for layer in range(3):
        new = np.maximum(dense(params[f"hidden_{layer}"], h), 0)
        h = h + new if layer < 2 else new
    np.testing.assert_allclose(logits(module, params, x), dense(params["head"], h)[:, 0], atol=1e-5)
