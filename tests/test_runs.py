"""Run directories: named by meaning, sealed by digests, never half there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import pytest

from windtunnel import runs
from windtunnel.config import StudyFile, parse_study
from windtunnel.errors import DataError, RunError
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


class Overtaken(pl.DataFrame):
    """Bars; while they are written another attempt makes the run."""

    def write_parquet(self, *_: Any, **__: Any) -> None:
        self.overtake()


def test_creating_what_another_attempt_has_just_made(
    tmp_path: Path, study: StudyFile, bars: pl.DataFrame
) -> None:
    own, path = Overtaken(bars), tmp_path / "tried-1"
    own.overtake = lambda: Run.create(path, study, bars, origin="faster.toml")
    assert Run.create(path, study, own, origin="slower.toml") == Run(path)
    assert Run(path).command == "windtunnel run faster.toml"
    assert [each.name for each in tmp_path.iterdir()] == ["tried-1"]


def test_meaning_is_that_of_the_name(tmp_path: Path, study: StudyFile, bars: pl.DataFrame) -> None:
    run = Run.create(tmp_path / run_id(study, "f" * 64), study, bars, origin=None)
    run.hold_meaning("f" * 64)
    with pytest.raises(DataError, match="not what the run began with"):
        run.hold_meaning("e" * 64)
    run.path.rename(aside := run.path.with_name(f"{run.id}~1"))
    Run(aside).hold_meaning("f" * 64)


def test_setting_aside_takes_the_next_name(run: Run, study: StudyFile, bars: pl.DataFrame) -> None:
    for number in (1, 2):
        Run.create(run.path, study, bars, origin=None)
        run.set_aside()
        assert run.path.with_name(f"tried-1~{number}").is_dir()
    run.set_aside()  # there is none
    assert not run.path.exists()


def test_run_that_is_worked_on_is_not_set_aside(run: Run) -> None:
    with run.locked(), pytest.raises(RunError, match="worked on by another process"):
        run.set_aside()
    run.set_aside()


@pytest.mark.parametrize("anew", [False, True])
def test_lock_of_a_run_that_is_set_aside_meanwhile_is_no_lock(
    run: Run,
    study: StudyFile,
    bars: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    *,
    anew: bool,
) -> None:
    """Whoever works writes by name: two locks on two directories would have two write into one."""

    def overtaken(file: IO[str]) -> bool:
        monkeypatch.undo()
        run.set_aside()
        if anew:
            with Run.create(run.path, study, bars, origin=None).locked():
                pass
        return runs._locked_soon(file)

    monkeypatch.setattr(runs, "_locked_soon", overtaken)
    with pytest.raises(RunError, match="set aside by another process"), run.locked():
        pass
    assert run.path.exists() == anew


def test_nobody_leads_a_run_that_is_gone(run: Run) -> None:
    run.set_aside()
    assert not run.is_led()
    with pytest.raises(RunError, match="set aside by another process"), run.locked():
        pass


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


@pytest.mark.parametrize(
    ("source", "told"),
    [("data/bars.csv", "data/bars.csv"), ("/data/b.csv", "b.csv"), ("~/x/b.csv", "b.csv")],
)
def test_a_run_says_where_its_bars_came_from(
    tmp_path: Path, study: StudyFile, bars: pl.DataFrame, source: str, told: str
) -> None:
    named = study.model_copy(update={"data": study.data.model_copy(update={"source": source})})
    assert Run.create(tmp_path / "a-1", named, bars, origin=None).source == told
    given = Run.create(tmp_path / "b-1", named, bars, origin=None, source="from Python")
    assert given.source == "from Python"
