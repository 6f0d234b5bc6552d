"""A small study carried out through the subject: search, champion, deflated Sharpe ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import judgement
from windtunnel.audits import walk
from windtunnel.config.bucket import Key, bucket_key, in_bucket, lanes_by_bucket
from windtunnel.errors import TrainingError
from windtunnel.tuning.optuna_strategy import OptunaStrategy
from windtunnel.tuning.strategy import Outcome
from windtunnel.validation import Pipeline, buy_and_hold

if TYPE_CHECKING:
    from windtunnel.audits.case import Case
    from windtunnel.audits.subject import Subject
    from windtunnel.config import StudyFile
    from windtunnel.course import Course
    from windtunnel.data.panel import Panel

Plant: TypeAlias = "Callable[[Subject, StudyFile], Subject]"


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes
    ----------
    trials : polars.DataFrame
        One row a trial: number, searched parameters, state, metrics.
    champion : Champion
        Chosen as the study would choose it.
    dsr : float or None
        The champion's deflated Sharpe ratio; None when it hardly traded.
    sharpe, rank_ic : float or None
        The champion's.
    """

    trials: pl.DataFrame
    champion: judgement.Champion
    dsr: float | None
    sharpe: float | None
    rank_ic: float | None

    @property
    def promoted(self) -> bool:
        """Whether the study would believe that its champion is more than luck."""
        return self.dsr is not None and self.dsr >= judgement.CONFIDENT

    @property
    def best(self) -> float:
        """The largest Sharpe ratio of any trial; NaN when none has one."""
        sharpes = self.trials["sharpe"].drop_nulls()
        return float(sharpes.to_numpy().max(initial=-np.inf)) if len(sharpes) else np.nan


def search(
    case: Case, subject: Subject, bars: pl.DataFrame, *, plant: Plant | None = None
) -> Search:
    """Tune on bars that end where the holdout begins, as the study would, with fewer trials.

    Parameters
    ----------
    case : Case
    subject : Subject
    bars : polars.DataFrame
    plant : callable (subject, study) -> Subject, optional
        What to make of the subject for the label of a study; where labels are searched there are
        as many studies as labels.

    Raises
    ------
    TrainingError
        Every trial failed.
    """
    study = case.study
    buckets = _Buckets(case, subject, subject.panel(bars), plant)
    strategy = OptunaStrategy(
        study.search,
        seed=study.study.seed,
        sampler=study.tuning.sampler,
        cohort=study.study.cohort,
    )
    wanted = min(case.trials, study.study.trials)
    tables, curves = [], []
    while strategy.told < wanted:
        asked = strategy.ask(min(study.study.cohort, wanted - strategy.told))
        params = [suggestion.params for suggestion in asked]
        measured, equity = buckets.assess(params)
        strategy.tell(
            [
                Outcome(suggestion.number, suggestion.params, row["objective"], row["state"])
                for suggestion, row in zip(asked, measured.iter_rows(named=True), strict=True)
            ]
        )
        named = pl.DataFrame(
            {"number": [suggestion.number for suggestion in asked]}
            | {name: [point.get(name) for point in params] for name in study.search}
        )
        tables.append(pl.concat([named, measured], how="horizontal"))
        curves.append(equity)
    trials = pl.concat(tables, how="vertical_relaxed")
    if trials["objective"].drop_nulls().is_empty():
        raise TrainingError(
            f"all {len(trials)} trials failed, for example: {trials['reason'][0]}",
            "Narrow the search of learning_rate, choose another objective, or look at the bars",
        )
    return _weigh(buckets.pipeline({}).course, trials, np.concatenate(curves, axis=1))


@dataclass
class _Buckets:
    """Configurations on their way through the subject, those of each label on a course of theirs.

    The ordinary search parts them likewise; see `windtunnel.config.bucket`.
    """

    case: Case
    subject: Subject
    panel: Panel
    plant: Plant | None
    _pipelines: dict[Key, Pipeline] = field(default_factory=dict)

    def pipeline(self, params: walk.Params) -> Pipeline:
        """That of the label of a configuration."""
        key = bucket_key(params)
        if key not in self._pipelines:
            study, subject = in_bucket(self.case.study, params), self.subject
            if self.plant is not None:
                subject = self.plant(subject, study)
            course = walk.prepare(subject, study, self.panel, self.case.plan)
            trainer = subject.trainer(course.task, study, study.study.seed)
            self._pipelines[key] = Pipeline(course, trainer)
        return self._pipelines[key]

    def assess(self, params: Sequence[walk.Params]) -> tuple[pl.DataFrame, npt.NDArray[np.float64]]:
        """The table of C configurations, a row for each, and their equity (T, C)."""
        buckets = lanes_by_bucket(params)
        tables, curves = [], []
        for own in buckets:
            here = [params[lane] for lane in own]
            pipeline = self.pipeline(here[0])
            fit = pipeline.trainer.fit(walk.hyper(pipeline.course, here))
            result = walk.trade(self.subject, pipeline.course, fit.scores, here)
            tables.append(pipeline.measure(fit, result))
            curves.append(result.equity)
        order = np.argsort([lane for own in buckets for lane in own])
        return pl.concat(tables)[order], np.concatenate(curves, axis=1)[:, order]


def _weigh(course: Course, trials: pl.DataFrame, equity: npt.NDArray[np.float64]) -> Search:
    champion = judgement.choose_champion(course, trials)
    judged = judgement.chosen_from(trials)
    luck = judgement.weigh_luck(
        course,
        np.ascontiguousarray(equity[:, judged]),
        int(np.searchsorted(judged, champion.number)),
        buy_and_hold(course, *course.plan.out_of_sample).equity[:, 0],
        trials_in_study=len(trials),
        sharpes_ever=trials["sharpe"].drop_nulls().to_numpy() / course.periods_per_year**0.5,
        trials_ever=len(trials),
    )
    row = trials.row(by_predicate=pl.col("number") == champion.number, named=True)
    return Search(trials, champion, luck.figures.get("dsr"), row["sharpe"], row["rank_ic"])
