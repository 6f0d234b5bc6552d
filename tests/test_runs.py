"""Run directories: named by meaning, sealed by digests, never half there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from windtunnel.config import StudyFile, parse_study
from windtunnel.errors import RunError
from windtunnel.runs import Run, run_id


@pytest.fixture
def study() -> StudyFile:
    return parse_study(
        {
            "study": {"name": "tried"},
            "data": {"source": "elsewhere.csv", "time_zone": "UTC"},
            "search": {"training.dropout": {"low": 0.0, "high": 0.5}},
        }
    )


@pytest.fixture
def bars() -> pl.DataFrame:
    return pl.DataFrame({"timestamp": [datetime(2020, 1, 1, tzinfo=UTC)], "symbol": ["A"]})


@pytest.fixture
def run(tmp_path: Path, study: StudyFile, bars: pl.DataFrame) -> Run:
    return Run.create(tmp_path / "tried-1", study, bars, origin="tried.toml")


def cohort(value: float) -> tuple[pl.DataFrame, np.ndarray]:
    return pl.DataFrame({"number": [0], "objective": [value]}), np.full((3, 1), value)


def test_name_follows_study_and_bars(study: StudyFile) -> None:
    assert run_id(study, "f" * 64) == run_id(study, "f" * 64)
    assert run_id(study, "f" * 64) != run_id(study, "e" * 64)
    assert run_id(study, "f" * 64).startswith("tried-")


def test_stored_study_reads_the_stored_bars(run: Run, study: StudyFile) -> None:
    kept = run.study()
    assert kept.data.source == "bars.parquet"
    assert kept.study == study.study
    assert run_id(kept, "f" * 64) == run_id(study, "f" * 64)
    assert run.command == "windtunnel run tried.toml"


def test_creating_again_keeps_what_is_there(run: Run, study: StudyFile, bars: pl.DataFrame) -> None:
    run.commit_cohort(0, *cohort(1.5))
    again = Run.create(run.path, study, bars, origin=None)
    ((table, equity),) = again.cohorts()
    assert table["objective"].to_list() == [1.5]
    assert equity.tolist() == [[1.5]] * 3


def test_committed_cohort_is_never_replaced(run: Run) -> None:
    run.commit_cohort(0, *cohort(1.5))
    with pytest.raises(FileExistsError):
        run.commit_cohort(0, *cohort(2.5))


def test_gap_between_cohorts_is_named(run: Run) -> None:
    run.commit_cohort(0, *cohort(1.5))
    run.commit_cohort(2, *cohort(1.5))
    with pytest.raises(RunError, match="cohort 1 is missing, 0002 is there"):
        run.cohorts()


def test_cohorts_beyond_four_digits_come_in_order(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`study.trials` allows for 15,625 cohorts of the usual 64."""
    (run.path / "cohorts").mkdir()
    for index in range(10_002):
        (run.path / "cohorts" / f"{index:04d}").mkdir()
    # Which are read, and in what order; reading so many files would take seconds.
    monkeypatch.setattr(pl, "read_parquet", lambda path: int(path.parent.name))
    monkeypatch.setattr(np, "load", lambda path, **_: int(path.parent.name))
    assert run.cohorts() == [(index, index) for index in range(10_002)]


def test_seal_names_every_change(run: Run) -> None:
    (run.path / "result.json").write_text("{}")
    run.seal()
    assert run.complete
    assert run.verify() == []
    (run.path / "result.json").write_text("{ }")
    (run.path / "added").write_text("")
    (run.path / "bars.parquet").unlink()
    assert run.verify() == ["added", "bars.parquet", "result.json"]


def test_other_environment_is_refused_by_name(run: Run) -> None:
    run.hold_environment({"jax": "1", "machine": "x86_64"})
    run.hold_environment({"jax": "1", "machine": "x86_64"})
    with pytest.raises(RunError, match="jax was '1' and is '2'") as caught:
        run.hold_environment({"jax": "2", "machine": "x86_64"})
    assert "--fresh" in caught.value.remedy


def test_lock_sweeps_what_a_killed_attempt_left(run: Run) -> None:
    (run.path / "cohorts" / ".0000.abc.tmp").mkdir(parents=True)
    (run.path / ".trials.parquet.abc.tmp").write_text("half")
    with run.locked():
        pass
    assert not list(run.path.rglob("*.tmp"))


def test_directory_without_a_study_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no study\.toml"):
        Run.open(tmp_path)
