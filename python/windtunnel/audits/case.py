"""What is audited: a study, its bars, the pipeline that carries it out, perhaps a champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from windtunnel import splits
from windtunnel.audits.subject import Subject
from windtunnel.config.bucket import in_bucket
from windtunnel.finals import StressRow

if TYPE_CHECKING:
    from windtunnel.config import StudyFile


@dataclass(frozen=True)
class Champion:
    """A finished study's champion, as its run recorded it.

    Attributes
    ----------
    run_id : str
    params : mapping of str to float
        Its searched parameters.
    sharpe : float
        Annual Sharpe ratio over the validation slices.
    stress : tuple of StressRow
        The champion under other costs and a later fill.
    """

    run_id: str
    params: Mapping[str, float]
    sharpe: float
    stress: tuple[StressRow, ...]

    @classmethod
    def from_figures(cls, figures: Mapping[str, Any]) -> Self:
        """Read the champion out of what a finished run keeps in `result.json`."""
        return cls(
            run_id=figures["run"],
            params=figures["champion"]["params"],
            sharpe=_defined(figures["metrics"]["sharpe"]),
            stress=tuple(
                StressRow(
                    name=row["name"],
                    cost_multiple=row["cost_multiple"],
                    delay_bars=row["delay_bars"],
                    sharpe=_defined(row["sharpe"]),
                    total_return=_defined(row["total_return"]),
                    max_drawdown=_defined(row["max_drawdown"]),
                )
                for row in figures["stress"]
            ),
        )


def _defined(value: float | None) -> float:
    """A figure of `result.json`, where null stands for NaN."""
    return math.nan if value is None else value


@dataclass(frozen=True)
class Case:
    """One study under audit.

    The holdout is none of an audit's business: audits see `known`, the bars before it.

    Attributes
    ----------
    study : StudyFile
        With the label that the champion was trained on, where labels are searched.
    bars : polars.DataFrame
        All bars in long form, as they leave the quality gate.
    subject : Subject
        The pipeline; the real one by default.
    champion : Champion or None
        Of the finished run; without one the audits of the champion cannot be made.
    trials : int
        Trials of the noise and the oracle study, at most as many as the study's own.
    repeats : int
        Other seeds and other start dates to try.
    """

    study: StudyFile
    bars: pl.DataFrame
    subject: Subject = field(default_factory=Subject)
    champion: Champion | None = None
    trials: int = 32
    repeats: int = 4

    def __post_init__(self) -> None:
        """Take the label of the champion: with another it would be another model."""
        if self.champion is not None:
            object.__setattr__(self, "study", in_bucket(self.study, self.champion.params))

    @cached_property
    def stamps(self) -> pl.Series:
        """The T distinct timestamps of all bars, ascending."""
        return self.bars["timestamp"].unique().sort()

    @cached_property
    def plan(self) -> splits.Plan:
        """The study's folds; its holdout lies beyond `known`."""
        return splits.walk_forward(len(self.stamps), self.study.validation)

    @cached_property
    def known(self) -> pl.DataFrame:
        """The bars before the holdout."""
        return self.bars.filter(pl.col("timestamp") < self.stamps[self.plan.holdout[0]])

    def after(self, bars: int) -> pl.DataFrame:
        """The bars before the holdout, had the history begun `bars` bars later."""
        return self.known.filter(pl.col("timestamp") >= self.stamps[bars])
