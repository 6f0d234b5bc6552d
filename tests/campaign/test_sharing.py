"""Who trains the parts of a cohort changes nothing, and nobody's death loses anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from windtunnel import events, executors
from windtunnel.assessor import Assessor
from windtunnel.campaign import Campaign, InProcess, split
from windtunnel.rungs import Assessed
from windtunnel.runs import Run, run_id
from windtunnel.shared_parts import SharedParts, _claim, _remove, help_with
from windtunnel.tuning.strategy import Suggestion

Make = Any
HELPER = """
import sys
from windtunnel.experiments import work_on
print("ready", flush=True)
print(work_on(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def assessor(study_of: Make, assessor_of: Make) -> Assessor:
    return assessor_of(study_of(tuning={"parts": 4, "pruner": "halving", "rungs": 1}))


def start_run(folder: Path, assessor: Assessor) -> Run:
    from windtunnel.data import load

    bars = load.load_bars(assessor.study.data, Path())
    path = folder / "runs" / run_id(assessor.study, assessor.panel.fingerprint)
    return Run.create(path, assessor.study, bars, origin=None)


def carry_out(run: Run, assessor: Assessor, executor: Any, observer: Any = None) -> pl.DataFrame:
    bus = events.EventBus([observer] if observer else [])
    with run.locked():
        Campaign(run, assessor, executor, bus).carry_out()
    return pl.concat([table for table, _ in run.cohorts()])


@pytest.fixture(scope="module")
def alone(assessor: Assessor, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    run = start_run(tmp_path_factory.mktemp("alone"), assessor)
    return carry_out(run, assessor, InProcess(assessor))


def test_parts_are_even_and_never_empty() -> None:
    cohort = [Suggestion(number, {}) for number in range(10)]
    parts = split(cohort, 4)
    assert [len(part) for part in parts] == [2, 3, 3, 2]
    assert [each for part in parts for each in part] == cohort
    assert [len(part) for part in split(cohort[:2], 4)] == [1, 1]


def test_pruned_trials_are_in_the_ledger(
    alone: pl.DataFrame, assessor: Assessor, tmp_path: Path
) -> None:
    run = start_run(tmp_path, assessor)
    campaign = Campaign(run, assessor, InProcess(assessor), events.EventBus([]))
    with run.locked():
        campaign.carry_out()
    kept = [trial for cohort in campaign.ledger.cohorts() for trial in cohort.trials]
    assert [trial.state for trial in kept] == alone["state"].to_list()
    assert [trial.sharpe for trial in kept] == alone["sharpe"].to_list()
    assert alone["state"].to_list().count("pruned") == 8


def test_two_processes_make_the_table_of_one(
    alone: pl.DataFrame, assessor: Assessor, tmp_path: Path
) -> None:
    """The helper is killed in the first cohort, another one helps to the end."""
    run = start_run(tmp_path, assessor)
    helpers: list[subprocess.Popen[str]] = []

    def call_helper() -> None:
        helpers.append(
            subprocess.Popen(
                [sys.executable, "-c", HELPER, str(run.path)], stdout=subprocess.PIPE, text=True
            )
        )
        assert helpers[-1].stdout is not None
        assert helpers[-1].stdout.readline() == "ready\n"

    def turn(event: events.Event) -> None:
        match event:
            case events.TuningStarted():
                call_helper()
            case events.CohortFinished(cohort=0):
                os.kill(helpers[0].pid, signal.SIGKILL)
                call_helper()

    shared = SharedParts(run, Slow(assessor, 0.5))  # type: ignore[arg-type]  # used as one
    table = carry_out(run, assessor, shared, turn)
    shared.clear()
    assert_frame_equal(table, alone, check_exact=True)
    for helper in helpers:
        helper.communicate(timeout=120)
    assert helpers[1].returncode == 0
    assert not (run.path / "parts").exists()


class Slow:
    """An assessor that takes its time."""

    def __init__(self, assessor: Assessor, seconds: float) -> None:
        self.assessor, self.seconds = assessor, seconds

    def assess(self, *arguments: Any) -> Any:
        time.sleep(self.seconds)
        return self.assessor.assess(*arguments)


class InTurn:
    """An assessor that begins a part when `before` has a turn to give, and gives one to `after`."""

    def __init__(self, assessor: Assessor, before: Semaphore | None, after: Semaphore | None):
        self.assessor, self.before, self.after = assessor, before, after

    def assess(self, *arguments: Any) -> Any:
        if self.before is not None:
            assert self.before.acquire(timeout=60), "the helper takes no part"
        found = self.assessor.assess(*arguments)
        if self.after is not None:
            self.after.release()
        return found


def test_a_helper_takes_parts_while_another_is_busy(
    alone: pl.DataFrame, assessor: Assessor, tmp_path: Path
) -> None:
    """For each part that the run does itself the helper has done one before."""
    run = start_run(tmp_path, assessor)
    helped: list[int] = []
    turns = Semaphore(0)
    eager: Any = InTurn(assessor, None, turns)
    busy: Any = InTurn(assessor, turns, None)
    helper = Thread(target=lambda: helped.append(help_with(run, eager)))
    table = carry_out(
        run,
        assessor,
        SharedParts(run, busy),
        lambda event: helper.start() if isinstance(event, events.TuningStarted) else None,
    )
    helper.join(timeout=60)
    assert helped[0] >= 4  # of 8
    assert_frame_equal(table, alone, check_exact=True)


def test_a_helper_stays_with_the_run_that_it_began_with(assessor: Assessor, tmp_path: Path) -> None:
    """Killed, set aside and begun anew while it is busy, the run may be of other code."""
    leader = ExitStack()

    def begin() -> Run:
        run = start_run(tmp_path, assessor)
        leader.enter_context(run.locked())
        folder = run.path / "parts" / "0000"
        folder.mkdir(parents=True)
        asked = {"cohort": 0, "parts": [[{}], [{}]], "past": []}
        (folder / "asked.json").write_text(json.dumps(asked))
        return run

    class Overtaken:
        def assess(self, *_: Any) -> Assessed:
            leader.close()
            run.set_aside()
            begin()
            return Assessed(pl.DataFrame({"number": [0]}), np.ones((1, 1)), (), ())

    run, helped = begin(), []
    busy: Any = Overtaken()
    helper = Thread(target=lambda: helped.append(help_with(run, busy)))
    helper.start()
    helper.join(timeout=5)
    parts = [each.name for each in (run.path / "parts" / "0000").iterdir()]
    leader.close()
    helper.join(timeout=5)
    assert helped == [1]
    assert parts == ["asked.json"]


def test_a_folder_is_removed_while_a_helper_looks_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which would put a lock there at the very last moment."""
    folder = tmp_path / "parts" / "0000"
    folder.mkdir(parents=True)
    remove = os.rmdir

    def looked_into(*arguments: Any, **named: Any) -> None:
        with _claim(folder, 0):
            pass
        remove(*arguments, **named)

    monkeypatch.setattr(os, "rmdir", looked_into)
    _remove(folder)
    assert list(folder.parent.iterdir()) == []
    _remove(folder)  # there is none


def test_an_attempt_by_ray_clears_what_one_before_shared_out(
    assessor: Assessor, study_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_run(tmp_path, assessor)
    (run.path / "parts" / "0000").mkdir(parents=True)
    by_ray = study_of(tuning={"parts": 4, "pruner": "halving", "rungs": 1, "executor": "ray"})
    course = replace(assessor.course, study=by_ray)
    monkeypatch.setattr(executors, "RayWorkers", lambda *_: nullcontext())
    with executors.executor_of(run, replace(assessor, course=course)):
        assert not (run.path / "parts").exists()
