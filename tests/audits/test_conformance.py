"""All audits answer in one form, pass the real pipeline, and never look at the holdout."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from windtunnel.audits import noise as noise_module
from windtunnel.audits import registry
from windtunnel.audits.record import record
from windtunnel.audits.registry import audits, register, run_audits
from windtunnel.audits.result import AuditResult
from windtunnel.audits.subject import Subject
from windtunnel.errors import StudyFileError, TrainingError
from windtunnel.ledger import Ledger

PIPELINE = ("leak", "warmup", "fills", "noise", "oracle")
CHAMPION = ("delay", "costs", "seeds", "starts")


@pytest.fixture(scope="module")
def results(audited) -> dict[str, AuditResult]:
    return {result.name: result for result in run_audits(audited)}


def test_every_audit_is_here():
    assert tuple(audit.name for audit in audits()) == PIPELINE + CHAMPION
    assert all(audit.question.endswith("?") for audit in audits())


@pytest.mark.parametrize("name", PIPELINE + CHAMPION)
def test_answer_has_the_common_form(results, name):
    result = results[name]
    assert result.name == name
    assert result.sentence.endswith(".")
    assert result.figures
    assert result.evidence
    assert len({tuple(row) for row in result.evidence}) == 1, "rows have different columns"
    assert json.loads(json.dumps(result.as_json(), allow_nan=False))["name"] == name


@pytest.mark.parametrize("name", PIPELINE)
def test_real_pipeline_passes(results, name):
    assert results[name].passed is True, results[name].sentence


@pytest.mark.parametrize("name", CHAMPION)
def test_champion_is_measured_not_judged(results, name):
    assert results[name].passed is None
    assert results[name].word == "measured"


def test_leak_audit_reaches_every_step(results):
    steps = {row["step"]: row["values_compared"] for row in results["leak"].evidence}
    assert set(steps) == {
        "timestamps",
        "panel",
        "features",
        "labels",
        "training rows",
        "scalers and weights",
        "scores",
        "exposures",
        "equity",
    }
    assert min(steps.values()) > 100


def test_stress_says_what_became_of_the_champion(results):
    assert "nothing of it is left" in results["delay"].sentence
    assert "25% of it is gone" in results["costs"].sentence


def test_other_seeds_and_starts_differ(results):
    for name in ("seeds", "starts"):
        values = [row["sharpe"] for row in results[name].evidence]
        assert len(values) == 2
        assert values[0] != values[1]


def test_other_seeds_and_starts_are_trials_in_the_ledger(audited, results, tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    assert record(ledger, audited, results.values()) == 4
    assert record(ledger, audited, results.values()) == 0, "a repeated audit counts twice"
    (row,) = ledger.summary()
    assert (row["run"], row["trials"]) == ("tiny-0.audit", 4)
    stamps = audited.stamps
    assert ledger.trials_on(["AA"], stamps[0], stamps[-1]).without_repeats().count == 4
    assert record(ledger, replace(audited, champion=None), results.values()) == 0


def test_without_a_champion_its_audits_say_what_they_need(case):
    for result in run_audits(case, CHAMPION):
        assert (result.passed, result.word) == (None, "not made")
        assert "windtunnel run" in result.sentence


def test_holdout_is_not_read(audited, results):
    first = audited.stamps[audited.plan.holdout[0]]
    names = [name for name in audited.bars.columns if name not in ("timestamp", "symbol")]
    other = audited.bars.with_columns(
        pl.when(pl.col("timestamp") >= first).then(np.nan).otherwise(pl.col(name)).alias(name)
        for name in names
    )
    assert not other.equals(audited.bars)
    for result in run_audits(replace(audited, bars=other), ["warmup", "fills", "noise", "starts"]):
        assert result == results[result.name]


def test_leak_audit_refuses_features_that_do_not_look(case):
    def constant(panel, names):
        tensor = case.subject.features(panel, names)
        return replace(tensor, values=np.ones_like(tensor.values))

    (result,) = run_audits(replace(case, subject=Subject(features=constant)), ["leak"])
    assert result.passed is None
    assert "proves nothing" in result.sentence


@pytest.mark.parametrize(
    ("promoted", "passed", "draws"),
    [
        ((False,), True, 1),
        ((True, *[False] * 8), True, 9),
        ((True, *[False] * 7, True), False, 9),
        ((True, False, True), False, 3),
        ((True, True), False, 2),
    ],
)
def test_luck_with_noise_is_told_from_a_leak(case, monkeypatch, promoted, passed, draws):
    real, seen = noise_module.search(case, case.subject, noise_module.noise_bars(case)), []

    def drawn(case, subject, bars):
        seen.append(bars)
        return replace(real, dsr=0.99 if promoted[len(seen) - 1] else 0.3)

    monkeypatch.setattr(noise_module, "search", drawn)
    (result,) = run_audits(case, ["noise"])
    assert (result.passed, len(seen)) == (passed, draws)
    assert (result.figures["draws"], result.figures["promoted"]) == (draws, sum(promoted))
    assert all(not bars.equals(seen[0]) for bars in seen[1:])
    assert ("consistent with luck, no proof of it" in result.sentence) == (promoted[0] and passed)


def test_pipeline_that_stops_has_failed(case):
    def broken(task, study, seed):
        raise TrainingError("no weights today")

    (result,) = run_audits(replace(case, subject=Subject(trainer=broken)), ["noise"])
    assert result.passed is False
    assert "no weights today" in result.sentence


def test_optimistic_fill_is_said_to_be_the_studys_choice(case):
    study = case.study.model_copy(
        update={"execution": case.study.execution.model_copy(update={"fill": "same_close"})}
    )
    (result,) = run_audits(replace(case, study=study), ["fills"])
    assert result.passed is False
    assert "The study asks for this" in result.sentence


@pytest.mark.parametrize("fill", ["next_open", "next_close"])
@pytest.mark.parametrize("direction", ["long_only", "long_short"])
def test_fills_of_every_honest_kind_pass(case, fill, direction):
    study = case.study.model_copy(
        update={
            "execution": case.study.execution.model_copy(update={"fill": fill}),
            "policy": case.study.policy.model_copy(update={"direction": direction}),
        }
    )
    (result,) = run_audits(replace(case, study=study), ["fills"])
    assert result.passed is True, result.sentence


def test_a_user_adds_an_audit(case, monkeypatch):
    monkeypatch.setattr(registry, "_AUDITS", {audit.name: audit for audit in audits()})

    @register("length", "Is there a year of bars?")
    def length(case):
        return AuditResult("length", len(case.stamps) > 252, "There is a year.", {"bars": 1})

    assert audits()[-1].name == "length"
    told: list[AuditResult] = []
    assert run_audits(case, ["length"], observe=told.append) == tuple(told)
    assert told[0].passed is True
    with pytest.raises(StudyFileError, match="registered already"):
        register("leak", "Another?")(length)


def test_unknown_name_is_refused(case):
    with pytest.raises(StudyFileError, match=r"none called 'leek'.*leak"):
        run_audits(case, ["leek"])
