"""What one device computes: its lanes from one step to another, on all folds, and their scores.

Pure functions of arrays, traced once and compiled by `trainers.population`. Loops, from
the outside: folds, seeds, blocks of steps, chunks of lanes, steps. A lane is one
configuration; a chunk is a fixed small number of lanes trained side by side with `vmap`.
What lanes share (standardised minibatches and dropout bits of a block of steps) is made
once a block.

Why small chunks: activations of few lanes stay in the cache, where sixteen side by side
train a third slower, and a lane is computed by the same instructions wherever it stands.
The number of chunks is an argument, so that no cohort size is compiled differently; so are
the first step and the one to stop before, so that training in stretches is the same
program, and gives the same bits, as training without a stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from windtunnel.trainers import minibatches, optimiser
from windtunnel.trainers.heads import Batch
from windtunnel.trainers.scoring import Network, masked, mean_of_bar, relative, standardise

_T = TypeVar("_T")

# Lanes of a chunk; see bench/test_training.py for the figures behind the number.
LANES = 2
# Bound of the table of a block of steps; a longer training takes more blocks. It decides
# speed and memory, not results: small blocks stay in the cache, and a stretch that ends
# within a block has drawn little in vain.
TABLE_BYTES = 2 * 2**20
# Rows whose windows are laid out at once for scoring.
_SCORED_ROWS = 2048


class Data(NamedTuple):
    """What all lanes read, held once on every device.

    features (R, F) and labels (R,) float32 with R = T * N rows; rows (K, M) int32 the
    training rows of each fold, padded, or for minibatches of whole bars the bars at which
    pieces may begin; counts (K,) int32 how many of them count; mean and scale (K, F) float32;
    first (K,) int32 the first validation row; seed the study's, an int32 scalar: another seed
    is no reason to compile anew. For minibatches of whole bars, usable (K, R) bool says which
    rows count, and returns (R,) float32 what an exposure earns, if the head asks; else None.
    """

    features: Any
    labels: Any
    rows: Any
    counts: Any
    mean: Any
    scale: Any
    first: Any
    seed: Any
    usable: Any = None
    returns: Any = None


class Hyper(NamedTuple):
    """Hyperparameters of the lanes: one array each, float32, all of one shape.

    `feature_mask` has one more axis, F: 1 for a feature that the lane sees, 0 for one that
    it does not; None where every lane sees all.
    """

    learning_rate: Any
    weight_decay: Any
    dropout: Any
    label_smoothing: Any
    feature_mask: Any = None


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
    batch: Batch
    bits: Any
    pace: Any


@dataclass(frozen=True)
class Shape:
    """What a program is compiled for, apart from the data's shapes.

    `batch_size` counts the rows of a minibatch. With `pieces` above zero it consists of that
    many pieces of consecutive whole bars, all `instruments` of each.
    """

    steps: int
    batch_size: int
    seeds: int
    validation_rows: int
    instruments: int = 1
    pieces: int = 0
    cost: float = 0.0
    precision: str = "float32"
    lanes: int = LANES
    table_bytes: int = TABLE_BYTES

    @property
    def block(self) -> tuple[int, int, int]:
        """Pieces, bars and instruments of a minibatch of whole bars."""
        return self.pieces, self.batch_size // (self.pieces * self.instruments), self.instruments


class Trained(NamedTuple):
    """A cohort as it leaves the program.

    state, of type `Lane`, has leaves (K, S, C, ...); scores (K, C, V*N) float32; finite
    (K, S, C) bool says whether all parameters are.
    """

    state: Any
    scores: Any
    finite: Any


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


def start_lanes(network: Network, shape: Shape, data: Data, room: tuple[int, ...]) -> Lane:
    """State before the first step: leaves (K, S, *room, ...), every lane alike."""

    def one_model(fold: jax.Array, seed_index: jax.Array) -> Lane:
        initial, _ = minibatches.model_keys(data.seed, fold, seed_index)
        sample = jnp.zeros((1, *network.row_shape(data.features.shape[1])), jnp.float32)
        params = network.module.init(initial, sample)["params"]
        return Lane(
            params,
            optimiser.start(params),
            jnp.asarray(jnp.inf, jnp.float32),
            jnp.asarray(-1, jnp.int32),
        )

    over_seeds = jax.vmap(one_model, in_axes=(None, 0))
    models = jax.vmap(over_seeds, in_axes=(0, None))(
        jnp.arange(len(data.counts)), jnp.arange(shape.seeds)
    )

    def spread(leaf: jax.Array) -> jax.Array:
        lanes = leaf.reshape(*leaf.shape[:2], *(1,) * len(room), *leaf.shape[2:])
        return jnp.broadcast_to(lanes, (*leaf.shape[:2], *room, *leaf.shape[2:]))

    everyone: Lane = jax.tree.map(spread, models)
    return everyone


def train_folds(
    network: Network,
    shape: Shape,
    data: Data,
    hyper: Hyper,
    state: Lane,
    chunks: jax.Array,
    first: jax.Array,
    stop: jax.Array,
) -> Trained:
    """Steps `first` to `stop` - 1 of all folds, one after another, and the scores after them.

    Leaves of `hyper` are (capacity, lanes, ...), those of `state` (K, S, capacity, lanes,
    ...). Lanes in chunks beyond the first `chunks` are left as they are, with scores of zero.
    """

    def one_fold(given: tuple[jax.Array, Lane]) -> Trained:
        fold, before = given

        def one_seed(given: tuple[jax.Array, Lane]) -> Lane:
            seed_index, lanes = given
            _, key = minibatches.model_keys(data.seed, fold, seed_index)
            return _train_seed(network, shape, data, hyper, lanes, chunks, fold, key, first, stop)

        after = lax.map(one_seed, (jnp.arange(shape.seeds), before))

        def score(chunk: jax.Array, scores: jax.Array) -> jax.Array:
            def one(params: Any, mask: jax.Array | None) -> jax.Array:
                scaler = {"mean": data.mean[fold], "scale": data.scale[fold]}
                lane = {"network": params, "mask": mask, **scaler}
                return _score_slice(network, shape, data, lane, data.first[fold])

            # Lanes stand behind the seeds in the parameters.
            own = _at(after.params, chunk, axis=1), _at(hyper.feature_mask, chunk)
            found = jax.vmap(one, in_axes=(1, 0))(*own)
            scored: jax.Array = _put(scores, found, chunk)
            return scored

        room = jnp.zeros((*hyper.dropout.shape, shape.validation_rows), jnp.float32)
        return Trained(after, _loop(chunks, score, room), _all_finite(after.params, axes=3))

    folds: Trained = lax.map(one_fold, (jnp.arange(len(data.counts)), state))
    return folds


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


def look_back(features: jax.Array, rows: jax.Array, window: int, instruments: int) -> jax.Array:
    """Features of rows, or of the `window` bars that end there, oldest first.

    Parameters
    ----------
    features : (R, F) float32
        Row t * N + n is instrument n at bar t.
    rows : (B,) int32
    window : int
        0 for the rows as they are.

    Returns
    -------
    (B, F) or (B, window, F) float32
        NaN before the first bar.
    """
    if not window:
        return features[rows]
    back = rows[:, None] - instruments * jnp.arange(window - 1, -1, -1)
    return jnp.where(back[..., None] >= 0, features[jnp.maximum(back, 0)], jnp.nan)


def _train_seed(
    network: Network,
    shape: Shape,
    data: Data,
    hyper: Hyper,
    lanes: Lane,
    chunks: jax.Array,
    fold: jax.Array,
    key: jax.Array,
    first: jax.Array,
    stop: jax.Array,
) -> Lane:
    """All lanes of one fold and seed through steps `first` to `stop` - 1."""
    block = block_length(network, shape, data.features.shape[1])

    def advance(index: jax.Array, state: Lane) -> Lane:
        begin = first + index * block
        count = jnp.minimum(block, stop - begin)
        table = _table(network, shape, data, fold, key, begin + jnp.arange(block))

        def train(chunk: jax.Array, state: Lane) -> Lane:
            here, values = _at((state, hyper), chunk)
            there: Lane = jax.vmap(
                lambda lane, own: _train_lane(network, shape, lane, own, table, begin, count)
            )(here, values)
            trained: Lane = _put(state, there, chunk)
            return trained

        return _loop(chunks, train, state)

    return _loop((stop - first + block - 1) // block, advance, lanes)


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

    return _loop(count, step, lane)


def _table(
    network: Network, shape: Shape, data: Data, fold: jax.Array, key: jax.Array, steps: jax.Array
) -> Table:
    """Standardised minibatches, dropout bits and paces of a block of steps."""

    def one(step: jax.Array) -> Table:
        drawn = minibatches.draw(
            key, step, shape.batch_size, data.counts[fold], network.module.masked_units
        )
        rows, weight = data.rows[fold, drawn.positions], None
        if shape.pieces:
            rows = _whole_bars(shape, rows[: shape.pieces])
            weight = data.usable[fold, rows]
        inputs = look_back(data.features, rows, network.window, shape.instruments)
        inputs = standardise(inputs, data.mean[fold], data.scale[fold])
        if weight is not None:
            inputs = jnp.where(weight.reshape(-1, *(1,) * (inputs.ndim - 1)), inputs, 0)
        return Table(
            inputs.astype(shape.precision),
            _batch(network, shape, data, rows, weight),
            drawn.bits,
            optimiser.pace(shape.steps, step),
        )

    table: Table = jax.vmap(one)(steps)
    return table


def _whole_bars(shape: Shape, starts: jax.Array) -> jax.Array:
    """Rows of the pieces that begin at bars `starts`: bar after bar, all instruments of each."""
    _, bars, instruments = shape.block
    each = starts[:, None] + jnp.arange(bars)
    return (each[..., None] * instruments + jnp.arange(instruments)).reshape(-1)


def _batch(
    network: Network, shape: Shape, data: Data, rows: jax.Array, weight: jax.Array | None
) -> Batch:
    """What the loss compares with; what does not count is 0."""
    labels = data.labels[rows]
    if weight is None:
        return Batch(labels, None, None)
    counts = weight.reshape(shape.block)
    labels = jnp.where(counts, labels.reshape(shape.block), 0)
    share = counts.astype(jnp.float32)
    if network.relative:
        centred = network.head.centre(labels, mean_of_bar(labels, share))
        labels = jnp.where(counts, centred, 0)
    returns = None
    if data.returns is not None:
        returns = jnp.where(counts, data.returns[rows].reshape(shape.block), 0)
    return Batch(labels, share, returns)


def block_length(network: Network, shape: Shape, features: int) -> int:
    """Steps whose table fits into `table_bytes`; at least one."""
    units = int(network.module.masked_units)
    row_bytes = 4 * features * max(network.window, 1) + 4 + units
    if shape.pieces:
        row_bytes += 8
    step_bytes = shape.batch_size * row_bytes + 4
    return max(1, min(shape.steps, shape.table_bytes // step_bytes))


def _all_finite(tree: Any, axes: int) -> jax.Array:
    """Whether all numbers beyond the first `axes` axes of every leaf are finite."""
    found = [
        jnp.isfinite(leaf).reshape(*leaf.shape[:axes], -1).all(axis=-1)
        for leaf in jax.tree.leaves(tree)
    ]
    return jnp.stack(found).all(axis=0)
