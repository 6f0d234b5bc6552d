"""What a search varies beside numbers of one program: labels, and features that are switched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from windtunnel.audits import walk
from windtunnel.audits.case import Case, Champion
from windtunnel.audits.noise import noise_bars
from windtunnel.audits.registry import run_audits
from windtunnel.audits.search import search
from windtunnel.metrics.financial import financial_metrics

from .conftest import made_up_bars, tiny_study

RATE = {"training.learning_rate": {"low": 0.003, "high": 0.05, "log": True}}


def made(search: dict, **tables: dict) -> Case:
    return Case(tiny_study(search=search, **tables), made_up_bars(), trials=8, repeats=1)


def test_planted_signal_is_found_where_features_are_switched():
    case = made(RATE | {"features.return": {"choices": [True, False]}})
    (result,) = run_audits(case, ["oracle"])
    assert result.passed is True, result.sentence


@pytest.fixture(scope="module")
def labelled() -> Case:
    return made(RATE | {"label.horizon": {"choices": [1, 8]}})


def test_planted_signal_is_found_where_labels_are_searched(labelled):
    (result,) = run_audits(labelled, ["oracle"])
    assert result.passed is True, result.sentence


def test_every_trial_of_a_search_has_the_label_that_it_asked_for(labelled):
    bars = noise_bars(labelled)
    trials = search(labelled, labelled.subject, bars).trials
    assert set(trials["label.horizon"]) == {1, 8}
    panel = labelled.subject.panel(bars)
    for row in trials.unique("label.horizon", keep="first").iter_rows(named=True):
        study = tiny_study(label={"horizon": row["label.horizon"]})
        course = walk.prepare(labelled.subject, study, panel, labelled.plan)
        params = [{name: row[name] for name in (*RATE, "policy.enter")}]
        fit = walk.fit(labelled.subject, course, params)
        alone = financial_metrics(
            walk.trade(labelled.subject, course, fit.scores, params).equity,
            initial=course.execution.initial_cash,
            periods_per_year=course.periods_per_year,
        )
        assert row["sharpe"] == alone["sharpe"][0]


@pytest.mark.parametrize("name", ["seeds", "starts"])
def test_champion_is_trained_again_on_its_own_label(labelled, name):
    params = {"training.learning_rate": 0.02, "policy.enter": 0.0}
    champion = Champion("tiny-0", params | {"label.horizon": 8}, 0.8, ())
    (found,) = run_audits(replace(labelled, champion=champion), [name])
    fixed = Case(
        tiny_study(label={"horizon": 8}),
        labelled.bars,
        champion=replace(champion, params=params),
        repeats=1,
    )
    (wanted,) = run_audits(fixed, [name])
    assert found.evidence == wanted.evidence


def test_after_the_last_seed_comes_the_first(audited):
    last = tiny_study(study={"seed": 2**31 - 1})
    (result,) = run_audits(replace(audited, study=last), ["seeds"])
    assert [row["study.seed"] for row in result.evidence] == [0, 1]
