"""Random numbers of training, keyed by what they are for and never by a place in a cohort.

What a step draws follows from (study seed, fold, seed index, step). Configurations
therefore share minibatches and dropout masks: they are compared on the same draws, the
draws are made once, and a trial's result cannot depend on its neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

_MOST_SEEDS = 1024


class Draw(NamedTuple):
    """What one step draws.

    `positions` (batch_size,) int32 in [0, rows); `bits` (batch_size, units) uint8, None
    for a model without dropout.
    """

    positions: jax.Array
    bits: jax.Array | None


def model_keys(
    seed: jax.Array | int, fold: jax.Array | int, seed_index: jax.Array | int
) -> tuple[jax.Array, jax.Array]:
    """Two keys of one model: of its initial weights, and of its steps."""
    key = jax.random.fold_in(jax.random.key(seed), fold * _MOST_SEEDS + seed_index)
    initial, steps = jax.random.split(key)
    return initial, steps


def draw(
    key: jax.Array, step: jax.Array | int, batch_size: int, rows: jax.Array | int, units: int
) -> Draw:
    """Minibatch and dropout bits of a step; `key` is the second of `model_keys`.

    Rows are drawn uniformly with replacement. An epoch without replacement would need a
    permutation of every fold's rows; with a few hundred steps of a few hundred rows out of
    thousands the two hardly differ. A position is a random word modulo `rows`, which
    favours the first rows by less than rows / 2**32. Masks, which are by far the most of what
    a step draws, come from a hash of a counter under two random words: a small cohort spent a
    tenth of its time on JAX's own generator.
    """
    drawn = jax.random.bits(jax.random.fold_in(key, step), (batch_size + 2,), dtype=jnp.uint32)
    positions = (drawn[:-2] % jnp.asarray(rows, jnp.uint32)).astype(jnp.int32)
    if units == 0:
        return Draw(positions, None)
    words = -(-units // 4)  # four masks fit into a word
    counter = jnp.arange(batch_size * words, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    hashed = _mix(_mix(counter + drawn[-2]) ^ drawn[-1]).reshape(batch_size, words)
    masks = lax.bitcast_convert_type(hashed, jnp.uint8).reshape(batch_size, 4 * words)
    return Draw(positions, masks[:, :units])


def _mix(words: jax.Array) -> jax.Array:
    """Let every bit of a uint32 reach every other; a bijection.

    The finaliser 'lowbias32' of Wellons (2018), "Prospecting for hash functions".
    """
    words = (words ^ (words >> 16)) * jnp.uint32(0x7FEB352D)
    words = (words ^ (words >> 15)) * jnp.uint32(0x846CA68B)
    return words ^ (words >> 16)
