"""Who survives a rung: rules that look at the values of a part of a cohort.

A part is trained to a rung, scored, and the survivors go on from their state. A rule sees the
part that it decides on and the trials of earlier cohorts, never those that run beside it:
what it decides does not hang on who works how fast.

References
----------
K. Jamieson, A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", AISTATS 2016 (successive halving). L. Li et al., "A system for massively parallel
hyperparameter tuning", MLSys 2020, algorithm 2 (ASHA's rule of promotion). L. Li et al.,
"Hyperband", JMLR 2018, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from windtunnel.errors import TuningError

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
# Values of a trial by steps made; the last one is its final value when it was not pruned.
Reports = Mapping[int, float]

# Rules that look at earlier cohorts.
LOOK_BACK = frozenset({"asha", "median", "percentile"})
# Trials that must have ended before others are held against them, as with Optuna.
FEWEST_ENDED = 5
# Rungs without progress that are let pass.
PATIENCE = 1


@dataclass(frozen=True)
class Look:
    """What is known at a rung.

    Attributes
    ----------
    step : int
        Steps made.
    values : (C,) float64
        Objective of those that are left; NaN for one that failed, which never survives.
    before : sequence of C Reports
        What each of them showed at the rungs before.
    past : sequence of (bool, Reports)
        Trials of earlier cohorts: whether one was trained to the end, and what it showed.
    """

    step: int
    values: Float64Array
    before: Sequence[Reports]
    past: Sequence[tuple[bool, Reports]]


Pruner = Callable[[Look], BoolArray]


def rung_steps(total: int, rungs: int, reduction: int) -> tuple[int, ...]:
    """Steps at which configurations are looked at, the last step included.

    Each is `reduction` times the one before, rounded; the first may be less, as rungs below one
    step are one rung after the first step.
    """
    found = {max(1, round(total / reduction**k)) for k in range(rungs + 1)}
    return tuple(sorted(found))


def bracket(steps: Sequence[int], pruner: str, cohort: int) -> tuple[int, ...]:
    """The rungs of a cohort: with hyperband each cohort in turn leaves out one more."""
    skipped = cohort % len(steps) if pruner == "hyperband" else 0
    return tuple(steps[skipped:])


def make_pruner(name: str, *, reduction: int, percentile: float = 25.0) -> Pruner:
    """The rule of a name that a study file gives.

    Raises
    ------
    TuningError
        The name is unknown.
    """
    if name in ("halving", "hyperband"):
        return partial(_halve, reduction)
    if name == "asha":
        return partial(_asha, reduction)
    if name in ("median", "percentile"):
        return partial(_percentile, 50.0 if name == "median" else percentile)
    if name == "patient":
        return _patient
    raise TuningError(
        f"tuning.pruner: {name!r} is unknown",
        "Choose from halving, asha, hyperband, median, percentile, patient",
    )


def _halve(reduction: int, look: Look) -> BoolArray:
    """The best one in `reduction`, at least one; ties go to the earlier trial."""
    finite = np.isfinite(look.values)
    kept = max(1, math.ceil(len(look.values) / reduction))
    order = np.argsort(np.where(finite, -look.values, np.inf), kind="stable")
    survives = np.zeros(len(look.values), bool)
    survives[order[:kept]] = True
    return survives & finite


def _asha(reduction: int, look: Look) -> BoolArray:
    """Those among the best one in `reduction` of all that ever reached the rung."""
    rivals = [reports[look.step] for _, reports in look.past if look.step in reports]
    known = np.concatenate([look.values[np.isfinite(look.values)], rivals])
    if known.size == 0:
        return np.zeros(len(look.values), bool)
    kept = max(1, math.ceil(known.size / reduction))
    least = np.sort(known)[::-1][kept - 1]
    survives: BoolArray = look.values >= least  # NaN is not
    return survives


def _percentile(percentile: float, look: Look) -> BoolArray:
    """Those whose best value so far is among the best so many percent of what ended, at the rung.

    The rule of Optuna's `PercentilePruner`, whose median is its `MedianPruner`.
    """
    finite = np.isfinite(look.values)
    ended = [reports for complete, reports in look.past if complete and reports]
    rivals = [reports[look.step] for reports in ended if look.step in reports]
    if len(ended) < FEWEST_ENDED or not rivals:
        return finite
    best = [
        max([value, *before.values()])
        for value, before in zip(look.values.tolist(), look.before, strict=True)
    ]
    survives: BoolArray = finite & (np.array(best) >= np.nanpercentile(rivals, 100 - percentile))
    return survives


def _patient(look: Look) -> BoolArray:
    """Those that were no better before the last two rungs: Optuna's `PatientPruner`, patience 1."""
    survives = np.isfinite(look.values)
    for lane, value in enumerate(look.values.tolist()):
        seen = [shown for _, shown in sorted(look.before[lane].items())] + [value]
        survives[lane] &= len(seen) <= PATIENCE + 1 or not (
            max(seen[: -PATIENCE - 1]) > max(seen[-PATIENCE - 1 :])
        )
    return survives
