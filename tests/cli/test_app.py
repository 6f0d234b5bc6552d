"""Commands: what they print, and the exit code that means something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from typer.main import get_command

from windtunnel.cli import main
from windtunnel.cli.app import app

STUDY = """
[study]
name = "tried"
trials = 4
[data]
source = "bars.csv"
time_zone = "UTC"
[search]
"policy.enter" = { low = 0.0, high = 0.1 }
"""
HEADER = "timestamp,symbol,open,high,low,close,volume\n"


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "windtunnel", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_help_lists_the_commands(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("run", "resume", "serve", "doctor", "schema", "memory", "ledger"):
        assert command in done.stdout


def commands(group: Any) -> Iterator[Any]:
    for each in group.commands.values():
        yield from commands(each) if hasattr(each, "commands") else [each]


def test_help_says_each_word_that_was_written() -> None:
    """Help is read as markup: what stands in brackets is lost unless it is escaped."""
    (settings,) = [
        parameter.help
        for command in commands(get_command(app))
        for parameter in command.params
        if command.name == "retrain" and parameter.name == "settings"
    ]
    assert "[retrain]" in Text.from_markup(settings).plain
    for command in commands(get_command(app)):
        for told in [command.help, *(getattr(each, "help", "") for each in command.params)]:
            written = (told or "").replace("\\[", "[")
            assert Text.from_markup(told or "").plain == written, f"{command.name}: {told}"


def test_schema_describes_every_table(tmp_path: Path) -> None:
    schema = json.loads(run("schema", cwd=tmp_path).stdout)
    assert set(schema["properties"]) >= {"study", "data", "search", "costs", "execution"}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("study", "bars", "code", "words"),
    [
        (None, None, 2, ["does not exist", "us_equities.toml"]),
        (STUDY.replace("trials", "trails"), None, 2, ["study.trails", "unknown field"]),
        (STUDY.replace("policy.enter", "model.depth"), None, 2, ["model.depth"]),
        (STUDY, None, 3, ["bars.csv"]),
        (STUDY, HEADER + "2020-01-01,A,1,2,3,1,5\n", 3, ["A", "2020-01-01"]),
        (STUDY, HEADER + "2020-01-01,A,1,1,1,1,5\n2020-01-02,A,1,1,1,1,5\n", 3, ["2 bars"]),
    ],
)
def test_errors_have_words_and_codes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    study: str | None,
    bars: str | None,
    code: int,
    words: list[str],
) -> None:
    if study is not None:
        (tmp_path / "study.toml").write_text(study)
    if bars is not None:
        (tmp_path / "bars.csv").write_text(bars)
    done = run("run", "study.toml", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert "What to do" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/*/cohorts"))

    # Once more in this process, which has imported everything.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["windtunnel", "run", "study.toml", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    told = json.loads(capsys.readouterr().out)
    assert told["problem"]
    assert told["remedy"]


def test_memory_of_a_new_project(tmp_path: Path) -> None:
    assert run("memory", "init", cwd=tmp_path).returncode == 0
    assert run("memory", "decide", "Use weekly bars", "--why", "less noise", cwd=tmp_path)
    assert run("memory", "verify", cwd=tmp_path).returncode == 0
    assert "weekly" in run("memory", "search", "WEEKLY bars", cwd=tmp_path).stdout
    page = next((tmp_path / "memory_bank" / "decisions").glob("*.md"))
    page.write_text(page.read_text().replace("weekly", "daily"))
    done = run("memory", "verify", cwd=tmp_path)
    assert done.returncode == 8
    assert page.name in done.stderr
