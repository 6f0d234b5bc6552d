"""From features to scores: the one formula that the study trains with and the bundle exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from windtunnel.models.factory import create, window_of
from windtunnel.trainers import heads

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection
    from windtunnel.protocols import Kind


@dataclass(frozen=True)
class Network:
    """A module, what its outputs mean, and whether they are relative to the other instruments.

    Attributes
    ----------
    module : flax.linen.Module
        Of `windtunnel.models.factory.create`.
    head : heads.Head
    relative : bool
        Whether an instrument's logit is taken relative to the mean over all at its bar.
    """

    module: Any
    head: heads.Head
    relative: bool

    @classmethod
    def build(cls, model: ModelSection, kind: Kind, *, long_only: bool = False) -> Network:
        """The network that a study file describes; errors as `models.factory.create`."""
        head = heads.choose(model, kind, long_only=long_only)
        return cls(create(model), head, model.scope == "cross_section")

    @property
    def window(self) -> int:
        """Bars that the module sees of each row; 0 where rows enter as they are."""
        return window_of(self.module)

    def row_shape(self, features: int) -> tuple[int, ...]:
        """Shape of what the module sees of one row."""
        return (self.window, features) if self.window else (features,)

    def score(self, parameters: Mapping[str, Any], x: jax.Array) -> jax.Array:
        """Score with the mean over the seeds of one configuration and fold.

        Pure JAX, free of side effects: jit it, export it, or call it in a larger program.

        Parameters
        ----------
        parameters : mapping
            As `windtunnel.protocols.FittedModel.parameters` gives them: `network`, a pytree
            with leading axis S; `mean` and `scale` (F,), the scaler; perhaps `mask` (F,).
        x : (rows, ..., F) float32, or (bars, N, ..., F) for a relative network
            Raw features; the dots stand for the window, oldest bar first, where there is one.

        Returns
        -------
        (rows,) or (bars, N) float32
            See the head's `score`. NaN where one of the features is NaN.
        """
        axes = 2 if self.relative else 1
        lead = x.shape[:axes]
        known = ~jnp.isnan(x).any(axis=tuple(range(axes, x.ndim)))
        inputs = standardise(x, parameters["mean"], parameters["scale"])
        inputs = masked(inputs, parameters.get("mask"))
        if self.relative:
            inputs = jnp.where(known.reshape(*lead, *(1,) * (x.ndim - axes)), inputs, 0)
            inputs = inputs.reshape(-1, *x.shape[axes:])
        logits = jax.vmap(lambda one: self.module.apply({"params": one}, inputs))(
            parameters["network"]
        )
        if self.relative:
            logits = logits.reshape(logits.shape[0], *lead, *logits.shape[2:])
            logits = relative(logits, known.astype(logits.dtype), self.head.outputs)
        scores = jnp.mean(self.head.score(logits), axis=0)
        return jnp.where(known, scores, jnp.nan)


def standardise(x: jax.Array, mean: jax.Array, scale: jax.Array) -> jax.Array:
    """(x - mean) / scale: features (..., F) as the network sees them.

    The division is written as a product for the reason given in `trainers.optimiser`.
    """
    return (x - mean) * (1 / scale)


def masked(inputs: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Standardised features (..., F) with those set to their mean whose mask (F,) is 0."""
    return inputs if mask is None else inputs * mask.astype(inputs.dtype)


def relative(logits: jax.Array, weight: jax.Array, outputs: int = 1) -> jax.Array:
    """Logits less their mean over the instruments of each bar.

    Parameters
    ----------
    logits : (..., N) or (..., N, outputs)
        Several outputs are shifted together, by the mean of the one in the middle.
    weight : (..., N)
        1 for instruments that count, 0 for the others.
    """
    middle = logits if outputs == 1 else logits[..., outputs // 2]
    centre = mean_of_bar(middle, weight)
    return logits - (centre if outputs == 1 else centre[..., None])


def mean_of_bar(values: jax.Array, weight: jax.Array) -> jax.Array:
    """Mean (..., 1) over the instruments that count, the last axis; 0 where none does."""
    total = jnp.sum(values * weight, axis=-1, keepdims=True)
    return total * (1 / jnp.maximum(jnp.sum(weight, axis=-1, keepdims=True), 1))
