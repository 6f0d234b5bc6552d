"""What every head is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Batch(NamedTuple):
    """What a loss compares logits with; every array has the logits' leading shape.

    Rows in no order are (rows,), blocks are (pieces, bars, instruments). `weight` is 1 for a
    row that counts and 0 for one that fills its block, None where all count; `returns` is None
    unless the head asks for it. What does not count is 0.
    """

    labels: Any
    weight: Any
    returns: Any


@dataclass(frozen=True)
class Head:
    """A loss and the meaning of its logits.

    Attributes
    ----------
    name : str
    loss : callable
        ``loss(logits, batch, smoothing, cost)``, a float32 scalar.
    score : callable
        ``score(logits)``, one number a row.
    outputs : int
        Numbers a row; with more than one they are the last axis of the logits.
    centre : callable
        ``centre(labels, mean)``: labels relative to their mean over the instruments of a bar.
    stretches : bool
        Whether the loss needs consecutive bars.
    """

    name: str
    loss: Callable[[jax.Array, Batch, jax.Array, float], jax.Array]
    score: Callable[[jax.Array], jax.Array]
    outputs: int = 1
    centre: Callable[[jax.Array, jax.Array], jax.Array] = jnp.subtract
    stretches: bool = False


def average(values: jax.Array, weight: jax.Array | None) -> jax.Array:
    """Mean of what counts; 0 where nothing does."""
    if weight is None:
        return jnp.mean(values)
    return jnp.sum(values * weight) / jnp.maximum(jnp.sum(weight), 1)
