"""A space with points that cannot be tried is refused before its first trial, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from windtunnel.campaign import Campaign, InProcess
from windtunnel.errors import SearchSpaceError
from windtunnel.events import EventBus
from windtunnel.feasibility import check_space
from windtunnel.runs import Run

Make = Any

RATE = {"training.learning_rate": {"low": 1e-3, "high": 3e-2, "log": True}}
FAMILIES = {"choices": ["linear", "transformer"]}


def whole(low: int, high: int, **more: Any) -> dict[str, Any]:
    return {"integer": True, "low": low, "high": high, **more}


def refusal(study_of: Make, assessor_of: Make, search: dict, **tables: dict) -> str | None:
    try:
        check_space(assessor_of(study_of(search=search, **tables)))
    except SearchSpaceError as error:
        return error.problem
    return None


TRANSFORMER = {"model": {"family": "transformer", "hidden": None, "width": 8, "window": 4}}


@pytest.mark.parametrize(
    ("search", "words"),
    [
        (whole(7, 9), "model.width = 7 cannot be built"),
        (whole(8, 4095), "model.width = 9 cannot be built"),
        ({"choices": [8, 13]}, "model.width = 13 cannot be built"),
        (whole(6, 8, step=2), None),
        (whole(6, 4096, step=2), None),
    ],
)
def test_every_width_is_built(
    study_of: Make, assessor_of: Make, search: dict, words: str | None
) -> None:
    told = refusal(study_of, assessor_of, RATE | {"model.width": search}, **TRANSFORMER)
    assert told is None if words is None else words in told


def test_what_no_configuration_has_together_is_not_built(study_of: Make, assessor_of: Make) -> None:
    for family, refused in (("linear", False), ("transformer", True)):
        search = {
            "model.family": FAMILIES,
            "model.width": whole(7, 9, when={"model.family": [family]}),
        }
        told = refusal(study_of, assessor_of, RATE | search, **TRANSFORMER)
        assert (told is not None) == refused
    assert "model.family = 'transformer', model.width = 7" in told


def test_a_family_that_there_is_not_is_named(study_of: Make, assessor_of: Make) -> None:
    search = RATE | {"model.family": {"choices": ["linear", "mpl"]}}
    told = refusal(study_of, assessor_of, search)
    assert "model.family = 'mpl' cannot be built" in told


def test_the_longest_label_leaves_rows_in_every_fold(study_of: Make, assessor_of: Make) -> None:
    assert refusal(study_of, assessor_of, RATE | {"label.horizon": whole(2, 200)}) is None
    told = refusal(study_of, assessor_of, RATE | {"label.horizon": whole(2, 480)})
    assert told.startswith("search: with label.horizon = 480, fold 0 has ")
    told = refusal(study_of, assessor_of, RATE | {"label.horizon": {"choices": [480, 2]}})
    assert "label.horizon = 480" in told


def test_the_longest_window_leaves_rows_in_every_fold(study_of: Make, assessor_of: Make) -> None:
    search = {
        "model.window": whole(4, 400),
        "label.horizon": whole(2, 200, when={"model.depth": [1]}),
        "model.depth": {"choices": [1, 2]},
    }
    told = refusal(study_of, assessor_of, RATE | search, **TRANSFORMER)
    assert "label.horizon = 200" in told
    assert "model.window = 400" in told
    search["model.window"] = whole(4, 400, when={"model.depth": [2]})
    assert refusal(study_of, assessor_of, RATE | search, **TRANSFORMER) is None


def test_a_campaign_asks_before_its_first_cohort_alone(
    study_of: Make, assessor_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "runs" / "one")
    run.path.mkdir(parents=True)

    def campaign(search: dict) -> Campaign:
        assessor = assessor_of(study_of(study={"trials": 2, "cohort": 2}, search=search))
        return Campaign(run, assessor, InProcess(assessor), EventBus())

    with pytest.raises(SearchSpaceError, match=r"label\.horizon = 480.* Lower"):
        campaign({"label.horizon": whole(2, 480)}).carry_out()
    assert list(run.cohorts()) == []
    assert not (tmp_path / "runs" / "ledger.jsonl").exists()
    campaign(RATE).carry_out()
    monkeypatch.setattr("windtunnel.campaign.check_space", None)  # whatever asks again fails
    campaign(RATE).carry_out()
