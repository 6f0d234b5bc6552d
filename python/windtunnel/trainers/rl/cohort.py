"""Cohorts of policies through compiled programs, dealt out over the devices in chunks of lanes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from windtunnel.trainers.rl.program import (
    Data,
    Hyper,
    Plan,
    decide_lanes,
    for_chunks,
    start_state,
    train_lanes,
)


class Cohort:
    """The programs for one task and one plan, compiled when first needed.

    A program that was compiled for a larger cohort serves every smaller one, and a lane's
    numbers are the same in all of them.

    Parameters
    ----------
    plan : Plan
    data : Data
        NumPy arrays; copied to every device.
    devices : sequence of jax devices

    Attributes
    ----------
    compilations : list of (str, int, float)
        Program, lanes and seconds of each that was compiled or read from the cache.
    """

    def __init__(self, plan: Plan, data: Data, devices: Sequence[Any]) -> None:
        self.plan = plan
        self.compilations: list[tuple[str, int, float]] = []
        self._mesh = Mesh(np.array(devices), ("lanes",), axis_types=(AxisType.Auto,))
        self._everywhere = NamedSharding(self._mesh, _spec())
        self._dealt = NamedSharding(self._mesh, _spec("lanes"))
        self._data = jax.device_put(data, self._everywhere)
        self._programs: dict[tuple[str, int, int], Any] = {}
        self._start: Any = None

    def start(self, lanes: int) -> Any:
        """Learners of `lanes` configurations before the first update; leaves (C, K, S, ...)."""
        if self._start is None:
            with jax.enable_x64(False):  # whatever the user's own code has chosen
                begun = jax.jit(lambda data: start_state(self.plan, data))(self._data)
            self._start = jax.tree.map(np.asarray, begun)
        return jax.tree.map(lambda leaf: np.broadcast_to(leaf, (lanes, *leaf.shape)), self._start)

    def train(self, hyper: Hyper, state: Any, first: int, stop: int) -> Any:
        """Learners, leaves (C, K, S, ...), after the updates `first` to `stop` - 1."""

        def work(data: Data, given: Any, first: jax.Array, stop: jax.Array) -> Any:
            hyper, state = given
            return train_lanes(self.plan, data, hyper, state, first, stop)

        return self._run("train", work, (hyper, state), (np.int32(first), np.int32(stop)))

    def decide(
        self, hyper: Hyper, params: Any, mix: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Levels (C, V, A, N) of trained lanes on the bars to decide on, in order."""

        def work(data: Data, given: Any, mix: jax.Array) -> jax.Array:
            hyper, params = given
            return decide_lanes(self.plan, data, hyper, params, mix)

        levels: npt.NDArray[np.float32] = self._run("decide", work, (hyper, params), (mix,))
        return levels

    def _run(self, name: str, work: Callable[..., Any], given: Any, shared: tuple[Any, ...]) -> Any:
        """Deal the lanes of `given` out, work on each chunk, and bring (C, ...) arrays back."""
        lanes, devices = self.plan.lanes, self._mesh.size
        cohort = len(jax.tree.leaves(given)[0])
        chunks = -(-cohort // lanes)
        kind = np.size(shared[0])
        needed = -(-chunks // devices)
        fitting = [
            room
            for other, room, size in self._programs
            if (other, size) == (name, kind) and room >= needed
        ]
        capacity = min(fitting, default=needed)
        # Chunk j goes to device j mod D, so that a small cohort keeps every device busy. Places
        # beyond the cohort repeat its last lane.
        turn = np.arange(chunks)
        row = turn % devices * capacity + turn // devices
        source = np.full((devices * capacity, lanes), cohort - 1)
        source[row] = np.minimum(np.arange(chunks * lanes), cohort - 1).reshape(-1, lanes)
        counts = np.bincount(turn % devices, minlength=devices).astype(np.int32)
        dealt, counted = jax.device_put(
            (jax.tree.map(lambda leaf: np.asarray(leaf)[source], given), counts), self._dealt
        )
        arguments = (self._data, dealt, counted, *jax.device_put(shared, self._everywhere))
        key = (name, capacity, kind)
        if key not in self._programs:
            began = time.perf_counter()
            self._programs[key] = self._compile(work, arguments)
            seconds = time.perf_counter() - began
            self.compilations.append((name, capacity * devices * lanes, seconds))

        def gather(values: jax.Array) -> npt.NDArray[Any]:
            found: npt.NDArray[Any] = np.asarray(values)[row]
            return found.reshape(chunks * lanes, *found.shape[2:])[:cohort]

        return jax.tree.map(gather, self._programs[key](*arguments))

    def _compile(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        def program(data: Data, given: Any, chunks: jax.Array, *shared: jax.Array) -> Any:
            return for_chunks(chunks[0], lambda own: work(data, own, *shared), given)

        spread = jax.shard_map(
            program,
            mesh=self._mesh,
            in_specs=(
                _spec(), _spec("lanes"), _spec("lanes"), *(_spec() for _ in arguments[3:]),
            ),
            out_specs=_spec("lanes"),
            check_vma=False,  # lanes never talk to one another
        )  # fmt: skip
        with jax.enable_x64(False):  # as above
            return jax.jit(spread).lower(*arguments).compile()


def _spec(*axes: str | None) -> PartitionSpec:
    """Over which axes of the mesh the leading axes of an array are dealt out."""
    return PartitionSpec(*axes)  # type: ignore[no-untyped-call]
