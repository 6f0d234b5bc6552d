"""A study on a real local Ray; everything that Ray starts is gone afterwards, come what may."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from windtunnel import events
from windtunnel.assessor import Assessor
from windtunnel.campaign import Campaign, InProcess
from windtunnel.config import to_toml
from windtunnel.data import load
from windtunnel.errors import TrainingError
from windtunnel.ray_board import Standing
from windtunnel.ray_workers import RayWorkers
from windtunnel.runs import Run

Make = Any
LIMIT = 240  # seconds; a machine that has nothing else to do needs 25
DRIVER = Path(__file__).parent / "ray_driver.py"


@pytest.fixture
def ray_home() -> Iterator[Path]:
    """A short path, since Ray puts sockets below it; what still runs from there is killed."""
    pytest.importorskip("ray.tune")
    home = Path(tempfile.mkdtemp(prefix="wtr", dir="/tmp"))
    yield home
    for pid in running_from(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(home, ignore_errors=True)


def running_from(home: Path) -> list[int]:
    """Processes that name the folder in their command line or environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
            if str(home).encode() in words and int(place.name) != os.getpid():
                found.append(int(place.name))
    return found


def start(assessor: Assessor, folder: Path) -> Run:
    bars = load.load_bars(assessor.study.data, Path())
    return Run.create(folder / "runs" / "searched", assessor.study, bars, origin=None)


def table_of(run: Run) -> pl.DataFrame:
    return pl.concat([table for table, _ in run.cohorts()])


@pytest.fixture(scope="module")
def assessor(study_of: Make, assessor_of: Make) -> Assessor:
    return assessor_of(study_of(tuning={"parts": 4, "pruner": "halving", "rungs": 1}))


@pytest.mark.slow
def test_every_trial_is_told_once_though_a_worker_is_killed(
    assessor: Assessor, ray_home: Path, tmp_path: Path
) -> None:
    alone = start(assessor, tmp_path / "alone")
    with alone.locked():
        Campaign(alone, assessor, InProcess(assessor), events.EventBus([])).carry_out()
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "study.toml").write_text(to_toml(assessor.study), encoding="utf-8")
    with (folder / "output").open("w") as output:
        driver = subprocess.Popen(
            [sys.executable, str(DRIVER), str(folder)],
            env={
                **os.environ,
                "RAY_TMPDIR": str(ray_home),
                "RAY_USAGE_STATS_ENABLED": "0",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            driver.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
    assert driver.returncode == 0, (folder / "output").read_text()[-3000:]
    table = table_of(Run(folder / "runs" / "searched"))
    assert table["number"].to_list() == list(range(16))
    assert_frame_equal(table, table_of(alone), check_exact=True)
    for _ in range(100):
        if not running_from(ray_home):
            break
        time.sleep(0.1)
    assert running_from(ray_home) == []


@pytest.mark.parametrize(
    ("silence", "alive", "words"),
    [
        (700.0, True, "no Ray worker gave a sign of life for 700 s"),
        (1.0, False, "the Ray workers ended"),
    ],
)
def test_nobody_is_waited_for_without_an_end(
    monkeypatch: pytest.MonkeyPatch, silence: float, alive: bool, words: str
) -> None:
    workers = RayWorkers(lambda: None, 2, None, Path())  # type: ignore[arg-type, return-value]
    standing = Standing(0, [], silence)
    monkeypatch.setattr(workers, "_ask", lambda method, *_: standing if method == "state" else None)

    class Thread:
        def is_alive(self) -> bool:
            return alive

    workers._thread = Thread()  # type: ignore[assignment]
    with pytest.raises(TrainingError, match=words):
        workers.assess([[{}]], 0, [])
