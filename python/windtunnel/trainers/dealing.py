"""Who computes what: the chunks of every fold, dealt out evenly over the devices.

Folds one after another, each with all its chunks, are cut into as many stretches as there are
devices. A device then makes the minibatches of its own folds only, and a cohort of one chunk
still keeps every device busy. Which device a model falls to has no influence on its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Deal:
    """Lanes of a cohort at the places of a program.

    Attributes
    ----------
    lanes : int
        C, configurations of the cohort.
    place : (K, chunks) int
        Where each chunk of each fold is computed, counted over all devices.
    fold : (places,) int32
        The fold that each place is of.
    lane : (places, width) int
        The lanes that stand there. Places that nobody needs repeat the cohort's last lane.
    bounds : (devices, K, 2) int32
        First place of each fold on each device, and the one after its last, counted on the
        device.
    """

    lanes: int
    place: IntArray
    fold: npt.NDArray[np.int32]
    lane: IntArray
    bounds: npt.NDArray[np.int32]

    def gather(self, values: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
        """Bring (..., places, width, ...) back to (..., K, lanes, ...)."""
        found = np.take(values, self.place, axis=axis)
        merged = found.reshape(*found.shape[: axis + 1], -1, *found.shape[axis + 3 :])
        return np.take(merged, np.arange(self.lanes), axis=axis + 1)

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Lay (K, S, lanes, ...) out as (S, places, width, ...)."""
        return values.swapaxes(0, 1)[:, self.fold[:, None], self.lane]


def needed_places(lanes: int, width: int, folds: int, devices: int) -> int:
    """Places on each device for so many lanes in chunks of `width`."""
    return -(-(-(-lanes // width) * folds) // devices)


def deal(lanes: int, width: int, folds: int, devices: int, room: int) -> Deal:
    """Deal `lanes` lanes of `folds` folds out over devices with `room` places each."""
    chunks = -(-lanes // width)
    share = needed_places(lanes, width, folds, devices)
    item = np.arange(folds * chunks)
    place = item // share * room + item % share
    fold = np.full(devices * room, folds - 1, np.int32)
    fold[place] = item // chunks
    lane = np.full((devices * room, width), lanes - 1, np.intp)
    lane[place] = np.minimum(np.arange(chunks * width), lanes - 1).reshape(-1, width)[item % chunks]
    edges = np.arange(folds + 1) * chunks - share * np.arange(devices)[:, None]
    edges = np.clip(edges, 0, share).astype(np.int32)
    return Deal(
        lanes,
        place.reshape(folds, chunks),
        fold,
        lane,
        np.stack([edges[:, :-1], edges[:, 1:]], axis=-1),
    )
