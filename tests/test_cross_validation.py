"""The champion on reassembled histories, without a glance at the holdout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from windtunnel import splits
from windtunnel.config import StudyFile, parse_study
from windtunnel.course import Course, prepare
from windtunnel.cross_validation import Paths, cross_validate
from windtunnel.data.align import to_panel
from windtunnel.data.load import load_bars
from windtunnel.metrics.financial import financial_metrics
from windtunnel.protocols import CohortFit, TrainingTask
from windtunnel.validation import Pipeline, buy_and_hold


def study(**validation: Any) -> StudyFile:
    return parse_study(
        {
            "study": {"name": "tried"},
            "data": {"source": "sample:us_equities_1d"},
            "features": {"use": ["return_1", "volatility_20"]},
            "validation": {"folds": 3, **validation},
            "search": {"policy.enter": {"low": 0.0, "high": 0.1}},
        }
    )


def course_of(given: StudyFile, tmp_path: Any) -> Course:
    return prepare(given, to_panel(load_bars(given.data, tmp_path)))


class Recorder:
    """Scores each split by its own number, so that a path tells where its pieces came from."""

    def __init__(self, task: TrainingTask) -> None:
        self.task = task

    def fit(self, hyper: Mapping[str, Any], *, keep_models: bool = False) -> CohortFit:
        start, stop = self.task.validation[0]
        count = len(self.task.validation)
        instruments = self.task.features.shape[1]
        numbers = np.repeat(np.arange(1, count + 1, dtype=np.float32), stop - start)
        scores = np.broadcast_to(numbers[:, None, None], (len(numbers), instruments, 1)).copy()
        return CohortFit(scores, np.zeros((1, count), np.float32), {}, None)


def run(course: Course) -> tuple[Paths, TrainingTask]:
    tasks: list[TrainingTask] = []

    def make(task: TrainingTask) -> Pipeline:
        tasks.append(task)
        return Pipeline(course, Recorder(task))

    return cross_validate(course, make, {"policy.enter": 0.01}), tasks[0]


def test_two_of_six_give_fifteen_models_and_five_paths(tmp_path: Any) -> None:
    course = course_of(study(), tmp_path)
    paths, task = run(course)
    assert paths.splits == len(task.train) == 15
    assert paths.sharpes.shape == (5,)
    # Every path is always long here, as buy and hold is.
    start, stop = task.validation[0]
    held = buy_and_hold(course, start, stop).equity[:, 0]
    moves = np.diff(held) / held[:-1]
    expected = moves.mean() / moves.std() * np.sqrt(252)
    assert paths.sharpes == pytest.approx(np.full(5, expected), rel=0.05)
    assert paths.figures["path_losing"] == 0.0


@pytest.mark.parametrize("holdout_bars", [252, 253, 254, 257])
def test_scores_stay_at_their_bars_whatever_is_left_over(tmp_path: Any, holdout_bars: int) -> None:
    course = course_of(study(holdout_bars=holdout_bars), tmp_path)

    class Wave(Recorder):
        """All splits say the same of a bar, and something else of the next."""

        def fit(self, hyper: Mapping[str, Any], *, keep_models: bool = False) -> CohortFit:
            fit = super().fit(hyper, keep_models=keep_models)
            start, stop = self.task.validation[0]
            wave = np.sin(np.arange(start, stop)).astype(np.float32)
            scores = np.tile(wave, len(self.task.validation))[:, None, None]
            return replace(fit, scores=np.broadcast_to(scores, fit.scores.shape).copy())

    spans = []

    def make(task: TrainingTask) -> Pipeline:
        spans.append(task.validation[0])
        return Pipeline(course, Wave(task))

    params = {"policy.enter": 0.01}
    found = cross_validate(course, make, params).sharpes
    ((start, stop),) = spans
    wave = np.sin(np.arange(start, stop)).astype(np.float32)
    scores = np.broadcast_to(wave[:, None, None], (stop - start, course.panel.instruments, 1))
    equity = make(course.task).backtest(scores.copy(), [params], span=(start, stop)).equity
    expected = financial_metrics(
        equity,
        initial=course.execution.initial_cash,
        periods_per_year=course.periods_per_year,
    )
    assert found == pytest.approx(np.full(5, expected["sharpe"][0]))


def test_no_model_trains_on_what_reaches_its_tests_or_the_holdout(tmp_path: Any) -> None:
    course = course_of(study(), tmp_path)
    _, task = run(course)
    end = course.labels.end
    assert task.validation[0][1] <= course.plan.holdout[0]
    for rows in task.train:
        assert (end[rows] < course.plan.holdout[0]).all()
    # Every bar is trained on by some model and left out by another.
    trained = task.train.any(axis=2)
    first, stop = task.validation[0]
    inner = slice(first + 30, stop - 30)
    assert trained.any(axis=0)[inner].all()
    assert not trained.all(axis=0)[inner].any()


@pytest.mark.parametrize(
    ("validation", "reason"),
    [
        ({"min_train_rows": 9000}, "fewer rows than validation.min_train_rows"),
        ({"train_bars": 20, "folds": 1, "holdout_bars": 3200}, "20"),
    ],
)
def test_a_history_too_short_gives_a_reason(
    validation: dict[str, Any], reason: str, tmp_path: Any
) -> None:
    changed = study(**validation)
    whole = course_of(study(), tmp_path)
    plan = splits.walk_forward(whole.panel.bars, changed.validation)
    course = replace(whole, study=changed, plan=plan)
    paths = cross_validate(course, lambda task: Pipeline(course, Recorder(task)), {})
    assert not paths.sharpes.size
    assert reason in paths.reason
    assert set(paths.figures.values()) == {None}
