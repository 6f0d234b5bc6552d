"""However a study is stopped, finishing it gives the table of an uninterrupted run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

Finished = Any
Fixture = Any


@pytest.fixture
def start() -> Iterator[Callable[[Path, Path], subprocess.Popen[str]]]:
    """Run a study file in a workspace, in a process that ends with the test at the latest."""
    begun = []

    def begin(study: Path, workspace: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "windtunnel", "run", str(study)],
            cwd=workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_for(workspace: Path, pattern: str, process: subprocess.Popen[str]) -> Path:
    for _ in range(12_000):  # ten minutes: the machine may have much else to do
        found = sorted((workspace / "runs").glob(pattern))
        if found:
            return found[0]
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError(f"{pattern} never appeared")


def assert_same(run: Path, finished: Finished) -> None:
    again = pl.read_parquet(run / "trials.parquet")
    assert_frame_equal(again, finished.trials, check_exact=True)
    assert_frame_equal(
        pl.read_parquet(run / "holdout.parquet"),
        pl.read_parquet(finished.run / "holdout.parquet"),
        check_exact=True,
    )


# By the command line, as a user would; test_kills.py does so at random moments of all stages.
@pytest.mark.slow
@pytest.mark.parametrize("stage", ["cohorts/0000", "bundle"])
def test_killed_and_resumed_equals_uninterrupted(
    finished: Finished,
    windtunnel: Fixture,
    start: Fixture,
    write_study: Fixture,
    tmp_path: Path,
    stage: str,
) -> None:
    process = start(write_study(tmp_path), tmp_path)
    wait_for(tmp_path, f"small-*/{stage}", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    run = next((tmp_path / "runs").glob("small-*"))
    assert not (run / "manifest.json").exists()
    done = windtunnel("resume", run, "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same(run, finished)
    assert windtunnel("verify", run, cwd=tmp_path).returncode == 0
    assert windtunnel("memory", "verify", cwd=tmp_path).returncode == 0
    ledger = (tmp_path / "runs" / "ledger.jsonl").read_text().splitlines()
    assert len(ledger) == 3
    assert len((tmp_path / "runs" / "holdout.jsonl").read_text().splitlines()) == 1


def test_interrupt_leaves_a_resumable_study(
    finished: Finished, windtunnel: Fixture, start: Fixture, write_study: Fixture, tmp_path: Path
) -> None:
    process = start(write_study(tmp_path), tmp_path)
    wait_for(tmp_path, "small-*/cohorts/0000", process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "go on" in output
    assert "Traceback" not in output
    done = windtunnel("run", "small.toml", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same(next((tmp_path / "runs").glob("small-*")), finished)


def test_cohort_damaged_on_disk_is_named(
    windtunnel: Fixture, start: Fixture, write_study: Fixture, tmp_path: Path
) -> None:
    process = start(write_study(tmp_path), tmp_path)
    cohort = wait_for(tmp_path, "small-*/cohorts/0000", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    table = cohort / "trials.parquet"
    table.write_bytes(table.read_bytes()[:100])
    done = windtunnel("resume", cohort.parents[1], cwd=tmp_path)
    assert done.returncode == 5
    assert "cohort 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_processes_cannot_work_on_one_run(
    windtunnel: Fixture, start: Fixture, write_study: Fixture, tmp_path: Path
) -> None:
    process = start(write_study(tmp_path), tmp_path)
    run = wait_for(tmp_path, "small-*/run.lock", process).parent
    done = windtunnel("resume", run, cwd=tmp_path)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert done.returncode == 5
    assert "another process" in done.stderr


def test_changed_bars_are_refused(
    finished: Finished, windtunnel: Fixture, start: Fixture, write_study: Fixture, tmp_path: Path
) -> None:
    process = start(write_study(tmp_path), tmp_path)
    run = wait_for(tmp_path, "small-*/run.lock", process).parent
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    bars = pl.read_parquet(run / "bars.parquet")
    bars.with_columns(pl.col("volume") * 2).write_parquet(run / "bars.parquet")
    done = windtunnel("resume", run, cwd=tmp_path)
    assert done.returncode == 3
    assert "bars.parquet" in done.stderr
