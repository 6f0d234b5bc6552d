"""What every built-in family must do, by one suite; then what each computes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from windtunnel.config.study import ModelSection
from windtunnel.models import create, window_of

ROWS, FEATURES, WINDOW = 9, 4, 6
FAMILIES = ("linear", "mlp", "gru", "tcn", "transformer")
X = np.random.default_rng(1).normal(size=(ROWS, FEATURES)).astype(np.float32)
BACK = np.random.default_rng(2).normal(size=(ROWS, WINDOW, FEATURES)).astype(np.float32)


def section(family: str, **fields: Any) -> ModelSection:
    return ModelSection(family=family, width=6, window=WINDOW, **fields)


@pytest.fixture(params=FAMILIES)
def module(request: pytest.FixtureRequest) -> Any:
    hidden = (6, 5) if request.param == "mlp" else None
    return create(section(request.param, hidden=hidden))


def rows_of(module: Any) -> Any:
    return BACK if window_of(module) else X


def params_of(module: Any, key: int = 0) -> Any:
    drawn = module.init(jax.random.key(key), jnp.asarray(rows_of(module)))
    assert set(drawn) == {"params"}
    # Away from zero, so that every path through the network is open.
    return jax.tree.map(lambda leaf: leaf + 0.1, drawn)


def test_logits_are_one_a_row(module: Any) -> None:
    logits = module.apply(params_of(module), jnp.asarray(rows_of(module)))
    assert logits.shape == (ROWS,)
    assert logits.dtype == np.float32


def test_a_logit_depends_on_its_own_row(module: Any) -> None:
    own = rows_of(module)
    changed = own.copy()
    changed[3] = np.nan
    params = params_of(module)
    before, after = (np.asarray(module.apply(params, jnp.asarray(x))) for x in (own, changed))
    assert np.isnan(after[3])
    np.testing.assert_array_equal(np.delete(after, 3), np.delete(before, 3))


@pytest.mark.parametrize("bar", range(WINDOW))
def test_every_bar_of_the_window_is_seen(module: Any, bar: int) -> None:
    if not window_of(module):
        pytest.skip("sees one bar")
    changed = BACK.copy()
    changed[:, bar] += 1
    params = params_of(module)
    before, after = (np.asarray(module.apply(params, jnp.asarray(x))) for x in (BACK, changed))
    assert (np.abs(before - after) > 1e-7).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_several_outputs(family: str) -> None:
    module = create(section(family, head="quantile"))
    logits = module.apply(params_of(module), jnp.asarray(rows_of(module)))
    assert logits.shape == (ROWS, 5)


def test_another_dropout_rate_is_not_another_program(module: Any) -> None:
    traced = 0

    @jax.jit
    def apply(params: Any, rate: jax.Array, bits: jax.Array | None) -> jax.Array:
        nonlocal traced
        traced += 1
        return module.apply(params, jnp.asarray(rows_of(module)), rate, bits)

    bits = np.full((ROWS, module.masked_units), 128, np.uint8) if module.masked_units else None
    none, some = (apply(params_of(module), np.float32(rate), bits) for rate in (0.0, 0.4))
    assert traced == 1
    # Nothing falls below a rate of 0.5, but what stays is scaled up.
    assert np.array_equal(none, some) == (module.masked_units == 0)


def test_linear_is_a_weighted_sum_that_starts_at_zero() -> None:
    module = create(ModelSection(family="linear"))
    start = module.init(jax.random.key(0), jnp.asarray(X))
    np.testing.assert_array_equal(module.apply(start, jnp.asarray(X)), np.zeros(ROWS))
    params = {"head": {"kernel": np.arange(4.0, dtype=np.float32)[:, None], "bias": np.ones(1)}}
    params["head"]["bias"] = params["head"]["bias"].astype(np.float32)
    np.testing.assert_allclose(
        module.apply({"params": params}, jnp.asarray(X)), X @ np.arange(4.0) + 1, rtol=1e-5
    )


def test_mlp_by_hand_with_dropout() -> None:
    module = create(ModelSection(family="mlp", hidden=(6, 5)))
    variables = params_of(module)
    p = jax.tree.map(np.asarray, variables["params"])
    assert module.masked_units == 11
    bits = np.random.default_rng(2).integers(0, 256, (ROWS, 11), dtype=np.uint8)
    h = np.maximum(X @ p["hidden_0"]["kernel"] + p["hidden_0"]["bias"], 0)
    h = np.where(bits[:, :6] >= 64, h / 0.75, 0)
    h = np.maximum(h @ p["hidden_1"]["kernel"] + p["hidden_1"]["bias"], 0)
    h = np.where(bits[:, 6:] >= 64, h / 0.75, 0)
    by_hand = (h @ p["head"]["kernel"] + p["head"]["bias"])[:, 0]
    logits = module.apply(variables, jnp.asarray(X), jnp.float32(0.25), jnp.asarray(bits))
    np.testing.assert_allclose(logits, by_hand, rtol=1e-5)


def test_mlp_draws_other_weights_for_another_seed() -> None:
    module = create(ModelSection(family="mlp", hidden=(6,)))
    first, second = (params_of(module, key)["params"]["hidden_0"]["kernel"] for key in (0, 1))
    assert not np.array_equal(first, second)
