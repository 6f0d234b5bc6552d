"""The champion: the trial whose neighbourhood, not whose own luck, is best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import overfitting
from windtunnel.course import Course
from windtunnel.tuning.space import unit_cube

Float64Array = npt.NDArray[np.float64]

# Fewest and most neighbours that a plateau averages over; in between, the root of the trials.
PLATEAU_NEIGHBOURS = (3, 32)
# Beside the objective: a champion by one metric alone is often an accident of that metric.
COMPANIONS = ("sharpe", "sortino", "calmar")


@dataclass(frozen=True)
class Champion:
    """The chosen trial and why.

    `plateau` is the mean objective of it and its nearest neighbours in the search space.
    """

    number: int
    params: dict[str, Any]
    objective: float
    plateau: float
    neighbours: int


def choose_champion(course: Course, trials: pl.DataFrame) -> Champion:
    """Choose a complete trial by `stand_out`, over the objective and its companions."""
    search = course.study.search
    complete = trials.drop_nulls("objective").sort("number")
    points = unit_cube(search, complete.select(list(search)).to_dicts())
    metrics = complete.select("objective", *map(_filled, COMPANIONS)).to_numpy().T
    neighbours = neighbourhood(len(complete))
    best, plateau = stand_out(points, metrics, neighbours)
    row = complete.row(best, named=True)
    return Champion(
        number=row["number"],
        params={name: row[name] for name in search if row[name] is not None},
        objective=float(row["objective"]),
        plateau=plateau,
        neighbours=neighbours,
    )


def chosen_from(trials: pl.DataFrame) -> npt.NDArray[np.int64]:
    """(M,) numbers of the trials that a champion stands out of: those with a curve, pruned too.

    What a pruned trial earned until it was stopped decided that it was. Statistics of the
    survivors alone would take a selection for all there was.
    """
    found = trials.filter(pl.col("state") != "failed")["number"]
    return found.to_numpy().astype(np.int64)


def _filled(name: str) -> pl.Expr:
    """A ratio of every trial, also of those that have none.

    One that never traded is worth nothing. One that gained without a loss, a fall or any
    variation to divide by stands with the best that has the ratio, and not below it.
    """
    best = pl.max_horizontal(pl.col(name).max(), pl.lit(0.0))
    gained = pl.when(pl.col("total_return") > 0).then(best).otherwise(0.0)
    return pl.col(name).fill_null(gained).alias(name)


def neighbourhood(trials: int) -> int:
    """How many trials, itself included, make a trial's neighbourhood."""
    low, high = PLATEAU_NEIGHBOURS
    return min(trials, max(low, min(high, math.isqrt(trials))))


def stand_out(points: Float64Array, metrics: Float64Array, neighbours: int) -> tuple[int, float]:
    """Index of the trial whose neighbourhood ranks best, and its mean first metric.

    A lone peak among poor neighbours is what overfitting looks like; the mean over the
    nearest trials of the search space is the more honest maximum. For each metric the
    neighbourhoods are ranked, and the ranks averaged, so that no metric's scale decides.
    Ties go to the better first metric, then to the earlier trial.

    Parameters
    ----------
    points : (C, P) float64
        Trials in the unit cube of the search space.
    metrics : (M, C) float64
        Larger is better; the first one is the study's objective.
    neighbours : int
        Size of a neighbourhood, the trial itself included.
    """
    plateaus = np.stack([overfitting.plateau(points, metric, neighbours) for metric in metrics])
    ranks = np.mean([pl.Series(row).rank().to_numpy() for row in plateaus], axis=0)
    # Sorted by mean rank, then by the objective's plateau; lexsort's last key comes first.
    order = np.lexsort((-np.arange(len(ranks)), plateaus[0], ranks))
    best = int(order[-1])
    return best, float(plateaus[0, best])
