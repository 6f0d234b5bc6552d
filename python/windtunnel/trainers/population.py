"""Cohorts of any size through one compiled program, spread over the devices.

The lanes of a cohort are dealt out to the devices in turn (`shard_map`), in chunks; each
device runs `trainers.program` on its own. A program compiled for a larger cohort serves
every smaller one, and a lane's numbers are the same in all of them.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from windtunnel.trainers.program import Data, Hyper, Shape, Trained, train_folds


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
        self._everywhere = NamedSharding(self._mesh, _spec())
        self._dealt = NamedSharding(self._mesh, _spec("lanes"))
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
            dealt: jax.Array = jax.device_put(table, self._dealt)
            return dealt

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
            return train_folds(self.module, self.shape, data, hyper, chunks[0], keep=keep)

        dealt, after_seed = _spec("lanes"), _spec(None, None, "lanes")
        program = jax.jit(
            jax.shard_map(
                on_device,
                mesh=self._mesh,
                in_specs=(_spec(), dealt, dealt),
                out_specs=Trained(_spec(None, "lanes"), *4 * (after_seed,)),
                check_vma=False,  # lanes never talk to one another
            )
        )
        size = self._mesh.size
        lane = np.ones((size * capacity, self.shape.lanes), np.float32)
        hyper, chunks = jax.device_put(
            (Hyper(lane, lane, lane, lane), np.zeros(size, np.int32)), self._dealt
        )
        with jax.enable_x64(False):  # whatever the user's own code has chosen
            return program.lower(self._data, hyper, chunks).compile()


def _spec(*axes: str | None) -> PartitionSpec:
    """Over which axes of the mesh the leading axes of an array are dealt out."""
    return PartitionSpec(*axes)  # type: ignore[no-untyped-call]
