"""Attempts at one run, one after the other or at once: its files speak of one study throughout."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import optuna
import polars as pl
import pytest

from windtunnel.deployment.manifest import read_verified
from windtunnel.deployment.registry import Registry
from windtunnel.errors import DataError, RunError
from windtunnel.experiments import Study, work_on
from windtunnel.holdout import open_holdout
from windtunnel.runs import Run

STUDY: dict[str, Any] = {
    "study": {"name": "tried", "seed": 4, "trials": 24, "cohort": 4},
    "data": {"source": "sample:us_equities_1d", "symbols": ["AAPL", "IBM"], "start": "2011-01-01"},
    "features": {"use": ["return_1", "rsi_14"]},
    "validation": {"folds": 2, "train_bars": 300, "holdout_bars": 100},
    "model": {"family": "linear"},
    "training": {"steps": 8, "batch_size": 32},
    "search": {
        "training.learning_rate": {"low": 1e-3, "high": 3e-2, "log": True},
        "policy.enter": {"low": 0.0, "high": 0.05},
    },
}
# Begins when it is told to, so that two of them begin at once.
ATTEMPT = """
import json, sys
from windtunnel.errors import WindtunnelError
from windtunnel.experiments import Study
study, workspace = Study.from_dict(json.loads(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
try:
    print("done", study.run(workspace).run.id)
except WindtunnelError as error:
    print(type(error).__name__, error)
"""


def study_of(**tables: dict[str, Any]) -> Study:
    return Study.from_dict(STUDY | tables)


@contextmanager
def life_until(lives: ForkServerContext, workspace: Path, file: str) -> Iterator[ForkServerProcess]:
    """A process that carries the study out, from the moment at which `file` is there."""
    process = lives.Process(target=study_of().run, args=(workspace,))
    process.start()
    try:
        while not any(workspace.glob(file)):
            assert process.is_alive(), f"it ended before there was {file}"
            time.sleep(0.002)
        yield process
    finally:
        process.kill()
        process.join()


def run_in(workspace: Path) -> Run:
    (path,) = (workspace / "runs").glob("tried-*")
    return Run(path)


@pytest.fixture(scope="module")
def killed(lives: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose run was killed with a cohort or more to its name."""
    workspace = tmp_path_factory.mktemp("killed")
    with life_until(lives, workspace, "runs/tried-*/cohorts/0000"):
        pass
    assert not run_in(workspace).complete
    return workspace


@pytest.fixture
def workspace(killed: Path, tmp_path: Path) -> Path:
    """One like it for a single test."""
    return shutil.copytree(killed, tmp_path / "workspace")


def _raise_fees(run: Run) -> None:
    path = run.path / "study.toml"
    before = path.read_text()
    assert "fee_bps = 1.0" in before
    path.write_text(before.replace("fee_bps = 1.0", "fee_bps = 0.0"))


def _double_volumes(run: Run) -> None:
    bars = pl.read_parquet(run.path / "bars.parquet")
    bars.with_columns(pl.col("volume") * 2).write_parquet(run.path / "bars.parquet")


@pytest.mark.parametrize("edit", [_raise_fees, _double_volumes])
def test_no_attempt_goes_on_with_an_edited_run(
    workspace: Path, edit: Callable[[Run], None]
) -> None:
    """It would have cohorts of two studies in one table."""
    run = run_in(workspace)
    cohorts = len(run.cohorts())
    edit(run)
    with pytest.raises(DataError, match="not what the run began with") as caught:
        study_of().run(workspace)
    assert "windtunnel run --fresh" in caught.value.remedy
    with run.locked(), pytest.raises(DataError, match="not what the run began with"):
        work_on(run.path)
    assert len(run.cohorts()) == cohorts


def test_an_attempt_brings_its_settings(workspace: Path) -> None:
    """Where and by whom trials are computed may change, and the mirror changes with it."""
    run = run_in(workspace)
    assert (run.path / "optuna.journal").is_file()
    training = STUDY["training"] | {"memory_budget_mib": 2048}
    result = study_of(training=training, tuning={"storage": "sqlite"}).run(workspace)
    assert result.run == run
    assert run.study().tuning.storage == "sqlite"
    assert run.study().training.memory_budget_mib == 2048
    assert not list(run.path.glob("optuna.journal*"))
    shown = optuna.load_study(study_name=run.id, storage=f"sqlite:///{run.path / 'optuna.db'}")
    assert [trial.number for trial in shown.trials] == result.trials["number"].to_list()
    assert run.verify() == []


def test_a_run_is_not_set_aside_under_a_process_at_work(
    lives: ForkServerContext, tmp_path: Path
) -> None:
    with life_until(lives, tmp_path, "runs/tried-*/cohorts/0000") as process:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(RunError, match="worked on by another process"):
                study_of().run(tmp_path, fresh=True)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        process.join()
        assert process.exitcode == 0
    assert run_in(tmp_path).verify() == []


def test_two_attempts_that_begin_at_once(tmp_path: Path) -> None:
    """One makes the run; the other finds it made, and its maker at work or done."""
    attempts = [
        subprocess.Popen(
            [sys.executable, "-c", ATTEMPT, json.dumps(STUDY), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    for attempt in attempts:
        assert attempt.stdout is not None
        assert attempt.stdout.readline() == "ready\n"
    for attempt in attempts:
        assert attempt.stdin is not None
        attempt.stdin.write("go\n")
        attempt.stdin.flush()
    said = [attempt.communicate(timeout=120)[0] for attempt in attempts]
    run = run_in(tmp_path)
    done = [text for text in said if text == f"done {run.id}\n"]
    refused = [text for text in said if "worked on by another process" in text]
    assert done, said
    assert len(done) + len(refused) == 2, said
    assert run.verify() == []


def test_the_bundle_says_what_the_result_says(lives: ForkServerContext, tmp_path: Path) -> None:
    """Killed after it registered a bundle without a look at the holdout, then told to look."""
    looks = tmp_path / "runs" / "holdout.jsonl"
    open_holdout(looks, "other", ["AAPL", "IBM"], "2011-01-01", "2014-01-01", model="another")
    registry = Registry(tmp_path / "registry")
    with life_until(lives, tmp_path, "registry/tried/log/00000001.json"):
        pass
    run = run_in(tmp_path)
    assert not run.complete
    assert not _evidence(run).holdout_read

    study_of().run(tmp_path, open_holdout="nobody has chosen by it")
    assert run.result()["holdout"]["opened"]
    assert _evidence(run).holdout_read
    assert _evidence(run).earlier_looks == 1
    assert run.result()["model"]["version"] == 2
    assert run.verify() == []

    # As if killed before the seal: what says the same is not registered again.
    (run.path / "manifest.json").unlink()
    study_of().run(tmp_path)
    assert run.result()["model"]["version"] == 2
    assert len(registry.versions("tried")) == 2
    assert run.verify() == []


def _evidence(run: Run) -> Any:
    return read_verified(run.path / "bundle")[0].evidence
