"""Direction: the probability that the forward return is above zero."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from windtunnel.trainers.heads.base import Batch, Head, average


def loss(logits: jax.Array, batch: Batch, smoothing: jax.Array, cost: float) -> jax.Array:
    """Sigmoid cross-entropy with labels y drawn towards one half: (1 - s) y + s / 2.

    Szegedy et al. (2016), "Rethinking the inception architecture", section 7.
    """
    del cost
    soft = batch.labels * (1 - smoothing) + smoothing / 2
    return average(optax.sigmoid_binary_cross_entropy(logits, soft), batch.weight)


def score(logits: jax.Array) -> jax.Array:
    """2 p - 1 in [-1, 1], p the probability of a rise."""
    return 2 * jax.nn.sigmoid(logits) - 1


def centre(labels: jax.Array, mean: jax.Array) -> jax.Array:
    """One half where an instrument does as the others do, up to 1 above and 0 below them."""
    return jnp.clip(labels - mean + 0.5, 0, 1)


HEAD = Head("direction", loss, score, centre=centre)
