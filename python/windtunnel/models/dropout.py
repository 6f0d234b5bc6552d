"""Dropout with a traced rate and masks that come from outside.

The random bits are an argument: the trainer draws them once a step and every
configuration compares the same bits with its own rate. Drawing them per configuration
costs as much as a third of the training, and would tie a result to its place in the
cohort.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def drop(h: jax.Array, rate: jax.Array | float, bits: jax.Array | None) -> jax.Array:
    """Zero a share of `h` and scale up what is left, so that the mean stays.

    Parameters
    ----------
    h : (rows, units) float32
        Activations.
    rate : float32 scalar in [0, 1), may be traced
        Share to drop. Bits have 256 levels, so the rate in force is the nearest multiple
        of 1/256, at most 255/256; the scale belongs to that rate, hence the mean is exact.
    bits : (rows, units) uint8, or None
        Uniform random bytes; None returns `h` as it is (evaluation).

    References
    ----------
    Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from
    overfitting", in the inverted form: scaling during training, nothing afterwards.
    """
    if bits is None:
        return h
    threshold = jnp.clip(jnp.round(jnp.asarray(rate, h.dtype) * 256), 0, 255)
    scale = 256 / (256 - threshold)
    return jnp.where(bits >= threshold.astype(jnp.uint8), h * scale, jnp.zeros_like(h))
