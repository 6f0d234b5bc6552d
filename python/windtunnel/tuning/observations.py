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

TAKEN = (TrialState.COMPLETE, TrialState.PRUNED)


class Observations:
    """Complete and pruned trials of a study with one objective.

    Attributes
    ----------
    space : dict of str to BaseDistribution
        The dimensions given, and every one that a trial had, conditional ones too; of a
        dimension that changed, the last.
    running : list of FrozenTrial
        Those that were not finished when trials were last taken in.
    """

    def __init__(self, space: Mapping[str, BaseDistribution] | None = None) -> None:
        self.space: dict[str, BaseDistribution] = dict(space or {})
        self.running: list[FrozenTrial] = []
        self._settled = 0  # so many trials at the beginning of the study are finished
        self._trials: list[FrozenTrial] = []
        self._numbers: set[int] = set()
        self._keys = np.empty((0, 4))
        self._placed_in: dict[str, BaseDistribution] = {}
        self._placed = np.empty((0, 0))

    def __len__(self) -> int:
        return len(self._trials)

    def add(self, trials: Sequence[FrozenTrial], direction: StudyDirection) -> None:
        """Take in what was finished since, from all trials of the study as it keeps them.

        Those at the beginning that were all finished before are not looked at again.
        """
        sign = -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
        new = [
            trial
            for trial in trials[self._settled :]
            if trial.state in TAKEN and trial.number not in self._numbers
        ]
        for trial in new:
            self.space.update(trial.distributions)
        self._trials += new
        self._numbers.update(trial.number for trial in new)
        keys = [(*_rank_key(trial, sign), float(trial.number)) for trial in new]
        self._keys = np.vstack([self._keys, np.array(keys).reshape(-1, 4)])
        while self._settled < len(trials) and trials[self._settled].state.is_finished():
            self._settled += 1
        self.running = [
            trial for trial in trials[self._settled :] if trial.state == TrialState.RUNNING
        ]

    def split(
        self, space: Mapping[str, BaseDistribution], best: int
    ) -> tuple[Float64Array, Float64Array]:
        """Coordinates in `space` of the `best` best trials and of all others, each by number."""
        if self._placed_in != space:
            self._placed_in, self._placed = dict(space), np.empty((0, len(space)))
        new = coordinates(space, self._trials[len(self._placed) :])
        self._placed = np.vstack([self._placed, new])
        *keys, numbers = self._keys.T
        order = np.lexsort([numbers, *keys[::-1]])
        good, others = order[:best], order[best:]
        return (
            self._placed[good[np.argsort(numbers[good])]],
            self._placed[others[np.argsort(numbers[others])]],
        )


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
