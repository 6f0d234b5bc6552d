from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from windtunnel.cli.app import app
from windtunnel.cli.follow import Standing
from windtunnel.cli.sparkline import sparkline
from windtunnel.config import parse_study
from windtunnel.runs import Run

STUDY = {
    "study": {"name": "followed", "trials": 12, "cohort": 4},
    "data": {"source": "frame"},
    "search": {"policy.enter": {"low": 0.0, "high": 0.1}},
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "followed-1", parse_study(STUDY), pl.DataFrame(), origin=None)


def commit(run: Run, index: int, objectives: list[float | None], steps: list[int]) -> None:
    import numpy as np

    states = ["pruned" if value is None else "complete" for value in objectives]
    run.commit_cohort(
        index,
        pl.DataFrame({"objective": objectives, "state": states, "steps": steps}),
        np.zeros((1, len(objectives))),
    )


def test_sparkline_by_hand() -> None:
    assert sparkline([0.0, 1.0, 0.5]) == "▁█▅"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([math.nan, 1.0, 3.0]) == " ▁█"
    assert sparkline([math.nan]) == " "
    assert sparkline(range(100), width=3) == "▁▅█"


def test_each_cohort_is_told_once(run: Run) -> None:
    seen = Standing(12)
    assert seen.read(run) == []
    commit(run, 0, [1.0, None, 0.5, None], [8, 2, 8, 4])
    (line,) = seen.read(run)
    assert "4/12 trials" in line
    assert "best 1.000" in line
    assert "rungs 4 > 3 > 2" in line
    assert seen.read(run) == []
    commit(run, 1, [0.5] * 4, [8] * 4)
    commit(run, 2, [3.0] * 4, [8] * 4)
    lines = seen.read(run)
    assert ["8/12" in lines[0], "12/12" in lines[1], "best 3.000" in lines[1]] == [True] * 3


def test_watch_says_where_a_stopped_run_stands(run: Run) -> None:
    commit(run, 0, [1.0, 2.0], [8, 8])
    answer = CliRunner().invoke(app, ["watch", str(run.path)])
    assert answer.exit_code == 0
    assert "2/12 trials" in answer.stdout
    assert "windtunnel resume" in answer.stdout


def test_watch_follows_a_run_that_is_led(run: Run) -> None:
    with run.locked():
        commit(run, 0, [1.0], [8])
        commit(run, 1, [1.5], [8])
        answer = CliRunner().invoke(app, ["watch", str(run.path), "--once"])
    assert "2/12 trials" in answer.stdout
    assert "1/12 trials" not in answer.stdout  # how it stands, and not how it came there
    assert "resume" not in answer.stdout


def test_there_is_nothing_to_help_with(run: Run) -> None:
    answer = CliRunner().invoke(app, ["work", str(run.path)])
    assert "no process carries it out" in str(answer.exception)
