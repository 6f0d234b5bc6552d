"""Cohorts of any size through one compiled program, spread over the devices.

A cohort is taken in slabs, as large as the memory plan allows. The lanes of a slab are dealt
out to the devices in turn (`shard_map`), in chunks; each device runs `trainers.program` on
its own. A program compiled for a larger slab serves every smaller one, and a lane's numbers
are the same in all of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from windtunnel.trainers.program import (
    Data,
    Hyper,
    Lane,
    Shape,
    Trained,
    start_lanes,
    train_folds,
)
from windtunnel.trainers.scoring import Network


@dataclass(frozen=True)
class Compilation:
    """A program that was compiled, or read from the persistent cache, for up to `lanes` lanes."""

    lanes: int
    seconds: float


class Population:
    """The program for one model and one task, compiled when first needed.

    Parameters
    ----------
    network : Network
    data : Data
        NumPy arrays; copied to every device.
    shape : Shape
        Steps, seeds and layout.
    devices : list of jax devices
        Lanes are dealt out over these.
    slab : int
        Most lanes in the program at once. It decides memory, not results.

    Attributes
    ----------
    compilations : list of Compilation
        Every program so far.
    """

    def __init__(
        self, network: Network, data: Data, shape: Shape, devices: list[Any], slab: int
    ) -> None:
        self.network = network
        self.shape = shape
        self.slab = slab
        self.compilations: list[Compilation] = []
        self._mesh = Mesh(np.array(devices), ("lanes",), axis_types=(AxisType.Auto,))
        self._dealt = NamedSharding(self._mesh, _spec("lanes"))
        self._dealt_state = NamedSharding(self._mesh, _spec(None, None, "lanes"))
        self._data = jax.device_put(data, NamedSharding(self._mesh, _spec()))
        self._programs: dict[tuple[int, bool], tuple[Any, Any]] = {}

    def train(
        self, hyper: Hyper, state: Lane | None, first: int, stop: int
    ) -> Iterator[tuple[slice, Trained]]:
        """Train a cohort from step `first` to `stop` - 1, slab by slab.

        Parameters
        ----------
        hyper : Hyper
            Leaves (C, ...), NumPy, float32.
        state : Lane or None
            Leaves (K, S, C, ...), NumPy, as `fetch` returns them; None starts anew.

        Yields
        ------
        slice, Trained
            Which lanes of the cohort, and what became of them, in NumPy but for the state,
            which stays on the devices; `fetch` brings it home.
        """
        cohort = len(hyper.learning_rate)
        for start in range(0, cohort, self.slab):
            lanes = slice(start, min(start + self.slab, cohort))
            own = jax.tree.map(lambda leaf, part=lanes: leaf[part], hyper)
            before = jax.tree.map(lambda leaf, part=lanes: leaf[:, :, part], state)
            yield lanes, self._train_slab(own, before, first, stop)

    def fetch(self, state: Lane, lanes: int) -> Lane:
        """Bring the state of a slab of `lanes` lanes home: NumPy leaves (K, S, lanes, ...)."""
        row, _ = self._deal(lanes, state.loss.shape[2] // self._mesh.size)
        fetched: Lane = jax.tree.map(lambda leaf: self._gather(leaf, 2, row, lanes), state)
        return fetched

    def _train_slab(self, hyper: Hyper, state: Lane | None, first: int, stop: int) -> Trained:
        lanes, devices = len(hyper.learning_rate), self._mesh.size
        chunks = -(-lanes // self.shape.lanes)
        capacity, (start, advance) = self._program(
            -(-chunks // devices), masked=hyper.feature_mask is not None
        )
        row, source = self._deal(lanes, capacity)
        dealt = jax.device_put(jax.tree.map(lambda leaf: leaf[source], hyper), self._dealt)
        if state is None:
            placed = start(self._data)
        else:
            placed = jax.device_put(
                jax.tree.map(lambda leaf: leaf[:, :, source], state), self._dealt_state
            )
        counts = np.bincount(np.arange(chunks) % devices, minlength=devices).astype(np.int32)
        out = advance(
            self._data,
            dealt,
            placed,
            jax.device_put(counts, self._dealt),
            np.int32(first),
            np.int32(stop),
        )
        return Trained(
            out.state,
            self._gather(out.scores, 1, row, lanes),
            self._gather(out.finite, 2, row, lanes),
        )

    def _deal(self, lanes: int, capacity: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Row of each chunk in the program, and the lane that stands at each place of it.

        Chunk j goes to device j mod D, so that a small cohort keeps every device busy. Places
        beyond the cohort repeat its last lane.
        """
        width, devices = self.shape.lanes, self._mesh.size
        turn = np.arange(-(-lanes // width))
        row = turn % devices * capacity + turn // devices
        source = np.full((devices * capacity, width), lanes - 1)
        source[row] = np.minimum(np.arange(len(turn) * width), lanes - 1).reshape(-1, width)
        return row, source

    def _gather(
        self, values: jax.Array, axis: int, row: npt.NDArray[np.intp], lanes: int
    ) -> npt.NDArray[Any]:
        """Bring (..., D * capacity, width, ...) back to (..., lanes, ...)."""
        found = np.take(np.asarray(values), row, axis=axis)
        merged = found.reshape(*found.shape[:axis], -1, *found.shape[axis + 2 :])
        return np.take(merged, np.arange(lanes), axis=axis)

    def _program(self, needed: int, *, masked: bool) -> tuple[int, tuple[Any, Any]]:
        """The smallest compiled program with room for `needed` chunks a device, or a new one."""
        fitting = [room for room, kept in self._programs if room >= needed and kept == masked]
        capacity = min(fitting, default=needed)
        if not fitting:
            began = time.perf_counter()
            self._programs[capacity, masked] = self._compile(capacity, masked=masked)
            lanes = capacity * self._mesh.size * self.shape.lanes
            self.compilations.append(Compilation(lanes, time.perf_counter() - began))
        return capacity, self._programs[capacity, masked]

    def _compile(self, capacity: int, *, masked: bool) -> tuple[Any, Any]:
        """The program that makes the state before the first step, and the one that trains."""
        width, size = self.shape.lanes, self._mesh.size
        everywhere, dealt, behind = _spec(), _spec("lanes"), _spec(None, None, "lanes")

        def begin(data: Data) -> Lane:
            return start_lanes(self.network, self.shape, data, (capacity, width))

        def advance(
            data: Data, hyper: Hyper, state: Lane, chunks: jax.Array, first: Any, stop: Any
        ) -> Trained:
            return train_folds(self.network, self.shape, data, hyper, state, chunks[0], first, stop)

        # Lanes never talk to one another, hence there is nothing to check.
        start = jax.jit(
            jax.shard_map(
                begin, mesh=self._mesh, in_specs=everywhere, out_specs=behind, check_vma=False
            )
        )
        train = jax.jit(
            jax.shard_map(
                advance,
                mesh=self._mesh,
                in_specs=(everywhere, dealt, behind, dealt, everywhere, everywhere),
                out_specs=Trained(behind, _spec(None, "lanes"), behind),
                check_vma=False,
            ),
            donate_argnums=2,
        )
        lane = np.ones((size * capacity, width), np.float32)
        mask = np.ones((*lane.shape, self._data.features.shape[1]), np.float32)
        hyper, chunks = jax.device_put(
            (Hyper(lane, lane, lane, lane, mask if masked else None), np.zeros(size, np.int32)),
            self._dealt,
        )
        with jax.enable_x64(False):  # whatever the user's own code has chosen
            started = start.lower(self._data).compile()
            state = jax.tree.map(self._abstract, jax.eval_shape(start, self._data))
            step = np.int32(0)
            trained = train.lower(self._data, hyper, state, chunks, step, step).compile()
        return started, trained

    def _abstract(self, leaf: Any) -> Any:
        """A leaf of the state as the program is compiled for it."""
        return jax.ShapeDtypeStruct(  # type: ignore[no-untyped-call]
            leaf.shape, leaf.dtype, sharding=self._dealt_state
        )


def _spec(*axes: str | None) -> PartitionSpec:
    """Over which axes of the mesh the leading axes of an array are dealt out."""
    return PartitionSpec(*axes)  # type: ignore[no-untyped-call]
