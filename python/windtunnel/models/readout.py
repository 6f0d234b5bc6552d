"""The last layer that all families share."""

from __future__ import annotations

import jax
from flax import linen as nn


def readout(h: jax.Array, outputs: int, *, zero: bool = False) -> jax.Array:
    """Map (rows, width) to (rows, outputs), or (rows,) where there is a single output.

    To be called inside a compact method; its parameters are named 'head'. `zero` starts the
    weights at zero.
    """
    kernel = nn.initializers.zeros_init() if zero else nn.initializers.lecun_normal()
    out: jax.Array = nn.Dense(outputs, kernel_init=kernel, name="head")(h)
    return out[:, 0] if outputs == 1 else out
