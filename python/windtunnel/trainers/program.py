"""What one device computes: its models from one step to another, and their scores.

Pure functions of arrays, traced once and compiled by `trainers.population`. Loops, from
the outside: folds, seeds, blocks of steps, chunks of lanes, steps. A lane is one
configuration; a chunk is a fixed small number of lanes trained side by side with `vmap`.
What lanes share (standardised minibatches and dropout bits of a block of steps) is made
once a block.

Why small chunks: activations of few lanes stay in the cache, where sixteen side by side
train a third slower, and a lane is computed by the same instructions wherever it stands.
Which chunks of which folds are a device's is an argument, so that no cohort size is compiled
differently; so are the first step and the one to stop before, so that training in stretches
is the same program, and gives the same bits, as training without a stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from windtunnel.trainers import minibatches, optimiser
from windtunnel.trainers.arrays import Data, Hyper, Lane, Shape, Trained
from windtunnel.trainers.scoring import Network, masked, relative
from windtunnel.trainers.tables import Table, block_length, look_back, make_table

_T = TypeVar("_T")

# Rows whose windows are laid out at once for scoring.
_SCORED_ROWS = 2048


def first_models(network: Network, shape: Shape, data: Data) -> Lane:
    """State of every fold and seed before the first step: leaves (S, K, ...)."""

    def one_model(seed_index: jax.Array, fold: jax.Array) -> Lane:
        initial, _ = minibatches.model_keys(data.seed, fold, seed_index)
        sample = jnp.zeros((1, *network.row_shape(data.features.shape[1])), jnp.float32)
        params = network.module.init(initial, sample)["params"]
        return Lane(
            params,
            optimiser.start(params),
            jnp.asarray(jnp.inf, jnp.float32),
            jnp.asarray(-1, jnp.int32),
        )

    over_folds = jax.vmap(one_model, in_axes=(None, 0))
    models: Lane = jax.vmap(over_folds, in_axes=(0, None))(
        jnp.arange(shape.seeds), jnp.arange(len(data.counts))
    )
    return models


def start_places(network: Network, shape: Shape, data: Data, folds: jax.Array) -> Lane:
    """State of places before the first step: leaves (S, places, lanes, ...), all lanes alike.

    `folds` (places,) int32 says which fold each is of.
    """

    def spread(leaf: jax.Array) -> jax.Array:
        placed = leaf[:, folds, None]
        return jnp.broadcast_to(placed, (*placed.shape[:2], shape.lanes, *placed.shape[3:]))

    places: Lane = jax.tree.map(spread, first_models(network, shape, data))
    return places


def train_places(
    network: Network,
    shape: Shape,
    data: Data,
    hyper: Hyper,
    state: Lane,
    bounds: jax.Array,
    first: jax.Array,
    stop: jax.Array,
) -> Trained:
    """Steps `first` to `stop` - 1 of all places, fold after fold, and the scores after them.

    Leaves of `hyper` are (places, lanes, ...), those of `state` (S, places, lanes, ...).
    `bounds` (K, 2) int32: the places of fold k are those from bounds[k, 0] to before
    bounds[k, 1]. Places of no fold are left as they are, with scores of zero.
    """

    def one_fold(fold: jax.Array, before: tuple[Lane, jax.Array]) -> tuple[Lane, jax.Array]:
        state, scores = before
        own = bounds[fold, 0], bounds[fold, 1]

        def one_seed(seed: jax.Array, state: Lane) -> Lane:
            return _train_seed(network, shape, data, hyper, state, own, fold, seed, first, stop)

        def score(place: jax.Array, scores: jax.Array) -> jax.Array:
            def one(params: Any, mask: jax.Array | None) -> jax.Array:
                scaler = {"mean": data.mean[fold], "scale": data.scale[fold]}
                lane = {"network": params, "mask": mask, **scaler}
                return _score_slice(network, shape, data, lane, data.first[fold])

            # Lanes stand behind the seeds in the parameters.
            models, mask = _at(state.params, place, axis=1), _at(hyper.feature_mask, place)
            scored: jax.Array = _put(scores, jax.vmap(one, in_axes=(1, 0))(models, mask), place)
            return scored

        state = _loop(0, shape.seeds, one_seed, state)
        return state, _loop(*own, score, scores)

    room = jnp.zeros((*hyper.dropout.shape, shape.validation_rows), jnp.float32)
    state, scores = _loop(0, len(data.counts), one_fold, (state, room))
    return Trained(state, scores, _all_finite(state.params, axes=3))


def _score_slice(
    network: Network, shape: Shape, data: Data, lane: dict[str, Any], first: jax.Array
) -> jax.Array:
    """Scores of a validation slice that begins at row `first`.

    Windows are laid out for a piece of the slice at a time: all at once would take many times
    the memory of the features.
    """
    if not network.window and not network.relative:
        rows = lax.dynamic_slice_in_dim(data.features, first, shape.validation_rows)
        return network.score(lane, rows)
    bars = shape.validation_rows // shape.instruments
    each = min(bars, max(1, _SCORED_ROWS // shape.instruments))

    def piece(index: jax.Array) -> jax.Array:
        # The last piece may reach beyond the slice; what it finds there is cut off.
        rows = first + index * each * shape.instruments + jnp.arange(each * shape.instruments)
        x = look_back(data.features, rows, network.window, shape.instruments)
        if network.relative:
            x = x.reshape(each, shape.instruments, *x.shape[1:])
        return network.score(lane, x).reshape(-1)

    scored: jax.Array = lax.map(piece, jnp.arange(-(-bars // each)))
    return scored.reshape(-1)[: shape.validation_rows]


def _train_seed(
    network: Network,
    shape: Shape,
    data: Data,
    hyper: Hyper,
    state: Lane,
    own: tuple[jax.Array, jax.Array],
    fold: jax.Array,
    seed: jax.Array,
    first: jax.Array,
    stop: jax.Array,
) -> Lane:
    """The places `own` of one fold and seed through steps `first` to `stop` - 1."""
    block = block_length(network, shape, data.features.shape[1])
    _, key = minibatches.model_keys(data.seed, fold, seed)

    def advance(index: jax.Array, state: Lane) -> Lane:
        begin = first + index * block
        count = jnp.minimum(block, stop - begin)
        table = make_table(network, shape, data, fold, key, begin + jnp.arange(block))

        def train(place: jax.Array, state: Lane) -> Lane:
            there: Lane = jax.vmap(
                lambda lane, own: _train_lane(network, shape, lane, own, table, begin, count)
            )(_at(state, seed, place), _at(hyper, place))
            trained: Lane = _put(state, there, seed, place)
            return trained

        return _loop(*own, train, state)

    blocks = (stop - first + block - 1) // block
    # A device without a place in this fold makes no table for it.
    return _loop(0, jnp.where(own[0] < own[1], blocks, 0), advance, state)


def _train_lane(
    network: Network,
    shape: Shape,
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
            inputs = masked(now.inputs, hyper.feature_mask)
            if shape.precision != "float32":
                params = jax.tree.map(lambda leaf: leaf.astype(shape.precision), params)
            logits = network.module.apply({"params": params}, inputs, hyper.dropout, now.bits)
            logits = logits.astype(jnp.float32)
            if shape.pieces:
                logits = logits.reshape(*shape.block, *logits.shape[1:])
            if network.relative:
                logits = relative(logits, now.batch.weight, network.head.outputs)
            return network.head.loss(logits, now.batch, hyper.label_smoothing, shape.cost)

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

    return _loop(0, count, step, lane)


def _at(tree: Any, *index: jax.Array, axis: int = 0) -> Any:
    """Entry `index` of every leaf along the axes from `axis` on, which go away."""

    def entry(leaf: jax.Array) -> jax.Array:
        start = [jnp.int32(0)] * leaf.ndim
        start[axis : axis + len(index)] = [each.astype(jnp.int32) for each in index]
        sizes = list(leaf.shape)
        sizes[axis : axis + len(index)] = [1] * len(index)
        found = lax.dynamic_slice(leaf, start, sizes)
        return found.reshape(*leaf.shape[:axis], *leaf.shape[axis + len(index) :])

    return jax.tree.map(entry, tree)


def _put(tree: Any, new: Any, *index: jax.Array) -> Any:
    """`tree` with entry `index` of every leaf along the first axes replaced by `new`."""

    def replace(leaf: jax.Array, value: jax.Array) -> jax.Array:
        start = [each.astype(jnp.int32) for each in index]
        start += [jnp.int32(0)] * (leaf.ndim - len(index))
        return lax.dynamic_update_slice(leaf, value[(None,) * len(index)], start)

    return jax.tree.map(replace, tree, new)


def _loop(start: Any, stop: Any, body: Callable[[jax.Array, _T], _T], state: _T) -> _T:
    """`body(index, state)` for index `start` to `stop` - 1, which may be traced."""
    end: _T = lax.fori_loop(start, stop, body, state)
    return end


def _all_finite(tree: Any, axes: int) -> jax.Array:
    """Whether all numbers beyond the first `axes` axes of every leaf are finite."""
    found = [
        jnp.isfinite(leaf).reshape(*leaf.shape[:axes], -1).all(axis=-1)
        for leaf in jax.tree.leaves(tree)
    ]
    return jnp.stack(found).all(axis=0)
