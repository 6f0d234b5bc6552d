"""One table of exit codes, and the paths that a person may get wrong."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from windtunnel.cli import main
from windtunnel.cli.app import INTERRUPTED
from windtunnel.cli.audit import FAILED
from windtunnel.cli.canary import NOT_PROMOTED
from windtunnel.config import parse_study
from windtunnel.errors import ReportError, RunError, WindtunnelError
from windtunnel.experiments import StudyResult
from windtunnel.memory_bank import MemoryBank
from windtunnel.runs import Run

README = Path(__file__).parents[2] / "README.md"
STUDY = """
[study]
name = "tried"
trials = 4
[data]
source = "sample:us_equities_1d"
[search]
"policy.enter" = { low = 0.0, high = 0.1 }
"""


def kinds(root: type[WindtunnelError]) -> set[type[WindtunnelError]]:
    below = [kinds(each) for each in root.__subclasses__()]
    own = {root} if root.__module__ == "windtunnel.errors" else set()
    return own.union(*below)


def test_the_table_of_the_readme_has_each_code_once() -> None:
    table = README.read_text(encoding="utf-8").partition("| exit code |")[2].partition("\n\n")[0]
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    raised = {kind.exit_code for kind in kinds(WindtunnelError)}
    assert listed == sorted(raised | {0, FAILED, NOT_PROMOTED, INTERRUPTED})


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Run a command in a folder with a study, bars that are a file, and a folder; its error."""
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(STUDY)
    Path("bars.csv").write_text("")
    Path("broken.py").write_text("1 / 0")
    Path("illegal.py").write_text(
        "from windtunnel import extend\n@extend.metric('Not Legal')\ndef f(): ...\n"
    )

    def run(*command: str) -> tuple[int | str | None, dict[str, str]]:
        monkeypatch.setattr(sys, "argv", ["windtunnel", *command, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize(
    ("command", "code", "word"),
    [
        ("run study.toml --workspace bars.csv", 15, "bars.csv"),
        ("ledger --workspace bars.csv", 15, "bars.csv"),
        ("runs --workspace nope", 15, "nope"),
        ("models --workspace nope", 15, "nope"),
        ("ledger --workspace nope", 15, "nope"),
        ("history nope", 7, "nope"),
        ("memory search words --bank typo", 8, "typo"),
        ("run study.toml --extend absent.py", 2, "absent.py"),
        ("run study.toml --extend broken.py", 2, "ZeroDivisionError"),
        ("run study.toml --extend illegal.py", 2, "Not Legal"),
    ],
)
def test_a_path_that_is_wrong_is_named(told: Any, command: str, code: int, word: str) -> None:
    ended, answer = told(*command.split())
    assert ended == code
    assert word in answer["problem"]
    assert answer["remedy"]
    assert not Path("nope").exists()


@pytest.fixture
def sealed(tmp_path: Path) -> Run:
    """A run that says it is complete."""
    study = parse_study(tomllib.loads(STUDY))
    run = Run.create(tmp_path / "runs" / "tried-1", study, pl.DataFrame(), origin=None)
    for name, text in {"manifest.json": "{}", "result.json": "{}", "report.html": "page"}.items():
        (run.path / name).write_text(text)
    pl.DataFrame({"number": [0]}).write_parquet(run.path / "trials.parquet")
    return run


@pytest.mark.parametrize("name", ["trials.parquet", "result.json"])
def test_a_damaged_run_is_said_to_be_damaged(sealed: Run, name: str) -> None:
    (sealed.path / name).write_text("nonsense")
    with pytest.raises(RunError, match=r"damaged.*verify"):
        StudyResult.load(sealed)


def test_a_report_has_an_ending_that_it_can_have(sealed: Run, tmp_path: Path) -> None:
    result = StudyResult.load(sealed)
    for name in ("x.jpg", "some_folder"):
        with pytest.raises(ReportError, match=r"must end in \.html"):
            result.report(tmp_path / name)
        assert not (tmp_path / name).exists()
    assert result.report(tmp_path / "x.HTML").read_text() == "page"


@pytest.mark.parametrize("command", ["rebuild", "decide words --why because"])
def test_no_bank_is_made_where_one_was_named_wrong(
    told: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    MemoryBank("right").initialise()
    line = ["windtunnel", "memory", *command.split(), "--bank"]
    monkeypatch.setattr(sys, "argv", [*line, "wrong"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 8
    assert "wrong" in capsys.readouterr().err
    assert not Path("wrong").exists()
    monkeypatch.setattr(sys, "argv", [*line, "right"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
