"""Monitoring over a finished run: quiet where nothing happened, loud where it was planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest


def test_a_run_is_replayed(finished: Any, windtunnel: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = windtunnel(
        "monitor", "replay", finished.run, "--json", "--out", out, cwd=finished.workspace
    )
    assert done.returncode == 0, done.stderr + done.stdout
    answer = json.loads(done.stdout)
    assert answer["bars"] == 252  # the holdout
    assert answer["checks"] == (252 - 60) // 20 + 1
    assert answer["subject"] == "small version 1"
    # FB is listed on 2012-05-18; until then it has no bars.
    (missing,) = [alert for alert in answer["alerts"] if alert["rule"] == "instrument without bars"]
    assert missing["subject"] == "small version 1 FB"
    assert missing["until"].startswith("2012-05-18")
    assert Path(missing["picture"]).is_file()
    kept = [json.loads(line) for line in (out / "alerts.jsonl").read_text().splitlines()]
    assert kept == answer["alerts"]
    assert answer["ic"]["low"] < answer["ic"]["mean"] < answer["ic"]["high"]
    # Nothing was written into the run.
    assert windtunnel("verify", finished.run, cwd=finished.workspace).returncode == 0


def test_a_regime_planted_in_newer_bars_is_found(
    finished: Any, windtunnel: Any, wild_bars: Any, tmp_path: Path
) -> None:
    # The training rows hold the crash of 2008: returns have to be wilder than those were.
    own = pl.read_parquet(finished.run / "bars.parquet")
    newer = tmp_path / "newer.parquet"
    wild_bars(own, 120, 10.0, seed=1).write_parquet(newer)
    done = windtunnel(
        "monitor", "replay", finished.run, "--bars", newer, "--json", cwd=finished.workspace
    )
    assert done.returncode == 0, done.stderr + done.stdout
    answer = json.loads(done.stdout)
    assert answer["bars"] == 252 + 120
    assert "share none with the run's own" in answer["note"]
    end = str(own["timestamp"].max())[:10]
    drift = [alert for alert in answer["alerts"] if alert["rule"] == "features drift"]
    assert any(alert["since"] > end for alert in drift)
    assert "return_" in drift[-1]["what"]


def test_bars_that_are_not_newer_are_refused(finished: Any, windtunnel: Any) -> None:
    done = windtunnel(
        "monitor",
        "replay",
        finished.run,
        "--bars",
        finished.run / "bars.parquet",
        cwd=finished.workspace,
    )
    assert done.returncode == 3
    assert "none is later" in done.stderr


def test_outcomes_of_a_sealed_holdout_are_not_looked_at(finished: Any, tmp_path: Path) -> None:
    import shutil

    from windtunnel.monitoring.replay import replay

    run = tmp_path / "runs" / finished.run.name
    shutil.copytree(finished.run, run)
    result = json.loads((run / "result.json").read_text())
    result["holdout"]["opened"] = False
    (run / "result.json").write_text(json.dumps(result))
    done = replay(run)
    assert done.ic == {}
    assert "sealed" in done.note
    assert "<table" in done._repr_html_()


def test_the_schema_is_printed(windtunnel: Any, tmp_path: Path) -> None:
    done = windtunnel("monitor", "schema", cwd=tmp_path)
    assert "false_alarm_bars" in json.loads(done.stdout)["$defs"]["DriftSection"]["properties"]


@pytest.mark.parametrize("text", ["[drift]\nwindow = 2\n", "nonsense"])
def test_a_bad_monitor_file_is_refused(
    finished: Any, windtunnel: Any, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "monitor.toml"
    path.write_text(text)
    done = windtunnel("monitor", "replay", finished.run, "--settings", path, cwd=finished.workspace)
    assert done.returncode == 11
    assert "monitor.toml" in done.stderr
