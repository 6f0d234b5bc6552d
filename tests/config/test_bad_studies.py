"""Every wrong study file stops with an error that names the place, the value and the rule."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from windtunnel.config import load_study_file, parse_study
from windtunnel.config.load import study_digest
from windtunnel.errors import SearchSpaceError, StudyFileError, WindtunnelError

GOOD: dict[str, Any] = {
    "study": {"name": "tried"},
    "data": {"source": "bars.parquet"},
    "search": {"training.dropout": {"low": 0.0, "high": 0.5}},
}
DIMENSION = {"low": 0.0, "high": 0.5}
DIGEST = "fc50cb08b1f450b8c49eddd45c1ddc776cb7a8083d288c659d8f3a050d6be336"  # of GOOD

# place in the study, value put there, words that the error must hold
WRONG: list[tuple[str, Any, list[str]]] = [
    ("study.nam", "x", ["study.nam", "unknown field"]),
    ("studdy", {}, ["studdy", "unknown field"]),
    ("study.name", "Two Words", ["study.name", "'Two Words'"]),
    ("study.name", "../../etc", ["study.name", "'../../etc'"]),
    ("study.trials", 0, ["study.trials", "greater than or equal to 1", "0"]),
    ("study.trials", "many", ["study.trials", "integer", "'many'"]),
    ("study.trials", 2.5, ["study.trials", "2.5"]),
    ("study.cohort", -4, ["study.cohort", "-4"]),
    ("study.seed", -1, ["study.seed", "-1"]),
    ("study.objective", "profit", ["study.objective", "'sharpe'", "'profit'"]),
    ("tuning.also", ["sharpe"], ["tuning.also", "study.objective", "second time"]),
    ("tuning.also", ["turnover", "turnover"], ["names an objective twice"]),
    ("data.source", None, ["data.source", "string"]),
    ("data.columns", {"clse": "c"}, ["data.columns", "'clse'"]),
    ("data.periods_per_year", 0, ["data.periods_per_year", "greater than or equal to 1"]),
    ("data.max_missing", 1.0, ["data.max_missing", "less than 1"]),
    ("features.use", [], ["features.use", "at least 1"]),
    ("features.use", ["return_1", "return_1"], ["return_1", "twice"]),
    ("features.groups", {"fast": ["return_9"]}, ["groups.fast", "return_9"]),
    ("features.groups", {"fast": ["rsi_14", "rsi_14"]}, ["groups.fast", "twice"]),
    ("features.groups", {"rsi": ["rsi_14"]}, ["groups.rsi", "is a kind of feature"]),
    ("search", {"features.rsi": DIMENSION}, ["search.features.rsi", "[true, false]"]),
    ("search", {"features.rsi": {"choices": [1, 0]}}, ["search.features.rsi", "[true, false]"]),
    ("search", {"features.macd": {"choices": [True, False]}}, ["macd", "features.rsi"]),
    ("label.kind", "magic", ["label.kind", "'direction'", "'magic'"]),
    ("label.horizon", 0, ["label.horizon", "greater than or equal to 1"]),
    ("validation.scheme", "shuffled", ["validation.scheme", "'anchored'", "'shuffled'"]),
    ("validation.folds", 0, ["validation.folds"]),
    ("validation.embargo_bars", -1, ["validation.embargo_bars", "-1"]),
    ("validation.holdout_bars", 3, ["validation.holdout_bars", "20"]),
    ("model.hidden", [32, 0], ["model.hidden.1", "0"]),
    ("training.learning_rate", 0, ["training.learning_rate", "greater than 0"]),
    ("training.dropout", 1.0, ["training.dropout", "less than 1"]),
    ("training.steps", True, ["training.steps", "True"]),
    ("policy.leverage", 0, ["policy.leverage", "greater than 0"]),
    ("policy.direction", "sideways", ["policy.direction", "'sideways'"]),
    ("policy.stop_loss", 0.05, ["policy.stop_loss", "unknown field"]),
    ("policy.volatility_target", 0.0, ["policy.volatility_target", "greater than 0", "0"]),
    ("policy.volatility_bars", 1, ["policy.volatility_bars", "greater than or equal to 2", "1"]),
    (
        "policy",
        {"volatility_target": 0.1, "volatility_bars": 757},
        ["policy.volatility_bars", "757 returns", "validation.train_bars = 756"],
    ),
    (
        "search",
        {"policy.volatility_target": {"low": 0.05, "high": 0.2}},
        ["search.policy.volatility_target", "policy.volatility_target is not set"],
    ),
    ("rl.levels", [-2.0, 1.0], ["rl.levels.0", "greater than or equal to -1", "-2"]),
    ("rl.levels", [1.0, 0.0], ["levels must ascend", "[1.0, 0.0]"]),
    ("rl.minibatches", 5, ["environments (32) must be a multiple of minibatches (5)"]),
    ("rl.supervised_trials", 0, ["rl.supervised_trials", "greater than or equal to 1"]),
    ("costs.fee_bps", -1, ["costs.fee_bps", "-1"]),
    ("costs.fee_bps", float("nan"), ["costs.fee_bps", "finite"]),
    ("execution.fill", "last_year", ["execution.fill", "'last_year'"]),
    ("execution.initial_cash", float("inf"), ["execution.initial_cash", "finite"]),
    ("audit.make", ["horoscope"], ["audit.make.0", "'horoscope'"]),
    ("validation.path_tested", 6, ["path_tested (6) must be below path_groups (6)"]),
    ("search", {}, ["search", "empty"]),
    ("search", {"model.hidden": DIMENSION}, ["search.model.hidden", "cannot be searched"]),
    ("search", {"learning_rate": DIMENSION}, ["search.learning_rate", "training.learning_rate"]),
    ("search", {"training.dropout": {"low": 0.5, "high": 0.1}}, ["training.dropout", "below"]),
    ("search", {"training.dropout": {"low": 0.0, "high": 2.0}}, ["training.dropout", "2"]),
    (
        "search",
        {"training.learning_rate": {"low": 0.0, "high": 0.1, "log": True}},
        ["training.learning_rate", "log needs low above zero"],
    ),
    (
        "search",
        {"model.width": {"low": 8, "high": 64}},
        ["search.model.width", "takes whole numbers, got 8", "Add integer = true"],
    ),
    (
        "search",
        {"label.horizon": {"choices": [2.5, 5.0]}},
        ["search.label.horizon", "whole numbers", "got 2.5", "decimal point"],
    ),
    ("search", {"training.dropout": {"choices": [0.1]}}, ["training.dropout", "at least 2"]),
    ("search", {"training.dropout": {"low": 0.1}}, ["training.dropout", "high", "missing"]),
    ("search", {"training.dropout": {**DIMENSION, "step": 1}}, ["training.dropout.step"]),
]


@pytest.mark.parametrize(("place", "value", "words"), WRONG)
def test_wrong_value_is_named(place: str, value: Any, words: list[str]) -> None:
    raw = copy.deepcopy(GOOD)
    *tables, field = place.split(".")
    target = raw
    for table in tables:
        target = target.setdefault(table, {})
    target[field] = value
    with pytest.raises((StudyFileError, SearchSpaceError)) as caught:
        parse_study(raw)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.remedy
    assert "function-after" not in str(caught.value)


def test_good_study_is_taken() -> None:
    assert parse_study(GOOD).study.name == "tried"


def test_every_problem_is_told_at_once() -> None:
    raw = copy.deepcopy(GOOD)
    raw["study"]["trials"] = 0
    raw["costs"] = {"fee_bps": -3}
    with pytest.raises(StudyFileError, match=r"study\.trials.*costs\.fee_bps"):
        parse_study(raw)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[study\nname = 1", "not valid TOML"),
        (b"\xff\xfe", "cannot be read"),
        (b"", "study: required field is missing"),
    ],
)
def test_unreadable_file(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(WindtunnelError, match=words):
        load_study_file(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="does not exist"):
        load_study_file(tmp_path / "absent.toml")


def test_not_every_feature_may_be_switched_off_at_once() -> None:
    switch = {"choices": [True, False]}
    raw = GOOD | {"features": {"use": ["rsi_14", "return_1"]}, "search": {"features.rsi": switch}}
    parse_study(raw)
    both = {"features.rsi": switch, "features.return": switch}
    with pytest.raises(SearchSpaceError, match=r"features.return, features.rsi may switch every"):
        parse_study(raw | {"search": both})


def test_a_gaussian_process_takes_no_more_trials_than_it_can() -> None:
    study = {**copy.deepcopy(GOOD), "tuning": {"sampler": "gp"}}
    study["study"]["trials"] = 1000
    assert parse_study(study).tuning.sampler == "gp"
    study["study"]["trials"] = 1001
    with pytest.raises(StudyFileError, match=r"'gp' takes at most 1000 trials.* 1001.*cohort_tpe"):
        parse_study(study)


@pytest.mark.parametrize("change", [{"training": {"trainer": "rl"}}, {"model": {"head": "sharpe"}}])
def test_what_decides_its_own_exposure_aims_at_no_volatility(change: dict[str, Any]) -> None:
    raw = GOOD | change | {"policy": {"volatility_target": 0.1}}
    raw["search"] = {"policy.leverage": {"low": 0.5, "high": 1.0}}
    with pytest.raises(StudyFileError, match=r"policy.volatility_target: .*score is the exposure"):
        parse_study(raw)


@pytest.mark.parametrize(
    ("table", "field", "value"),
    [
        ("model", "residual", True),
        ("model", "scope", "cross_section"),
        ("training", "precision", "bfloat16"),
    ],
)
def test_what_a_policy_cannot_have_is_not_passed_over(table: str, field: str, value: Any) -> None:
    raw = {
        **GOOD,
        "training": {"trainer": "rl"},
        "search": {"policy.leverage": {"low": 0.5, "high": 1.0}},
    }
    parse_study(raw)
    raw[table] = {**raw.get(table, {}), field: value}
    with pytest.raises(StudyFileError, match=rf'{table}\.{field}: with trainer = "rl".*{value!r}'):
        parse_study(raw)
    raw["training"] = {**raw["training"], "trainer": "supervised"}
    parse_study(raw)


def test_a_study_without_a_volatility_target_keeps_its_digest() -> None:
    """Digests of before it existed stand in ledgers and memory banks."""
    digest = study_digest(parse_study(GOOD))
    assert digest == DIGEST
    aimed = parse_study(GOOD | {"policy": {"volatility_target": 0.1}})
    assert study_digest(aimed) != digest
    longer = parse_study(GOOD | {"policy": {"volatility_target": 0.1, "volatility_bars": 20}})
    assert study_digest(longer) != study_digest(aimed)
