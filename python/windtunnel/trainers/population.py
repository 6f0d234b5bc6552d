"""One compiled program that trains C configurations x K folds x S seeds and scores them.

Loops, from the outside: devices (`shard_map`, the lanes dealt out in turn), folds, seeds,
blocks of steps, chunks of lanes, steps. A lane is one configuration; a chunk is a fixed
small number of lanes trained side by side with `vmap`. What configurations share (the
standardised minibatches and dropout bits of a block of steps) is made once a block.

Why small chunks: activations of few lanes stay in the cache (on two CPU cores 16 lanes
side by side train at half the speed of one or two), and a lane is computed by the same
instructions wherever it stands. The number of chunks is an argument of the program, so
that no cohort size is compiled differently, and a smaller cohort reuses the program of a
larger one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from windtunnel.protocols import Kind
from windtunnel.trainers import losses, minibatches, optimiser
from windtunnel.trainers.scoring import score_rows, standardise

# Lanes of a chunk; see bench/test_training.py for the figures behind the number.
LANES = 2
# Bound of the tables of minibatches and dropout bits; a longer training takes more blocks.
TABLE_BYTES = 32 * 2**20


class Data(NamedTuple):
    """What all lanes read, held once on every device.

    features (R, F) and labels (R,) float32 with R = T * N rows; rows (K, M) int32 the
    training rows of each fold, padded; counts (K,) int32 how many of them count; mean and
    scale (K, F) float32; first (K,) int32 the first validation row.
    """

    features: Any
    labels: Any
    rows: Any
    counts: Any
    mean: Any
    scale: Any
    first: Any


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
    factor: Any


@dataclass(frozen=True)
class Shape:
    """What a program is compiled for, apart from the data's shapes."""

    kind: Kind
    steps: int
    batch_size: int
    seeds: int
    seed: int
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


class Population:
    """The program for one model and one task, compiled when first needed.

    Parameters
    ----------
    module : flax.linen.Module
        Keeps the contract of `windtunnel.models.factory`.
    data : Data
        NumPy arrays; copied to every device.
    shape : Shape
        Steps, seeds and layout.
    devices : list of jax devices
        Lanes are dealt out over these.

    Attributes
    ----------
    compilations : list of (int, float)
        Lanes and seconds of every program compiled (or read from the persistent cache).
    """

    def __init__(self, module: Any, data: Data, shape: Shape, devices: list[Any]) -> None:
        self.module = module
        self.shape = shape
        self.compilations: list[tuple[int, float]] = []
        self._mesh = Mesh(np.array(devices), ("lanes",), axis_types=(AxisType.Auto,))
        self._everywhere = NamedSharding(self._mesh, PartitionSpec())
        self._dealt = NamedSharding(self._mesh, PartitionSpec("lanes"))
        self._data = jax.device_put(data, self._everywhere)
        self._programs: dict[tuple[int, bool], Any] = {}

    def train(self, hyper: Hyper, *, keep: bool) -> Trained:
        """Train the cohort whose hyperparameters are (C,) float32 arrays; NumPy comes back."""
        cohort, lanes = len(hyper.learning_rate), self.shape.lanes
        chunks = -(-cohort // lanes)
        devices = self._mesh.size
        capacity, program = self._program(-(-chunks // devices), keep=keep)

        # Chunk j goes to device j mod D, so that a small cohort keeps every device busy.
        turn = np.arange(chunks)
        row = turn % devices * capacity + turn // devices

        def deal(values: npt.NDArray[np.float32]) -> jax.Array:
            table = np.full((devices * capacity, lanes), values[-1])
            table[row] = np.pad(values, (0, chunks * lanes - cohort), "edge").reshape(-1, lanes)
            return jax.device_put(table, self._dealt)

        counts = np.array([np.sum(turn % devices == d) for d in range(devices)], np.int32)
        out = program(self._data, Hyper(*map(deal, hyper)), jax.device_put(counts, self._dealt))

        def gather(values: jax.Array, axis: int) -> npt.NDArray[Any]:
            """Bring (..., D * capacity, lanes, ...) back to (..., C, ...)."""
            found = np.take(np.asarray(values), row, axis=axis)
            merged = found.reshape(*found.shape[:axis], -1, *found.shape[axis + 2 :])
            return np.take(merged, np.arange(cohort), axis=axis)

        return Trained(
            scores=gather(out.scores, 1),
            loss=gather(out.loss, 2),
            failed_at=gather(out.failed_at, 2),
            finite=gather(out.finite, 2),
            params=jax.tree.map(lambda leaf: gather(leaf, 2), out.params),
        )

    def _program(self, needed: int, *, keep: bool) -> tuple[int, Any]:
        """The smallest compiled program with room for `needed` chunks a device, or a new one."""
        fitting = [room for room, kept in self._programs if room >= needed and kept == keep]
        capacity = min(fitting, default=needed)
        if not fitting:
            began = time.perf_counter()
            self._programs[capacity, keep] = self._compile(capacity, keep=keep)
            lanes = capacity * self._mesh.size * self.shape.lanes
            self.compilations.append((lanes, time.perf_counter() - began))
        return capacity, self._programs[capacity, keep]

    def _compile(self, capacity: int, *, keep: bool) -> Any:
        def on_device(data: Data, hyper: Hyper, chunks: jax.Array) -> Trained:
            return _train_folds(self.module, self.shape, data, hyper, chunks[0], keep=keep)

        dealt, everywhere = self._dealt.spec, self._everywhere.spec
        after_fold = PartitionSpec(None, *dealt)
        after_seed = PartitionSpec(None, None, *dealt)
        program = jax.jit(
            jax.shard_map(
                on_device,
                mesh=self._mesh,
                in_specs=(everywhere, dealt, dealt),
                out_specs=Trained(after_fold, after_seed, after_seed, after_seed, after_seed),
                check_vma=False,  # lanes never talk to one another
            )
        )
        rows = self._mesh.size * capacity
        lane = jax.ShapeDtypeStruct((rows, self.shape.lanes), jnp.float32, sharding=self._dealt)
        chunks = jax.ShapeDtypeStruct((self._mesh.size,), jnp.int32, sharding=self._dealt)
        return program.lower(self._data, Hyper(lane, lane, lane, lane), chunks).compile()


def _train_folds(
    module: Any, shape: Shape, data: Data, hyper: Hyper, chunks: jax.Array, *, keep: bool
) -> Trained:
    """All folds, one after another; `hyper` leaves are (capacity, lanes)."""

    def one_fold(fold: jax.Array) -> Trained:
        def one_seed(seed_index: jax.Array) -> Lane:
            return _train_seed(module, shape, data, hyper, chunks, fold, seed_index)

        lanes = lax.map(one_seed, jnp.arange(shape.seeds))
        rows = lax.dynamic_slice_in_dim(data.features, data.first[fold], shape.validation_rows)

        def score(chunk: jax.Array, scores: jax.Array) -> jax.Array:
            params = jax.tree.map(
                lambda leaf: lax.dynamic_index_in_dim(leaf, chunk, 1, keepdims=False), lanes.params
            )
            found = jax.vmap(
                lambda one: score_rows(
                    module, shape.kind, one, data.mean[fold], data.scale[fold], rows
                ),
                in_axes=1,
            )(params)
            return lax.dynamic_update_index_in_dim(scores, found, chunk, 0)

        room = jnp.zeros((*hyper.dropout.shape, shape.validation_rows), jnp.float32)
        return Trained(
            scores=lax.fori_loop(0, chunks, score, room),
            loss=lanes.loss,
            failed_at=lanes.failed_at,
            finite=_all_finite(lanes.params, axes=3),
            params=lanes.params if keep else None,
        )

    return lax.map(one_fold, jnp.arange(len(data.counts)))


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
    key = minibatches.model_key(shape.seed, fold, seed_index)
    sample = jnp.zeros((1, data.features.shape[1]), jnp.float32)
    params = module.init(minibatches.initial_key(key), sample)["params"]
    start = Lane(
        params,
        optimiser.MOMENTS.init(params),
        jnp.asarray(jnp.inf, jnp.float32),
        jnp.asarray(-1, jnp.int32),
    )
    everyone = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (*hyper.dropout.shape, *leaf.shape)), start
    )
    block = block_length(shape, data.features.shape[1], module.masked_units)

    def advance(index: jax.Array, state: Lane) -> Lane:
        first = index * block
        count = jnp.minimum(block, shape.steps - first)
        table = _table(module, shape, data, fold, key, first + jnp.arange(block))

        def train(chunk: jax.Array, state: Lane) -> Lane:
            here, values = jax.tree.map(
                lambda leaf: lax.dynamic_index_in_dim(leaf, chunk, 0, keepdims=False),
                (state, hyper),
            )
            there = jax.vmap(
                lambda lane, hyper: _train_lane(
                    module, shape.kind, lane, hyper, table, first, count
                )
            )(here, values)
            return jax.tree.map(
                lambda leaf, new: lax.dynamic_update_index_in_dim(leaf, new, chunk, 0),
                state,
                there,
            )

        return lax.fori_loop(0, chunks, train, state)

    return lax.fori_loop(0, -(-shape.steps // block), advance, everyone)


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
        now = jax.tree.map(
            lambda leaf: lax.dynamic_index_in_dim(leaf, index, 0, keepdims=False), table
        )

        def minibatch_loss(params: Any) -> jax.Array:
            logits = module.apply({"params": params}, now.inputs, hyper.dropout, now.bits)
            return losses.loss(kind, logits, now.labels, hyper.label_smoothing)

        loss, gradient = jax.value_and_grad(minibatch_loss)(lane.params)
        params, moments = optimiser.update(
            gradient,
            lane.moments,
            lane.params,
            hyper.learning_rate * now.factor,
            hyper.weight_decay,
        )
        fresh = (lane.failed_at < 0) & ~jnp.isfinite(loss)
        return Lane(params, moments, loss, jnp.where(fresh, first + index, lane.failed_at))

    return lax.fori_loop(0, count, step, lane)


def _table(
    module: Any, shape: Shape, data: Data, fold: jax.Array, key: jax.Array, steps: jax.Array
) -> Table:
    """Standardised minibatches, dropout bits and learning-rate factors of a block of steps."""

    def one(step: jax.Array) -> Table:
        positions = minibatches.batch_positions(key, step, shape.batch_size, data.counts[fold])
        rows = data.rows[fold, positions]
        return Table(
            standardise(data.features[rows], data.mean[fold], data.scale[fold]),
            data.labels[rows],
            minibatches.dropout_bits(key, step, shape.batch_size, module.masked_units),
            optimiser.learning_rate_factor(shape.steps, step),
        )

    return jax.vmap(one)(steps)


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
