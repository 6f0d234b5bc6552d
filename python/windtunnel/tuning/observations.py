"""Finished trials as arrays, taken in once: what is known of them never changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from optuna.study import StudyDirection
from optuna.trial import TrialState

from windtunnel.tuning.axes import Axis, axis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Float64Array = npt.NDArray[np.float64]


class Observations:
    """Complete and pruned trials of a study with one objective.

    Attributes
    ----------
    space : dict of str to BaseDistribution
        The dimensions given, and every one that a trial had, conditional ones too; of a
        dimension that changed, the last.
    """

    def __init__(self, space: Mapping[str, BaseDistribution] | None = None) -> None:
        self.space: dict[str, BaseDistribution] = dict(space or {})
        self._trials: dict[int, FrozenTrial] = {}
        self._keys: dict[int, tuple[float, float, float]] = {}
        self._placed_in: dict[str, BaseDistribution] = {}
        self._placed: dict[int, Float64Array] = {}

    def __len__(self) -> int:
        return len(self._trials)

    def add(self, trials: Sequence[FrozenTrial], direction: StudyDirection) -> None:
        """Take in finished trials; those that are known are passed over."""
        sign = -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
        for trial in trials:
            if trial.number not in self._trials:
                self._trials[trial.number] = trial
                self._keys[trial.number] = _rank_key(trial, sign)
                self.space.update(trial.distributions)

    def split(
        self, space: Mapping[str, BaseDistribution], best: int
    ) -> tuple[Float64Array, Float64Array]:
        """Coordinates in `space` of the `best` best trials and of all others, each by number."""
        numbers = sorted(self._trials)
        if self._placed_in != space:
            self._placed_in, self._placed = dict(space), {}
        new = [number for number in numbers if number not in self._placed]
        placed = coordinates(space, [self._trials[number] for number in new])
        self._placed.update(zip(new, placed, strict=True))
        points = np.array([self._placed[number] for number in numbers]).reshape(-1, len(space))
        keys = np.array([self._keys[number] for number in numbers]).T
        order = np.lexsort(keys[::-1])
        return points[np.sort(order[:best])], points[np.sort(order[best:])]


def coordinates(
    space: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial]
) -> Float64Array:
    """Coordinates (n, P) of trials, NaN where a trial lacks a dimension or had another range.

    Columns are in alphabetical order.
    """
    points = np.full((len(trials), len(space)), np.nan)
    for place, (name, distribution) in enumerate(sorted(space.items())):
        rows = [
            row for row, trial in enumerate(trials) if trial.distributions.get(name) == distribution
        ]
        values = [trials[row].params[name] for row in rows]
        points[rows, place] = axis(distribution).coordinates(values)
    return points


def axes_of(space: Mapping[str, BaseDistribution]) -> tuple[list[str], list[Axis]]:
    """Names and axes of a space, in the order of the columns of `coordinates`."""
    return sorted(space), [axis(space[name]) for name in sorted(space)]


def _rank_key(trial: FrozenTrial, sign: float) -> tuple[float, float, float]:
    """Sorts trials from best to worst: complete, then pruned by step reached and last value."""
    if trial.state == TrialState.COMPLETE:
        return 0.0, 0.0, sign * trial.values[0]
    if trial.intermediate_values:
        step, value = max(trial.intermediate_values.items())
        return 1.0, -float(step), math.inf if math.isnan(value) else sign * value
    return 1.0, 1.0, 0.0
