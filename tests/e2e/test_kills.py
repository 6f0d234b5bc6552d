"""kill -9 at random moments, again and again: the finished run is that of one that was let be."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import optuna
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from windtunnel.deployment.registry import Registry
from windtunnel.experiments import Study
from windtunnel.ledger import Ledger
from windtunnel.runs import Run

# As many kills in all, over as many runs as it takes.
KILLS = int(os.environ.get("WINDTUNNEL_TEST_KILLS", "20"))
SEED = int(os.environ.get("WINDTUNNEL_TEST_KILLS_SEED", "11"))
TRIALS, COHORT = 48, 4
STUDY: dict[str, Any] = {
    "study": {"name": "mortal", "seed": 4, "trials": TRIALS, "cohort": COHORT},
    "data": {"source": "sample:us_equities_1d", "symbols": ["AAPL", "IBM"], "start": "2011-01-01"},
    "features": {"use": ["return_1", "rsi_14"]},
    "validation": {"folds": 2, "train_bars": 300, "holdout_bars": 100},
    "model": {"family": "linear"},
    "training": {"steps": 8, "batch_size": 32},
    "tuning": {"pruner": "asha", "rungs": 1},
    "search": {
        "training.learning_rate": {"low": 1e-3, "high": 3e-2, "log": True},
        "policy.enter": {"low": 0.0, "high": 0.05},
    },
}


@contextmanager
def life(lives: ForkServerContext, workspace: Path) -> Iterator[ForkServerProcess]:
    """A process that carries the study out, from wherever it stands."""
    process = lives.Process(target=Study.from_dict(STUDY).run, args=(workspace,))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


@pytest.fixture(scope="module")
def whole(lives: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that nobody disturbed."""
    workspace = tmp_path_factory.mktemp("whole")
    with life(lives, workspace) as process:
        process.join()
        assert process.exitcode == 0
    return run_in(workspace)


def run_in(workspace: Path) -> Run:
    (path,) = (workspace / "runs").glob("mortal-*")
    return Run(path)


def entries(workspace: Path) -> int:
    """How much there is on the disk, temporary files included."""
    return sum(1 + len(names) for _, _, names in os.walk(workspace))


def killed(process: ForkServerProcess, workspace: Path, chance: random.Random) -> bool:
    """Kill at a random moment; False when the run was finished before it came.

    A moment is so many new files after the start, and a while: whatever the speed of the
    machine, lives end in every stage, and most of them achieve something. A cohort is two
    files and some that come and go; the end of a run is some twenty.
    """
    new = chance.choice([0, 0, 2, 4, 8, 14, 20])
    achieved = entries(workspace) + new
    while process.is_alive() and entries(workspace) < achieved:
        time.sleep(0.003)
    process.join(chance.uniform(0.0, 0.1 if new else 0.5))
    process.kill()
    process.join()
    assert process.exitcode in {0, -signal.SIGKILL}
    return process.exitcode != 0


def assert_nothing_lost_nothing_twice(workspace: Path, whole: Run) -> None:
    run = run_in(workspace)
    for table in ("trials.parquet", "trades.parquet", "holdout.parquet"):
        assert_frame_equal(
            pl.read_parquet(run.path / table), pl.read_parquet(whole.path / table), check_exact=True
        )
    assert run.verify() == []
    assert run.result()["champion"] == whole.result()["champion"]
    assert run.result()["statistics"] == whole.result()["statistics"]

    cohorts = Ledger(run.path.parent / "ledger.jsonl").cohorts()
    assert [cohort.cohort for cohort in cohorts] == list(range(TRIALS // COHORT))
    assert [trial.number for cohort in cohorts for trial in cohort.trials] == list(range(TRIALS))

    backend = optuna.storages.journal.JournalFileBackend(str(run.path / "optuna.journal"))
    storage = optuna.storages.JournalStorage(backend)
    shown = optuna.load_study(study_name=run.id, storage=storage).trials
    table = pl.read_parquet(run.path / "trials.parquet")
    assert [trial.number for trial in shown] == table["number"].to_list()
    assert [trial.state.name.lower() for trial in shown] == table["state"].to_list()

    looks = (run.path.parent / "holdout.jsonl").read_text().splitlines()
    assert [json.loads(look)["run"] for look in looks] == [run.id]
    assert len(Registry(workspace / "registry").versions("mortal")) == 1


def chain(lives: ForkServerContext, whole: Run, folder: Path, seed: int, kills: int) -> int:
    """Kill so many times, in as many runs as that takes; return how many were finished."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    left, finished = kills, 0
    while left or not finished:
        workspace = folder / str(finished)
        workspace.mkdir(parents=True, exist_ok=True)
        with life(lives, workspace) as process:
            if left and killed(process, workspace, chance):
                left -= 1
                continue
            process.join()
            assert process.exitcode == 0
        assert_nothing_lost_nothing_twice(workspace, whole)
        finished += 1
    return finished


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed(
    lives: ForkServerContext, whole: Run, tmp_path: Path
) -> None:
    """Two chains of lives at once, since one keeps one core busy."""
    with ThreadPoolExecutor(2) as chains:
        both = [
            chains.submit(chain, lives, whole, tmp_path / str(at), SEED + at, kills)
            for at, kills in enumerate((KILLS // 2, KILLS - KILLS // 2))
        ]
    assert sum(each.result() for each in both) >= 2
