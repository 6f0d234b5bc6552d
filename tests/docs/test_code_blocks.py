"""Every block of code in the documentation is run, page by page, as a reader would."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from windtunnel.config import parse_study
from windtunnel.monitoring.settings import load_monitor_file

DOCS = Path(__file__).parents[2] / "docs"
# Their blocks are run by tests of their own, which bring the runs that they speak of.
ELSEWHERE = {
    "audits.md": "tests/audits",
    "deployment.md": "tests/docs/test_operation.py",
    "extending.md": "tests/e2e/test_extending.py",
    "reinforcement_learning.md": "tests/docs/test_policies_page.py",
    "serving.md": "tests/docs/test_operation.py",
    "tuning.md": "tests/docs/test_operation.py",
}
_BLOCK = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code: its language, the file that it becomes, and its text."""

    language: str
    title: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    found = []
    for language, rest, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        title = re.search(r'title="([^"]+)"', rest)
        found.append(Block(language, title[1] if title else "", text))
    return found


PAGES = [page for page in sorted(DOCS.glob("*.md")) if blocks_of(page)]
RUN = [page for page in PAGES if page.name not in ELSEWHERE]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Path]:
    """A folder in which `windtunnel` is this package; what is left running there is ended."""
    commands = tmp_path / "bin"
    commands.mkdir()
    command = commands / "windtunnel"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m windtunnel "$@"\n')
    command.chmod(0o755)
    folder = tmp_path / "reader"
    folder.mkdir()
    yield folder
    for kept in folder.glob(".group.*"):
        try:
            os.killpg(int(kept.read_text()), signal.SIGTERM)
        except ProcessLookupError:
            continue


def run(folder: Path, program: list[str], number: int) -> None:
    log = folder / f".log.{number}"
    path = f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with log.open("w") as written:
        process = subprocess.Popen(
            program,
            cwd=folder,
            env={**os.environ, "PATH": path, "COLUMNS": "120"},
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        (folder / f".group.{number}").write_text(str(process.pid))
        code = process.wait(timeout=900)
    assert code == 0, log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run_in_their_order(page: Path, reader: Path) -> None:
    python = ""
    for number, block in enumerate(blocks_of(page)):
        if block.language == "toml":
            assert block.title, "a TOML block needs the title of its file"
            (reader / block.title).write_text(block.text)
            if block.title == "study.toml":
                parse_study(tomllib.loads(block.text))
            else:
                load_monitor_file(reader / block.title)
        elif block.language == "python":
            # Blocks of a page share their names, and Python keeps none between programs.
            python += block.text
            if not later_python(page, number):
                run(reader, [sys.executable, "-c", python], number)
                python = ""
        else:
            assert block.language == "sh", f"{page.name}: no test runs {block.language!r}"
            assert shutil.which("bash")
            run(reader, ["bash", "-euo", "pipefail", "-c", block.text], number)


def later_python(page: Path, number: int) -> bool:
    """Whether the next block goes on with this one."""
    following = blocks_of(page)[number + 1 :]
    return bool(following) and following[0].language == "python"


def test_the_engine_alone_in_the_readme_runs_as_pasted(reader: Path) -> None:
    """The other block of Python there carries out the demo's study, which has tests of its own."""
    (block,) = [
        each
        for each in blocks_of(DOCS.parent / "README.md")
        if each.language == "python" and "run_signals" in each.text
    ]
    run(reader, [sys.executable, "-c", block.text], 0)


@pytest.mark.parametrize(("page", "where"), ELSEWHERE.items())
def test_other_pages_are_run_elsewhere(page: str, where: str) -> None:
    """The test that is named reads the page, or calls what its blocks call."""
    root = DOCS.parent
    files = [root / where] if where.endswith(".py") else sorted((root / where).glob("*.py"))
    text = " ".join(file.read_text(encoding="utf-8") for file in files)
    assert page in text or "windtunnel.audits" in text


def test_a_block_is_found_with_its_title(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('x\n\n```toml title="a.toml"\nb = 1\n```\n\n```sh\nls\n```\n')
    assert blocks_of(page) == [Block("toml", "a.toml", "b = 1\n"), Block("sh", "", "ls\n")]
