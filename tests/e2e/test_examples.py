"""The examples run as they stand."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest

import windtunnel as wt
from windtunnel.runs import Run


def test_a_study_on_ones_own_frame(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "examples" / "own_bars.py"), "16"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    workspace = tmp_path / "build" / "own_bars"
    assert (workspace / "report.html").is_file()
    (path,) = (workspace / "runs").glob("weekly-*")
    result = wt.StudyResult.load(Run.open(path))
    assert isinstance(result.trials, pl.DataFrame)
    assert len(result.trials) == 16
    assert result.verdict in done.stdout
    assert set(result.champion) <= set(result.trials.columns)
    assert wt.resume(path).figures == result.figures


@pytest.mark.slow
def test_a_policy_in_a_reduced_form(root: Path, tmp_path: Path) -> None:
    """The study of `examples/policy.toml` with less to train and fewer bars, all else as it is."""
    with (root / "examples" / "policy.toml").open("rb") as file:
        raw = tomllib.load(file)
    raw["study"] |= {"trials": 4, "cohort": 4}
    raw["data"] |= {"end": "2004-06-30", "symbols": ["AAPL", "IBM"]}
    raw["validation"] |= {"folds": 2, "train_bars": 400, "holdout_bars": 120}
    raw["model"] |= {"hidden": [8]}
    raw["training"] |= {"seeds": 2, "steps": 20}
    raw["rl"] |= {"updates": 4, "environments": 8, "epochs": 1, "supervised_trials": 4}
    raw["tuning"] |= {"rungs": 1}
    result = wt.Study.from_dict(raw).run(tmp_path)
    assert {row["kind"] for row in result.figures["rivals"]} == {
        "seed", "supervised", "hold", "cash",
    }  # fmt: skip
    assert result.bundle.is_dir()
