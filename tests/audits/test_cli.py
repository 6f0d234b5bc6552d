"""`windtunnel audit`: what it prints, its exit code, and the champion of a finished run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from windtunnel.cli.audit import FAILED, audit
from windtunnel.config import StudyFile, load_study_file, to_toml
from windtunnel.data.align import to_panel
from windtunnel.errors import RunError, StudyFileError
from windtunnel.ledger import Ledger
from windtunnel.runs import Run, run_id


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(audit)
    return made


def call(app: typer.Typer, *arguments: str | Path):
    answer = CliRunner().invoke(app, [*map(str, arguments)])
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer


def write(folder: Path, case, study: StudyFile) -> Path:
    case.bars.write_parquet(folder / "bars.parquet")
    data = study.data.model_copy(update={"source": "bars.parquet"})
    path = folder / "tiny.toml"
    path.write_text(to_toml(study.model_copy(update={"data": data})))
    return path


def test_clean_study_exits_with_zero(app, case, tmp_path):
    study = write(tmp_path, case, case.study)
    answer = call(app, study, "--workspace", tmp_path, "--only", "warmup", "--only", "delay")
    assert answer.exit_code == 0
    assert "passed warmup" in answer.stdout
    assert "not made delay" in answer.stdout
    assert "no audit failed" in answer.stdout
    assert not (tmp_path / "runs").exists(), "an audit without trials writes nothing"


def test_failed_audit_has_its_own_exit_code(app, case, tmp_path):
    fill = case.study.execution.model_copy(update={"fill": "same_close"})
    study = write(tmp_path, case, case.study.model_copy(update={"execution": fill}))
    arguments = (study, "--workspace", tmp_path, "--only", "fills")
    answer = call(app, *arguments)
    assert answer.exit_code == FAILED
    assert "FAILED fills" in answer.stdout
    answer = call(app, *arguments, "--json")
    assert answer.exit_code == FAILED
    told = json.loads(answer.stdout)
    assert told["clean"] is False
    assert told["failed"] == ["fills"]
    assert told["audits"][0]["passed"] is False


def test_other_seeds_of_a_finished_run_are_counted_once(app, case, audited, tmp_path):
    """The run is made up; tests/e2e audits a real one."""
    study = write(tmp_path, case, case.study)
    fingerprint = to_panel(case.bars).fingerprint
    path = tmp_path / "runs" / run_id(load_study_file(study), fingerprint)
    run = Run.create(path, load_study_file(study), case.bars, origin=None)
    result = {
        "run": run.id,
        "champion": {"params": audited.champion.params},
        "metrics": {"sharpe": audited.champion.sharpe},
        "stress": [asdict(row) for row in audited.champion.stress],
    }
    (run.path / "result.json").write_text(json.dumps(result))
    run.seal()
    only = ("--only", "delay", "--only", "seeds", "--repeats", "1", "--json")
    told = json.loads(call(app, study, "--workspace", tmp_path, *only).stdout)
    assert told["run"] == run.id
    assert told["trials_added_to_ledger"] == 1
    assert [each["outcome"] for each in told["audits"]] == ["measured", "measured"]
    # The run directory says the same, and the same trials are not counted twice.
    again = json.loads(call(app, run.path, *only).stdout)
    assert again["audits"] == told["audits"]
    assert again["trials_added_to_ledger"] == 0
    rows = {row["run"]: row["trials"] for row in Ledger(tmp_path / "runs/ledger.jsonl").summary()}
    assert rows == {f"{run.id}.audit": 1}
    assert run.verify() == [], "an audit changes nothing in the run"


def test_study_without_bars_of_its_own_is_refused(app, case, tmp_path):
    path = tmp_path / "frame.toml"
    path.write_text(to_toml(case.study))
    with pytest.raises(StudyFileError, match="given from Python"):
        call(app, path)


def test_folder_that_is_no_run_is_refused(app, tmp_path):
    with pytest.raises(RunError, match="not a run directory"):
        call(app, tmp_path)
