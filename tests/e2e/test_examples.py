"""The examples run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl

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
