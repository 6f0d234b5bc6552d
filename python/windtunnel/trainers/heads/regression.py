"""Regression: the size of the forward return in units of trailing volatility."""

from __future__ import annotations

import jax
import optax

from windtunnel.trainers.heads.base import Batch, Head, average


def loss(logits: jax.Array, batch: Batch, smoothing: jax.Array, cost: float) -> jax.Array:
    """Huber's loss with delta 1: quadratic up to one standardised unit, linear beyond.

    Huber (1964), "Robust estimation of a location parameter". Smoothing has no meaning here.
    """
    del smoothing, cost
    return average(optax.huber_loss(logits, batch.labels, delta=1.0), batch.weight)


def score(logits: jax.Array) -> jax.Array:
    """The logit itself: the predicted standardised return."""
    return logits


HEAD = Head("regression", loss, score)
