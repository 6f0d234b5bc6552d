"""The pipeline around a trainer: what it hands in, and how it tells failure from cash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from windtunnel.config import StudyFile, parse_study
from windtunnel.course import Course, prepare
from windtunnel.data.align import to_panel
from windtunnel.data.load import load_bars
from windtunnel.data.panel import Panel
from windtunnel.errors import SplitError
from windtunnel.protocols import CohortFit
from windtunnel.validation import Pipeline, buy_and_hold, hyper_table, policy_table


@pytest.fixture(scope="module")
def study() -> StudyFile:
    return parse_study(
        {
            "study": {"name": "tried"},
            "data": {"source": "sample:us_equities_1d"},
            "features": {"use": ["return_1", "volatility_20"]},
            "validation": {"folds": 3},
            "search": {"policy.enter": {"low": 0.0, "high": 0.1}},
        }
    )


@pytest.fixture(scope="module")
def panel(study: StudyFile, tmp_path_factory: pytest.TempPathFactory) -> Panel:
    return to_panel(load_bars(study.data, tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def course(study: StudyFile, panel: Panel) -> Course:
    return prepare(study, panel)


class FixedTrainer:
    """Gives each lane a constant score: 0 never trades, 1 always holds, the last one fails."""

    def __init__(self, course: Course) -> None:
        self.course = course

    def fit(self, hyper: Mapping[str, Any], *, keep_models: bool = False) -> CohortFit:
        start, stop = self.course.plan.out_of_sample
        lanes = len(hyper["dropout"])
        scores = np.zeros((stop - start, self.course.panel.instruments, lanes), np.float32)
        scores[:, :, 1] = 1.0
        scores[:, :, -1] = np.nan
        loss = np.ones((lanes, 3), np.float32)
        return CohortFit(scores, loss, {lanes - 1: "loss became non-finite"}, None)


def test_cash_is_worth_nothing_and_failure_is_null(course: Course) -> None:
    pipeline = Pipeline(course, FixedTrainer(course))
    table = pipeline.evaluate([{"policy.enter": 0.05}] * 3).table
    cash, holder, failed = table.to_dicts()
    assert cash["state"] == "complete"
    assert (cash["objective"], cash["fills"], cash["sharpe"]) == (0.0, 0, None)
    assert holder["objective"] == holder["sharpe"] > 0
    assert failed["state"] == "failed"
    assert failed["reason"] == "loss became non-finite"
    assert failed["objective"] is failed["fills"] is failed["total_return"] is None


def rising(course: Course) -> Course:
    """The course on bars that only rise, where holding costs nothing and never loses."""
    panel = course.panel
    level = np.repeat(1.001 ** np.arange(panel.bars)[:, None], panel.instruments, axis=1)
    panel = replace(
        panel, open=level, high=level, low=level, close=level, tradable=np.ones_like(panel.tradable)
    )
    free = course.study.costs.model_copy(update={"fee_bps": 0.0, "half_spread_bps": 0.0})
    return replace(course, panel=panel, study=course.study.model_copy(update={"costs": free}))


@pytest.mark.parametrize("objective", ["sortino", "calmar"])
@pytest.mark.parametrize("further", [False, True])
def test_who_traded_and_has_no_objective_has_failed(
    course: Course, objective: str, further: bool
) -> None:
    course = rising(course)
    changes = {
        "study": {"objective": "sharpe" if further else objective},
        "tuning": {"also": (objective,) if further else ()},
    }
    study = course.study.model_copy(
        update={
            table: getattr(course.study, table).model_copy(update=values)
            for table, values in changes.items()
        }
    )
    course = replace(course, study=study)
    table = Pipeline(course, FixedTrainer(course)).evaluate([{"policy.enter": 0.05}] * 3).table
    cash, holder, failed = table.to_dicts()
    assert (cash["state"], cash["objective"]) == ("complete", 0.0)
    assert (holder["state"], holder["objective"]) == ("failed", None)
    assert holder["reason"].startswith(f"{objective} is undefined: no ")
    assert holder["total_return"] > 0, "it was tried, and its figures stand"
    assert failed["reason"] == "loss became non-finite"
    assert failed["total_return"] is None


def test_always_long_is_nearly_buy_and_hold(course: Course) -> None:
    pipeline = Pipeline(course, FixedTrainer(course))
    equity = pipeline.evaluate([{"policy.enter": 0.05}] * 3).backtest.equity[:, 1]
    held = buy_and_hold(course, *course.plan.out_of_sample).equity[:, 0]
    assert equity[-1] == pytest.approx(held[-1], rel=0.05)


def test_breaking_even_does_not_depend_on_how_costs_are_charged(
    course: Course, study: StudyFile
) -> None:
    """Impact and minimum fees are no fraction of the value; what trades leave before costs is."""
    found = []
    for costs in ({}, {"minimum_fee": 5.0, "impact_bps": 50.0}):
        section = study.costs.model_copy(update={"fee_bps": 2.0} | costs)
        charged = replace(course, study=study.model_copy(update={"costs": section}))
        table = (
            Pipeline(charged, FixedTrainer(charged)).evaluate([{"policy.enter": 0.05}] * 3).table
        )
        found.append(table["break_even_bps"][1])
        assert table["break_even_bps"][0] is None
    plain, finer = found
    assert finer == pytest.approx(plain, rel=0.03)


def test_no_label_that_reaches_the_holdout_is_known(course: Course) -> None:
    start, stop = course.plan.out_of_sample
    known = course.known_labels(start, stop)
    assert stop == course.plan.holdout[0]
    horizon = course.labels.horizon
    assert np.isnan(known[-horizon - 1 :]).all()
    assert np.isfinite(known[-horizon - 2]).any()


def test_no_trial_reads_the_holdout(course: Course, study: StudyFile, panel: Panel) -> None:
    held = course.plan.holdout[0]
    values = {
        name: np.where(np.arange(panel.bars)[:, None] >= held, 999.0, getattr(panel, name))
        for name in ("open", "high", "low", "close", "volume")
    }
    changed = prepare(
        study,
        Panel(
            panel.timestamps,
            panel.symbols,
            **values,
            tradable=panel.tradable,
            fingerprint="changed",
        ),
    )
    rows = course.task.train
    np.testing.assert_array_equal(rows, changed.task.train)
    seen = rows.any(axis=0)
    np.testing.assert_array_equal(course.labels.values[seen], changed.labels.values[seen])
    start, stop = course.plan.out_of_sample
    np.testing.assert_array_equal(course.features.values[:stop], changed.features.values[:stop])
    np.testing.assert_array_equal(
        course.known_labels(start, stop), changed.known_labels(start, stop)
    )
    np.testing.assert_array_equal(
        buy_and_hold(course, start, stop).equity, buy_and_hold(changed, start, stop).equity
    )


def test_tables_mix_searched_and_fixed_values(study: StudyFile) -> None:
    params = [{"policy.enter": 0.01}, {"training.dropout": 0.3, "policy.exit": 0.02}]
    hyper, policies = hyper_table(study, params), policy_table(study, params)
    assert hyper["dropout"].tolist() == [study.training.dropout, 0.3]
    assert policies.enter.tolist() == [0.01, study.policy.enter]
    assert policies.exit.tolist() == [study.policy.exit, 0.02]
    assert policies.column.tolist() == [0, 1]


@pytest.mark.parametrize("trainer", ["supervised", "rl"])
def test_switches_become_a_mask(trainer: str) -> None:
    raw = {
        "study": {"name": "tried"},
        "data": {"source": "frame"},
        "features": {
            "use": ["return_1", "rsi_14", "return_5", "volatility_20"],
            "groups": {"slow": ["return_5", "volatility_20"]},
        },
        "training": {"trainer": trainer},
        "search": {
            "features.return": {"choices": [True, False]},
            "features.slow": {"choices": [True, False]},
        },
    }
    off = {"features.return": False}
    params = [{}, off, {"features.slow": False}, off | {"features.slow": True}]
    found = hyper_table(parse_study(raw), params)["feature_mask"]
    assert found.tolist() == [[1, 1, 1, 1], [0, 1, 0, 1], [1, 1, 0, 0], [0, 1, 0, 1]]
    raw["search"] = {"policy.leverage": {"low": 0.5, "high": 1.0}}
    assert "feature_mask" not in hyper_table(parse_study(raw), [{}])


def test_window_keeps_arrays_aligned(panel: Panel) -> None:
    cut = panel.window(10, 20)
    assert cut.bars == 10
    np.testing.assert_array_equal(cut.close, panel.close[10:20])
    np.testing.assert_array_equal(cut.timestamps, panel.timestamps[10:20])


def test_too_few_rows_are_named(study: StudyFile, panel: Panel) -> None:
    greedy = study.model_copy(
        update={"validation": study.validation.model_copy(update={"min_train_rows": 10**6})}
    )
    with pytest.raises(SplitError, match=r"fold 0 has \d+ labelled training rows"):
        prepare(greedy, panel)
