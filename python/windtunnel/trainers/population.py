"""Cohorts of any size through one compiled program, spread over the devices.

A cohort is taken in slabs, as large as the memory plan allows. Chunks of a slab's lanes, fold
by fold, are dealt out to the devices (`shard_map`); each device runs `trainers.program` on its
own. A program compiled for a larger slab serves every smaller one, and a lane's numbers are the
same in all of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from windtunnel.trainers.arrays import Data, Hyper, Lane, Shape, Trained
from windtunnel.trainers.dealing import Deal, deal, needed_places
from windtunnel.trainers.program import start_places, train_places
from windtunnel.trainers.scoring import Network
from windtunnel.trainers.slab_sizes import SlabSizes


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
    slab_sizes : SlabSizes, optional
        What is known of smaller slabs, which may be faster; by default what is kept of this
        machine.

    Attributes
    ----------
    compilations : list of Compilation
        Every program so far.
    """

    def __init__(
        self,
        network: Network,
        data: Data,
        shape: Shape,
        devices: list[Any],
        slab: int,
        slab_sizes: SlabSizes | None = None,
    ) -> None:
        self.network = network
        self.shape = shape
        self.slab = slab
        self.slab_sizes = slab_sizes or SlabSizes.of(network, data, shape, devices)
        self.compilations: list[Compilation] = []
        self._mesh = Mesh(np.array(devices), ("lanes",), axis_types=(AxisType.Auto,))
        self._dealt = NamedSharding(self._mesh, _spec("lanes"))
        self._dealt_state = NamedSharding(self._mesh, _spec(None, "lanes"))
        self._folds = len(data.counts)
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
        cohort, start = len(hyper.learning_rate), 0
        # Compiled for the largest slab, so that smaller ones need no program of their own.
        places = needed_places(
            min(cohort, self.slab), self.shape.lanes, self._folds, self._mesh.size
        )
        program = self._program(places, masked=hyper.feature_mask is not None)
        while start < cohort:
            lanes = slice(start, start + self.slab_sizes.choose(self.slab, cohort - start))
            own = jax.tree.map(lambda leaf, part=lanes: leaf[part], hyper)
            before = jax.tree.map(lambda leaf, part=lanes: leaf[:, :, part], state)
            began = time.perf_counter()
            trained = self._train_slab(program, own, before, first, stop)
            if 2 * (stop - first) > self.shape.steps:  # in a short stretch other things count
                seconds = time.perf_counter() - began
                self.slab_sizes.note(lanes.stop - start, self.slab, stop - first, seconds)
            yield lanes, trained
            start = lanes.stop

    def fetch(self, state: Lane, lanes: int) -> Lane:
        """Bring the state of a slab of `lanes` lanes home: NumPy leaves (K, S, lanes, ...)."""
        dealt = self._deal(lanes, state.loss.shape[1] // self._mesh.size)
        fetched: Lane = jax.tree.map(
            lambda leaf: dealt.gather(np.asarray(leaf), 1).swapaxes(0, 1), state
        )
        return fetched

    def _train_slab(
        self,
        program: tuple[int, tuple[Any, Any]],
        hyper: Hyper,
        state: Lane | None,
        first: int,
        stop: int,
    ) -> Trained:
        lanes = len(hyper.learning_rate)
        room, (start, advance) = program
        dealt = self._deal(lanes, room)
        own = jax.device_put(jax.tree.map(lambda leaf: leaf[dealt.lane], hyper), self._dealt)
        if state is None:
            placed = start(self._data, jax.device_put(dealt.fold, self._dealt))
        else:
            placed = jax.device_put(jax.tree.map(dealt.spread, state), self._dealt_state)
        out = advance(
            self._data,
            own,
            placed,
            jax.device_put(dealt.bounds, self._dealt),
            np.int32(first),
            np.int32(stop),
        )
        return Trained(
            out.state,
            dealt.gather(np.asarray(out.scores), 0),
            dealt.gather(np.asarray(out.finite), 1).swapaxes(0, 1),
        )

    def _deal(self, lanes: int, room: int) -> Deal:
        return deal(lanes, self.shape.lanes, self._folds, self._mesh.size, room)

    def _program(self, needed: int, *, masked: bool) -> tuple[int, tuple[Any, Any]]:
        """The smallest compiled program with `needed` places on a device, or a new one."""
        fitting = [room for room, kept in self._programs if room >= needed and kept == masked]
        room = min(fitting, default=needed)
        if not fitting:
            began = time.perf_counter()
            self._programs[room, masked] = self._compile(room, masked=masked)
            lanes = room * self._mesh.size * self.shape.lanes // self._folds
            self.compilations.append(Compilation(lanes, time.perf_counter() - began))
        return room, self._programs[room, masked]

    def _compile(self, room: int, *, masked: bool) -> tuple[Any, Any]:
        """The program that makes the state before the first step, and the one that trains."""
        width, size = self.shape.lanes, self._mesh.size
        everywhere, dealt, behind = _spec(), _spec("lanes"), _spec(None, "lanes")

        def begin(data: Data, folds: jax.Array) -> Lane:
            return start_places(self.network, self.shape, data, folds)

        def advance(
            data: Data, hyper: Hyper, state: Lane, bounds: jax.Array, first: Any, stop: Any
        ) -> Trained:
            return train_places(
                self.network, self.shape, data, hyper, state, bounds[0], first, stop
            )

        # Lanes never talk to one another, hence there is nothing to check.
        start = jax.jit(
            jax.shard_map(
                begin,
                mesh=self._mesh,
                in_specs=(everywhere, dealt),
                out_specs=behind,
                check_vma=False,
            )
        )
        train = jax.jit(
            jax.shard_map(
                advance,
                mesh=self._mesh,
                in_specs=(everywhere, dealt, behind, dealt, everywhere, everywhere),
                out_specs=Trained(behind, dealt, behind),
                check_vma=False,
            ),
            donate_argnums=2,
        )
        lane = np.ones((size * room, width), np.float32)
        mask = np.ones((*lane.shape, self._data.features.shape[1]), np.float32)
        hyper, bounds, folds = jax.device_put(
            (
                Hyper(lane, lane, lane, lane, mask if masked else None),
                np.zeros((size, self._folds, 2), np.int32),
                np.zeros(size * room, np.int32),
            ),
            self._dealt,
        )
        with jax.enable_x64(False):  # whatever the user's own code has chosen
            started = start.lower(self._data, folds).compile()
            state = jax.tree.map(self._abstract, jax.eval_shape(start, self._data, folds))
            step = np.int32(0)
            trained = train.lower(self._data, hyper, state, bounds, step, step).compile()
        return started, trained

    def _abstract(self, leaf: Any) -> Any:
        """A leaf of the state as the program is compiled for it."""
        return jax.ShapeDtypeStruct(  # type: ignore[no-untyped-call]
            leaf.shape, leaf.dtype, sharding=self._dealt_state
        )


def _spec(*axes: str | None) -> PartitionSpec:
    """Over which axes of the mesh the leading axes of an array are dealt out."""
    return PartitionSpec(*axes)  # type: ignore[no-untyped-call]
