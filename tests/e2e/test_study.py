"""A study from bars to a registered model, as a user sees it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

Finished = Any
Run = Any


@pytest.mark.slow
def test_every_artifact_stands(finished: Finished) -> None:
    for name in (
        "study.toml",
        "bars.parquet",
        "environment.json",
        "trials.parquet",
        "holdout.parquet",
        "report.html",
        "result.json",
        "manifest.json",
        "bundle/manifest.json",
        "bundle/model.stablehlo",
        "bundle/params.safetensors",
    ):
        assert (finished.run / name).is_file(), name


def test_trial_table_is_whole(finished: Finished) -> None:
    trials = finished.trials
    assert trials["number"].to_list() == list(range(24))
    assert trials["cohort"].to_list() == [index // 8 for index in range(24)]
    complete = trials.filter(pl.col("state") == "complete")
    assert complete["objective"].is_finite().all()
    for name in ("sharpe", "max_drawdown", "turnover", "auc", "log_loss", "rank_ic", "fills"):
        assert complete[name].null_count() < len(complete), name
    assert (complete["max_drawdown"].drop_nulls() >= 0).all()


def test_journal_holds_the_same_trials(finished: Finished) -> None:
    storage = JournalStorage(JournalFileBackend(str(finished.run / "optuna.journal")))
    (summary,) = optuna.get_all_study_summaries(storage)
    study = optuna.load_study(study_name=summary.study_name, storage=storage)
    assert [trial.number for trial in study.trials] == finished.trials["number"].to_list()
    values = [trial.value for trial in study.trials]
    assert values == finished.trials["objective"].to_list()


def test_champion_is_a_trial_and_not_only_a_peak(finished: Finished) -> None:
    champion = finished.figures["champion"]
    row = finished.trials.row(champion["number"], named=True)
    assert champion["params"] == {name: row[name] for name in champion["params"]}
    assert champion["plateau"] <= finished.trials["objective"].max()


def test_result_is_honest_about_the_number_of_trials(finished: Finished) -> None:
    statistics = finished.figures["statistics"]
    assert statistics["trials_study"] == 24
    assert statistics["trials_project"] >= 24
    assert 0 <= statistics["dsr"] <= statistics["psr"] <= 1
    assert 0 <= statistics["pbo"] <= 1


def test_holdout_was_read_once(finished: Finished) -> None:
    assert finished.figures["holdout"]["opened"]
    lines = (finished.workspace / "runs" / "holdout.jsonl").read_text().splitlines()
    assert len(lines) == 1


def test_run_is_sealed_and_notices_a_change(
    finished: Finished, tmp_path: Path, windtunnel: Run
) -> None:
    done = windtunnel("verify", finished.run, cwd=finished.workspace)
    assert done.returncode == 0, done.stderr
    copy = tmp_path / finished.run.name
    shutil.copytree(finished.run, copy)
    result = json.loads((copy / "result.json").read_text())
    result["statistics"]["dsr"] = 0.99
    (copy / "result.json").write_text(json.dumps(result))
    done = windtunnel("verify", copy, cwd=tmp_path)
    assert done.returncode == 5
    assert "result.json" in done.stderr


def test_same_study_again_returns_the_same_result(finished: Finished, windtunnel: Run) -> None:
    study = finished.workspace / "small.toml"
    done = windtunnel("run", study, "--json", cwd=finished.workspace)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == finished.figures
    lines = (finished.workspace / "runs" / "holdout.jsonl").read_text().splitlines()
    assert len(lines) == 1


def test_another_seed_finds_the_holdout_sealed_and_more_trials(
    finished: Finished, tmp_path: Path, windtunnel: Run, write_study: Run
) -> None:
    workspace = tmp_path / "again"
    shutil.copytree(finished.workspace, workspace)
    study = write_study(tmp_path, seed=4)
    done = windtunnel("run", study, "--workspace", workspace, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert not figures["holdout"]["opened"]
    assert finished.run.name in figures["holdout"]["seal"]
    assert figures["statistics"]["trials_project"] == 48
    assert figures["model"]["version"] == 2

    forced = write_study(tmp_path, seed=5)
    done = windtunnel(
        "run", forced, "--workspace", workspace, "--open-holdout", "to see", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["holdout"]["opened"]
    assert figures["holdout"]["earlier_looks"]
    assert "look number 2" in " ".join(figures["verdict"]["sentences"])


def test_memory_bank_remembers_and_verifies(finished: Finished, windtunnel: Run) -> None:
    done = windtunnel("memory", "verify", cwd=finished.workspace)
    assert done.returncode == 0, done.stderr
    entry = finished.workspace / "memory_bank" / "experiments" / f"{finished.run.name}.md"
    assert entry.is_file()
    assert finished.figures["verdict"]["headline"] in entry.read_text()


def test_memory_pages_come_back_from_the_runs_byte_for_byte(
    finished: Finished, windtunnel: Run, tmp_path: Path
) -> None:
    workspace = tmp_path / "copy"
    shutil.copytree(finished.workspace, workspace)
    bank = workspace / "memory_bank"
    # The model of a study without an edge serves only when it is forced to.
    why = ("--force", "--reason", "to have a page of it")
    assert windtunnel("promote", "small", "1", *why, cwd=workspace).returncode == 0
    before = {path: path.read_bytes() for path in bank.rglob("*") if path.is_file()}
    assert any(path.parent.name == "pictures" for path in before)
    assert any(path.parent.name == "promotions" for path in before)
    entry = bank / "experiments" / f"{finished.run.name}.md"
    entry.write_text(entry.read_text().replace("metrics.sharpe", "metrics.sharpie"))
    next((bank / "pictures").iterdir()).unlink()
    (bank / "progress.md").unlink()
    assert windtunnel("memory", "verify", cwd=workspace).returncode == 8
    done = windtunnel("memory", "rebuild", cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert f"entry of {finished.run.name} restored" in done.stdout
    assert {path: path.read_bytes() for path in bank.rglob("*") if path.is_file()} == before
    entry.unlink()
    assert windtunnel("memory", "rebuild", cwd=workspace).returncode == 0
    assert entry.read_bytes() == before[entry]
    assert windtunnel("memory", "verify", cwd=workspace).returncode == 0
    done = windtunnel("memory", "diff", "small", "small", cwd=workspace)
    assert "differ in nothing" in done.stdout


def test_quiet_prints_the_verdict_alone(finished: Finished, windtunnel: Run) -> None:
    done = windtunnel("run", "small.toml", "--quiet", cwd=finished.workspace)
    assert done.stdout.strip() == finished.figures["verdict"]["headline"]


def test_a_person_sees_trials_verdict_and_files(finished: Finished, windtunnel: Run) -> None:
    done = windtunnel("run", "small.toml", cwd=finished.workspace)
    assert done.returncode == 0
    for words in ("Best of 24 trials", "buy and hold", "report.html", "small version 1"):
        assert words in done.stdout


@pytest.mark.parametrize("command", ["runs", "models", "ledger", "doctor"])
def test_lists_speak_json(finished: Finished, command: str, windtunnel: Run) -> None:
    done = windtunnel(command, "--json", cwd=finished.workspace)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_scores_before_warm_up_are_absent_not_zero(finished: Finished) -> None:
    holdout = pl.read_parquet(finished.run / "holdout.parquet")
    facebook = holdout.filter(pl.col("symbol") == "FB").sort("timestamp")
    assert facebook["score"][:14].null_count() == 14
    assert facebook["score"][-1] is not None
    assert np.isfinite(facebook["exposure"].to_numpy()).all()
