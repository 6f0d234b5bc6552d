"""What one device computes: its lanes through all folds, seeds and steps, and their scores.

Pure functions of arrays, traced once and compiled by `trainers.population`. Loops, from
the outside: folds, seeds, blocks of steps, chunks of lanes, steps. A lane is one
configuration; a chunk is a fixed small number of lanes trained side by side with `vmap`.
What lanes share (standardised minibatches and dropout bits of a block of steps) is made
once a block.

Why small chunks: activations of few lanes stay in the cache, where sixteen side by side
train a third slower, and a lane is computed by the same instructions wherever it stands.
The number of chunks is an argument, so that no cohort size is compiled differently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from windtunnel.protocols import Kind
from windtunnel.trainers import losses, minibatches, optimiser
from windtunnel.trainers.scoring import score_rows, standardise

_T = TypeVar("_T")

# Lanes of a chunk; see bench/test_training.py for the figures behind the number.
LANES = 2
# Bound of the table of a block of steps; a longer training takes more blocks. It decides
# memory, not results.
TABLE_BYTES = 32 * 2**20


class Data(NamedTuple):
    """What all lanes read, held once on every device.

    features (R, F) and labels (R,) float32 with R = T * N rows; rows (K, M) int32 the
    training rows of each fold, padded; counts (K,) int32 how many of them count; mean and
    scale (K, F) float32; first (K,) int32 the first validation row; seed the study's, an
    int32 scalar: another seed is no reason to compile anew.
    """

    features: Any
    labels: Any
    rows: Any
    counts: Any
    mean: Any
    scale: Any
    first: Any
    seed: Any


class Hyper(NamedTuple):
    """Hyperparameters of the lanes: one array each, float32, all of one shape."""

    learning_rate: Any
    weight_decay: Any
    dropout: Any
    label_smoothing: Any


class Lane(NamedTuple):
    """State of one lane in training.

    `loss` belongs to the last step made; `failed_at` is the first step whose loss was not
    finite, -1 while there is none.
    """

    params: Any
    moments: Any
    loss: Any
    failed_at: Any


class Table(NamedTuple):
    """What all lanes share in a block of steps; the leading axis is the step."""

    inputs: Any
    labels: Any
    bits: Any
    pace: Any


@dataclass(frozen=True)
class Shape:
    """What a program is compiled for, apart from the data's shapes."""

    kind: Kind
    steps: int
    batch_size: int
    seeds: int
    validation_rows: int
    lanes: int = LANES
    table_bytes: int = TABLE_BYTES


class Trained(NamedTuple):
    """A cohort as it leaves the program: leading axes (K, ..., C).

    scores (K, C, V*N) float32; loss (K, S, C) float32; failed_at (K, S, C) int32; finite
    (K, S, C) bool, whether all final parameters are; params a pytree (K, S, C, ...), or
    None when they were not kept.
    """

    scores: Any
    loss: Any
    failed_at: Any
    finite: Any
    params: Any


def _at(tree: Any, index: jax.Array, axis: int = 0) -> Any:
    """Entry `index` of every leaf along `axis`, which goes away."""
    return jax.tree.map(
        lambda leaf: lax.dynamic_index_in_dim(leaf, index, axis, keepdims=False), tree
    )


def _put(tree: Any, new: Any, index: jax.Array) -> Any:
    """`tree` with entry `index` of every leaf along the first axis replaced by `new`."""
    return jax.tree.map(
        lambda leaf, value: lax.dynamic_update_index_in_dim(leaf, value, index, 0), tree, new
    )


def _loop(count: Any, body: Callable[[jax.Array, _T], _T], start: _T) -> _T:
    """`body(index, state)` for index 0 to `count` - 1; `count` may be traced."""
    end: _T = lax.fori_loop(0, count, body, start)
    return end


def train_folds(
    module: Any, shape: Shape, data: Data, hyper: Hyper, chunks: jax.Array, *, keep: bool
) -> Trained:
    """All folds, one after another; `hyper` leaves are (capacity, lanes)."""

    def one_fold(fold: jax.Array) -> Trained:
        def one_seed(seed_index: jax.Array) -> Lane:
            return _train_seed(module, shape, data, hyper, chunks, fold, seed_index)

        lanes = lax.map(one_seed, jnp.arange(shape.seeds))
        rows = lax.dynamic_slice_in_dim(data.features, data.first[fold], shape.validation_rows)

        def score(chunk: jax.Array, scores: jax.Array) -> jax.Array:
            found: jax.Array = jax.vmap(
                lambda params: score_rows(
                    module, shape.kind, params, data.mean[fold], data.scale[fold], rows
                ),
                in_axes=1,  # behind the seeds
            )(_at(lanes.params, chunk, axis=1))
            scored: jax.Array = _put(scores, found, chunk)
            return scored

        room = jnp.zeros((*hyper.dropout.shape, shape.validation_rows), jnp.float32)
        return Trained(
            scores=_loop(chunks, score, room),
            loss=lanes.loss,
            failed_at=lanes.failed_at,
            finite=_all_finite(lanes.params, axes=3),
            params=lanes.params if keep else None,
        )

    folds: Trained = lax.map(one_fold, jnp.arange(len(data.counts)))
    return folds


def _train_seed(
    module: Any,
    shape: Shape,
    data: Data,
    hyper: Hyper,
    chunks: jax.Array,
    fold: jax.Array,
    seed_index: jax.Array,
) -> Lane:
    """All lanes of one fold and seed from the first step to the last."""
    initial, key = minibatches.model_keys(data.seed, fold, seed_index)
    sample = jnp.zeros((1, data.features.shape[1]), jnp.float32)
    params = module.init(initial, sample)["params"]
    start = Lane(
        params,
        optimiser.start(params),
        jnp.asarray(jnp.inf, jnp.float32),
        jnp.asarray(-1, jnp.int32),
    )
    everyone: Lane = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (*hyper.dropout.shape, *leaf.shape)), start
    )
    block = block_length(shape, data.features.shape[1], module.masked_units)

    def advance(index: jax.Array, state: Lane) -> Lane:
        first = index * block
        count = jnp.minimum(block, shape.steps - first)
        table = _table(module, shape, data, fold, key, first + jnp.arange(block))

        def train(chunk: jax.Array, state: Lane) -> Lane:
            here, values = _at((state, hyper), chunk)
            there: Lane = jax.vmap(
                lambda lane, own: _train_lane(module, shape.kind, lane, own, table, first, count)
            )(here, values)
            trained: Lane = _put(state, there, chunk)
            return trained

        return _loop(chunks, train, state)

    return _loop(-(-shape.steps // block), advance, everyone)


def _train_lane(
    module: Any,
    kind: Kind,
    lane: Lane,
    hyper: Hyper,
    table: Table,
    first: jax.Array,
    count: jax.Array,
) -> Lane:
    """One configuration through `count` steps of a block that starts at step `first`."""

    def step(index: jax.Array, lane: Lane) -> Lane:
        now = _at(table, index)

        def minibatch_loss(params: Any) -> jax.Array:
            logits = module.apply({"params": params}, now.inputs, hyper.dropout, now.bits)
            return losses.loss(kind, logits, now.labels, hyper.label_smoothing)

        loss, gradient = jax.value_and_grad(minibatch_loss)(lane.params)
        params, moments = optimiser.update(
            gradient,
            lane.moments,
            lane.params,
            now.pace,
            hyper.learning_rate,
            hyper.weight_decay,
        )
        fresh = (lane.failed_at < 0) & ~jnp.isfinite(loss)
        return Lane(params, moments, loss, jnp.where(fresh, first + index, lane.failed_at))

    return _loop(count, step, lane)


def _table(
    module: Any, shape: Shape, data: Data, fold: jax.Array, key: jax.Array, steps: jax.Array
) -> Table:
    """Standardised minibatches, dropout bits and paces of a block of steps."""

    def one(step: jax.Array) -> Table:
        drawn = minibatches.draw(
            key, step, shape.batch_size, data.counts[fold], module.masked_units
        )
        rows = data.rows[fold, drawn.positions]
        return Table(
            standardise(data.features[rows], data.mean[fold], data.scale[fold]),
            data.labels[rows],
            drawn.bits,
            optimiser.pace(shape.steps, step),
        )

    table: Table = jax.vmap(one)(steps)
    return table


def block_length(shape: Shape, features: int, units: int) -> int:
    """Steps whose table fits into `table_bytes`; at least one."""
    step_bytes = shape.batch_size * (4 * features + 4 + units) + 4
    return max(1, min(shape.steps, shape.table_bytes // step_bytes))


def _all_finite(tree: Any, axes: int) -> jax.Array:
    """Whether all numbers beyond the first `axes` axes of every leaf are finite."""
    found = [
        jnp.isfinite(leaf).reshape(*leaf.shape[:axes], -1).all(axis=-1)
        for leaf in jax.tree.leaves(tree)
    ]
    return jnp.stack(found).all(axis=0)
