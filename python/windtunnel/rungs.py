"""A part of a cohort on its way through the rungs: train on, score, part with the rest.

Survivors go on from their state, moved together into a smaller cohort; their numbers are bit
for bit those of a training without stops. What a pruned configuration reached stays in the
table: it was tried, and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel.protocols import Progress
from windtunnel.tuning.pruners import Look, Pruner, Reports
from windtunnel.validation import Evaluation, Params, Pipeline

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ladder:
    """When to look, by what rule, and what was seen before.

    Attributes
    ----------
    steps : tuple of int
        Rungs, the last step of training at the end.
    pruner : callable
    past : sequence of (bool, Reports)
        Trials of earlier cohorts, as `tuning.pruners.Look` takes them.
    """

    steps: tuple[int, ...]
    pruner: Pruner
    past: Sequence[tuple[bool, Reports]] = ()


@dataclass(frozen=True)
class Assessed:
    """C configurations, measured where each was left.

    Attributes
    ----------
    table : polars.DataFrame
        One row a configuration. Beside the columns of a pipeline's table: `steps` made, and
        `rungs`, the list of {step, value} that it showed. A pruned one has metrics but no
        objective.
    equity : (T, C) float64
        Over the validation slices.
    survivors : tuple of int
        How many were left after each rung, the last one included.
    problems : tuple of str
        What went wrong in the user's steps, in sentences.
    """

    table: pl.DataFrame
    equity: Float64Array
    survivors: tuple[int, ...]
    problems: tuple[str, ...]


RUNGS = pl.List(pl.Struct({"step": pl.Int64, "value": pl.Float64}))


@dataclass
class _Group:
    """Configurations of one bucket: those that are left, and how far they have come."""

    pipeline: Pipeline
    standing: npt.NDArray[np.intp]
    progress: Progress


def assess(
    buckets: Sequence[tuple[Pipeline, Sequence[int]]],
    params: Sequence[Params],
    ladder: Ladder | None = None,
) -> Assessed:
    """Take C configurations through all rungs, or through the whole training at once.

    Parameters
    ----------
    buckets : sequence of (Pipeline, lanes)
        Each configuration's place in `params` is in one bucket: those that share a compiled
        program. At a rung all buckets are judged together.
    params : sequence of C Params
    ladder : Ladder or None
    """
    left = _Left(len(params))
    groups = [(pipeline, np.asarray(lanes, np.intp)) for pipeline, lanes in buckets]
    if ladder is None:
        for pipeline, lanes in groups:
            steps = pipeline.trainer.steps
            done = pipeline.evaluate([params[lane] for lane in lanes])
            left.see(lanes, done, steps)
            left.part_with(lanes, pruned=False)
        left.survivors.append(left.finished())
        return left.assessed()
    _climb(groups, params, ladder, left)
    return left.assessed()


def _climb(
    groups: Sequence[tuple[Pipeline, npt.NDArray[np.intp]]],
    params: Sequence[Params],
    ladder: Ladder,
    left: _Left,
) -> None:
    climbing = [
        _Group(pipeline, lanes, pipeline.trainer.start(pipeline.hyper([params[i] for i in lanes])))
        for pipeline, lanes in groups
    ]
    for step in ladder.steps:
        lanes = np.sort(np.concatenate([group.standing for group in climbing]))
        before = [dict(left.reports[lane]) for lane in lanes]
        for group in climbing:
            group.progress, fit = group.pipeline.trainer.advance(group.progress, step)
            here = [params[lane] for lane in group.standing]
            left.see(group.standing, group.pipeline.conclude(fit, here), step)
        if step == ladder.steps[-1]:
            left.part_with(lanes, pruned=False)
            left.survivors.append(left.finished())
            return
        values = np.array([left.reports[lane].get(step, np.nan) for lane in lanes])
        keep = ladder.pruner(Look(step, values, before, ladder.past)) & np.isfinite(values)
        left.part_with(lanes[~keep], pruned=True)
        left.survivors.append(int(keep.sum()))
        going = set(lanes[keep].tolist())
        for group in climbing:
            own = [at for at, lane in enumerate(group.standing.tolist()) if lane in going]
            group.progress, group.standing = group.progress.pick(own), group.standing[own]
        climbing = [group for group in climbing if len(group.standing)]
        if not climbing:
            return


class _Left:
    """What is known of every configuration where it was last seen."""

    def __init__(self, count: int) -> None:
        self.reports: list[dict[int, float]] = [{} for _ in range(count)]
        self.survivors: list[int] = []
        self._rows: list[pl.DataFrame | None] = [None] * count
        self._curves: list[Float64Array | None] = [None] * count
        self._problems: dict[str, None] = {}

    def see(self, lanes: npt.NDArray[np.intp], found: Evaluation, step: int) -> None:
        """Take in the scores of configurations at a rung."""
        self._problems |= dict.fromkeys(found.problems)
        for at, (lane, value) in enumerate(
            zip(lanes.tolist(), found.table["objective"].to_list(), strict=True)
        ):
            if value is not None:
                self.reports[lane][step] = value
            seen = [{"step": when, "value": shown} for when, shown in self.reports[lane].items()]
            self._rows[lane] = found.table[at].with_columns(
                pl.lit(step, pl.Int64).alias("steps"),
                pl.Series("rungs", [seen], dtype=RUNGS),
            )
            self._curves[lane] = found.backtest.equity[:, at].copy()

    def part_with(self, lanes: npt.NDArray[np.intp], *, pruned: bool) -> None:
        """Mark those that go no further; early, they lose their objective."""
        if pruned:
            for lane in lanes.tolist():
                self._rows[lane] = _stopped(self._rows[lane])

    def finished(self) -> int:
        """How many were trained to the end and did not fail."""
        return sum(row is not None and row["state"][0] == "complete" for row in self._rows)

    def assessed(self) -> Assessed:
        """All rows and curves in the order of the configurations."""
        rows = [row for row in self._rows if row is not None]
        curves = [curve for curve in self._curves if curve is not None]
        return Assessed(
            pl.concat(rows, how="diagonal"),
            np.ascontiguousarray(np.stack(curves, axis=1)),
            tuple(self.survivors),
            tuple(self._problems),
        )


def _stopped(row: pl.DataFrame | None) -> pl.DataFrame | None:
    if row is None or row["state"][0] != "complete":
        return row
    return row.with_columns(
        pl.lit("pruned").alias("state"),
        pl.lit(f"pruned at step {row['steps'][0]}").alias("reason"),
        pl.lit(None, pl.Float64).alias("objective"),
    )
