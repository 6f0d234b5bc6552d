"""Quantiles of the forward return in units of trailing volatility; the score is the median."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from windtunnel.config.model import QUANTILES
from windtunnel.trainers.heads.base import Batch, Head, average


def loss(logits: jax.Array, batch: Batch, smoothing: jax.Array, cost: float) -> jax.Array:
    """Pinball loss, mean over the quantiles of max(q u, (q - 1) u), u = label - prediction.

    Koenker and Bassett (1978), "Regression quantiles", equation 1.1. Smoothing has no meaning
    here. Quantiles may cross: nothing but the median is used.
    """
    del smoothing, cost
    levels = jnp.asarray(QUANTILES, logits.dtype)
    short = batch.labels[..., None] - logits
    pinball = jnp.maximum(levels * short, (levels - 1) * short)
    return average(pinball.mean(axis=-1), batch.weight)


def score(logits: jax.Array) -> jax.Array:
    """The median of the standardised return."""
    return logits[..., len(QUANTILES) // 2]


HEAD = Head("quantile", loss, score, outputs=len(QUANTILES))
