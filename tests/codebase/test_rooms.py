"""The rooms of ARCHITECTURE.md import downwards only."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# Who may call the compiled core: its wrappers, and the description of the machine.
MAY_USE_CORE = ("backtest", "environment.py")
CORE = re.compile(
    r"import windtunnel\._core|from windtunnel\._core|from windtunnel import .*_core\b"
)


def test_import_contracts_hold(root: Path) -> None:
    pytest.importorskip("importlinter")
    program = (
        "import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run())"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--config", "pyproject.toml"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": "python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert " 0 broken" in outcome.stdout


def test_only_wrappers_use_the_compiled_core(root: Path) -> None:
    package = root / "python" / "windtunnel"
    users = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom) and CORE.search(ast.unparse(node))
    }
    assert users, "nothing uses the compiled core"
    assert users <= set(MAY_USE_CORE)


def test_core_headers_know_no_python(root: Path) -> None:
    headers = [path for path in (root / "cpp" / "include").rglob("*") if path.is_file()]
    assert headers
    foreign = re.compile(r"#\s*include\s*[<\"](pybind11|Python\.h)")
    assert [path.name for path in headers if foreign.search(path.read_text("utf-8"))] == []


def test_architecture_names_every_room(root: Path) -> None:
    page = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
    package = root / "python" / "windtunnel"
    rooms = [
        f"{path.name}/" if path.is_dir() else path.name
        for path in package.iterdir()
        if (path.is_dir() and any(path.glob("*.py"))) or path.suffix == ".py"
    ]
    rooms = [room for room in rooms if not room.startswith("__")]
    assert len(rooms) > 15
    assert sorted(room for room in rooms if f"`{room}`" not in page) == []
