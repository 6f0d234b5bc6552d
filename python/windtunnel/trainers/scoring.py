"""From features to scores: the one formula that the study trains with and the bundle exports."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from windtunnel.protocols import Kind
from windtunnel.trainers import losses


def standardise(x: jax.Array, mean: jax.Array, scale: jax.Array) -> jax.Array:
    """(x - mean) / scale: features (rows, F) as the network sees them.

    The division is written as a product for the reason given in `trainers.optimiser`.
    """
    return (x - mean) * (1 / scale)


def score_rows(
    module: Any, kind: Kind, params: Any, mean: jax.Array, scale: jax.Array, x: jax.Array
) -> jax.Array:
    """Score rows with the mean over the seeds of one configuration and fold.

    Pure JAX, free of side effects: jit it, export it, or call it inside a larger program.

    Parameters
    ----------
    module : flax.linen.Module
        Of `windtunnel.models.factory.create`.
    kind : "direction" or "forward_return"
        Decides the meaning of the score.
    params : pytree of arrays with leading axis S
        One set of parameters a seed.
    mean, scale : (F,) float32
        The scaler of the rows that the parameters were trained on.
    x : (rows, F) float32
        Raw features.

    Returns
    -------
    (rows,) float32
        Direction: 2 p - 1, where p is the probability of a rise. Forward return: the
        predicted standardised return. NaN in every row with a NaN feature.
    """
    inputs = standardise(x, mean, scale)
    logits = jax.vmap(lambda one: module.apply({"params": one}, inputs))(params)
    scores = jnp.mean(losses.score(kind, logits), axis=0)
    return jnp.where(jnp.isnan(x).any(axis=1), jnp.nan, scores)
