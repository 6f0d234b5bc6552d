from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from windtunnel.models.dropout import drop

# Every byte once: a rate is then met exactly.
BITS = np.arange(256, dtype=np.uint8).reshape(64, 4)
H = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)


def test_without_bits_nothing_is_dropped() -> None:
    np.testing.assert_array_equal(drop(jnp.asarray(H), 0.9, None), H)


def test_rate_zero_drops_nothing() -> None:
    np.testing.assert_array_equal(drop(jnp.asarray(H), 0.0, jnp.asarray(BITS)), H)


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.75])
def test_share_scale_and_place(rate: float) -> None:
    out = np.asarray(drop(jnp.asarray(H), rate, jnp.asarray(BITS)))
    kept = np.greater_equal(BITS, 256 * rate)
    np.testing.assert_array_equal(out != 0, kept)
    np.testing.assert_allclose(out[kept], H[kept] / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.999])
def test_the_mean_stays_at_rates_between_the_levels(rate: float) -> None:
    ones = jnp.ones((64, 4), jnp.float32)
    assert float(drop(ones, rate, jnp.asarray(BITS)).mean()) == pytest.approx(1.0, rel=1e-6)
