"""The verdict says what the figures allow, and no more."""

from __future__ import annotations

import math
from typing import Any

import pytest

from windtunnel.judgement import Luck, judge

GOOD = {
    "trials_study": 100,
    "trials_project": 100,
    "dsr": 0.99,
    "pbo": 0.05,
    "psr_active": 0.99,
}
OWN = {"sharpe": 1.5, "total_return": 0.5}
HELD = {"sharpe": 0.5, "total_return": 0.1}


def verdict(figures: dict[str, Any] | None = None, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "luck": Luck({**GOOD, **(figures or {})}, {}, None),
        "metrics": OWN,
        "benchmark": HELD,
        "holdout": OWN,
        "holdout_benchmark": HELD,
        "break_even_bps": 20.0,
        "cost_bps": 3.0,
        "forced_looks": 0,
        **changes,
    }
    return judge(**given)


def test_all_tests_passed_makes_a_candidate() -> None:
    assert verdict().level == "candidate"


@pytest.mark.parametrize(
    ("figures", "changes", "level"),
    [
        ({"dsr": 0.94}, {}, "no_edge"),
        ({"dsr": None, "pbo": None, "psr_active": None}, {}, "no_edge"),
        ({}, {"holdout": {**OWN, "sharpe": -0.1}}, "no_edge"),
        ({}, {"holdout": {**OWN, "sharpe": math.nan}}, "no_edge"),
        ({}, {"holdout": None, "holdout_benchmark": None}, "weak"),
        ({}, {"forced_looks": 1}, "weak"),
        ({}, {"forced_looks": 1, "holdout": {**OWN, "sharpe": -0.1}}, "no_edge"),
        ({"pbo": 0.3}, {}, "weak"),
        ({"psr_active": 0.5}, {}, "weak"),
        ({}, {"break_even_bps": 5.0}, "weak"),
        ({}, {"break_even_bps": math.nan}, "weak"),
    ],
)
def test_each_doubt_counts(figures: dict[str, Any], changes: dict[str, Any], level: str) -> None:
    assert verdict(figures, **changes).level == level


def test_trials_of_the_whole_project_are_named() -> None:
    said = " ".join(verdict({"trials_project": 1234}).sentences)
    assert "100 configurations were tried, 1,234 on these bars over the life of the project" in said


def test_a_failed_audit_leaves_nothing_to_believe() -> None:
    found = verdict(failed_audits=("leak", "fills"))
    assert found.level == "no_edge"
    assert "audit" in found.headline
    assert found.sentences[0] == "Failed audits: leak and fills."


def test_a_refuted_study_did_not_open_its_holdout() -> None:
    found = verdict(failed_audits=("leak",), holdout=None, holdout_benchmark=None)
    assert "The holdout was not opened" in found.sentences[4]
    assert found.sentences[-1] == "Reject: doubts remain about audits."


def test_a_second_look_is_named() -> None:
    found = verdict(forced_looks=2)
    assert "look number 3" in " ".join(found.sentences)
    assert found.headline.startswith("Unconfirmed")
    assert "sealed" not in " ".join(found.sentences)


@pytest.mark.parametrize(
    ("break_even", "said"),
    [
        (20.4, "at costs of 20 basis points of the value traded, one way; 3 were charged"),
        (1000.0, "at costs of more than 1,000 basis points"),
        (math.nan, "It loses money even if trading were free"),
    ],
)
def test_what_trading_may_cost_is_said(break_even: float, said: str) -> None:
    assert said in " ".join(verdict(break_even_bps=break_even).sentences)


def test_undefined_figures_are_said_in_words() -> None:
    flat = {"sharpe": math.nan, "total_return": 0.0}
    said = " ".join(verdict(metrics=flat, holdout=flat).sentences)
    assert "no Sharpe ratio, since it never moved" in said
    assert "nan" not in said


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({}, "Promote: no doubt was raised."),
        ({"pbo": 0.5}, "Hold: doubts remain about overfitting."),
        (
            {"dsr": 0.1, "pbo": 0.5, "psr_active": 0.2},
            "Reject: doubts remain about trials, overfitting and benchmark.",
        ),
    ],
)
def test_the_verdict_ends_in_a_decision_with_reasons(figures: dict[str, Any], said: str) -> None:
    assert verdict(figures).sentences[-1] == said
