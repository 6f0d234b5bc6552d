"""Random numbers of training, keyed by what they are for and never by a place in a cohort.

The key of a step follows from (study seed, fold, seed index, step). Configurations
therefore share minibatches and dropout masks: they are compared on the same draws, the
draws are made once, and a trial's result cannot depend on its neighbours.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

_INITIAL, _BATCH, _DROPOUT = 0, 1, 2


def model_key(seed: int, fold: jax.Array | int, seed_index: jax.Array | int) -> jax.Array:
    """Key of one model: everything random about it is derived from this."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), fold), seed_index)


def initial_key(key: jax.Array) -> jax.Array:
    """Key of the initial weights."""
    return jax.random.fold_in(key, _INITIAL)


def batch_positions(
    key: jax.Array, step: jax.Array | int, batch_size: int, rows: jax.Array | int
) -> jax.Array:
    """Positions (batch_size,) int32 in [0, rows) of a step's minibatch.

    Drawn uniformly with replacement from a fold's training rows. An epoch without
    replacement would need a permutation of every fold's rows; with a few hundred steps of
    a few hundred rows out of thousands the two are hardly different.
    """
    key = jax.random.fold_in(jax.random.fold_in(key, _BATCH), step)
    return jax.random.randint(key, (batch_size,), 0, rows, dtype=jnp.int32)


def dropout_bits(
    key: jax.Array, step: jax.Array | int, batch_size: int, units: int
) -> jax.Array | None:
    """Random bytes (batch_size, units) uint8 of a step; None for a model without dropout."""
    if units == 0:
        return None
    key = jax.random.fold_in(jax.random.fold_in(key, _DROPOUT), step)
    return jax.random.bits(key, (batch_size, units), jnp.uint8)
