"""From features to scores: the one formula that the study trains with and the bundle exports."""

from __future__ import annotations

from collections.abc import Mapping
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


def masked(inputs: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Standardised features (..., F) with those set to their mean whose mask (F,) is 0."""
    return inputs if mask is None else inputs * mask


def score_rows(module: Any, kind: Kind, parameters: Mapping[str, Any], x: jax.Array) -> jax.Array:
    """Score rows with the mean over the seeds of one configuration and fold.

    Pure JAX, free of side effects: jit it, export it, or call it inside a larger program.

    Parameters
    ----------
    module : flax.linen.Module
        Of `windtunnel.models.factory.create`.
    kind : "direction" or "forward_return"
        Decides the meaning of the score.
    parameters : mapping
        As `windtunnel.protocols.FittedModel.parameters` gives them: `network`, a pytree with
        leading axis S; `mean` and `scale` (F,), the scaler; perhaps `mask` (F,).
    x : (rows, F) float32
        Raw features.

    Returns
    -------
    (rows,) float32
        Direction: 2 p - 1, where p is the probability of a rise. Forward return: the
        predicted standardised return. NaN in every row with a NaN feature.
    """
    inputs = standardise(x, parameters["mean"], parameters["scale"])
    inputs = masked(inputs, parameters.get("mask"))
    logits = jax.vmap(lambda one: module.apply({"params": one}, inputs))(parameters["network"])
    scores = jnp.mean(losses.score(kind, logits), axis=0)
    return jnp.where(jnp.isnan(x).any(axis=1), jnp.nan, scores)
