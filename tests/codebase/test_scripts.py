"""The scripts that the Makefile and the workflows call."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from windtunnel import _core

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"script_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def benches(**medians: float) -> dict[str, Any]:
    """A pytest-benchmark document with quartiles ten per cent around each median."""
    return {
        "machine_info": {"cpu": {"brand_raw": "some processor"}},
        "benchmarks": [
            {"fullname": name, "stats": {"median": m, "q1": 0.9 * m, "q3": 1.1 * m}}
            for name, m in medians.items()
        ],
    }


def test_comparison_tells_slower_faster_new_and_gone(tmp_path: Path, capsys: Any) -> None:
    compare_bench = load("compare_bench")
    for name, document in {
        "base": benches(engine=1e-3, tuning=2.0, export=3e-6, old=1.0),
        "head": benches(engine=2e-3, tuning=2.1, export=1e-6, fresh=5e-9),
    }.items():
        (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
    paths = [str(tmp_path / "base"), str(tmp_path / "head")]
    assert compare_bench.main(paths) == 0
    comment = capsys.readouterr().out
    assert "**1 bench slower** by more than 20%, of 5." in comment
    assert "| `engine` | 1 ms | 2 ms | 2.00 | **slower** |" in comment
    assert "| `tuning` | 2 s | 2.1 s | 1.05 | same |" in comment
    assert "| `export` | 3 us | 1 us | 0.33 | faster |" in comment
    assert "| `old` | 1 s |  |  | gone |" in comment
    assert "| `fresh` |  | 5 ns |  | new |" in comment
    assert comment.index("`engine`") < comment.index("`tuning`") < comment.index("`export`")
    assert compare_bench.main([*paths, "--fail"]) == 1
    assert compare_bench.main([*paths, "--fail", "--threshold", "2.5"]) == 0


def test_a_noisy_bench_is_not_called_slower() -> None:
    compare_bench = load("compare_bench")
    base, head = benches(engine=1.0), benches(engine=1.5)
    base["benchmarks"][0]["stats"]["q3"] = 1.4
    head["benchmarks"][0]["stats"]["q1"] = 1.3
    assert "None of 1 bench is slower" in compare_bench.markdown(base, head, 1.2)


def test_another_processor_is_mentioned() -> None:
    compare_bench = load("compare_bench")
    base, head = benches(engine=1.0), benches(engine=1.0)
    assert "different processors" not in compare_bench.markdown(base, head, 1.2)
    head["machine_info"]["cpu"]["brand_raw"] = "another"
    assert "different processors" in compare_bench.markdown(base, head, 1.2)


def test_requirements_resolve_references_to_own_extras() -> None:
    requirements = load("requirements")
    pyproject = {
        "build-system": {"requires": ["backend>=1"]},
        "project": {
            "name": "windtunnel",
            "dependencies": ["numpy>=2"],
            "optional-dependencies": {
                "serve": ["fastapi"],
                "bench": ["windtunnel[serve]", "pytest>=9"],
                "dev": ["windtunnel[serve,bench]", "ruff"],
            },
        },
    }
    find = requirements.requirements
    assert find(pyproject, ["dev"], build=False) == ["fastapi", "numpy>=2", "pytest>=9", "ruff"]
    assert find(pyproject, [], build=True) == [
        "backend>=1",
        "cmake>=3.25",
        "ninja>=1.11",
        "numpy>=2",
    ]
    with pytest.raises(KeyError, match="absent"):
        find(pyproject, ["absent"], build=False)


def run_check_wheel(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPTS / "check_wheel.py"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_wheel_is_whole_and_trades_or_it_is_said_what_it_lacks(tmp_path: Path) -> None:
    source = SCRIPTS.parent / "python" / "windtunnel"
    unpacked = tmp_path / "windtunnel"
    shutil.copytree(source, unpacked, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_core.__file__, unpacked)
    done = run_check_wheel(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("the wheel is whole and trades\n")
    (unpacked / "reports" / "report.css").unlink()
    done = run_check_wheel(tmp_path)
    assert (done.returncode, done.stderr) == (1, "the wheel lacks reports/report.css\n")
    done = run_check_wheel(source.parent)
    assert "is the source, not an installed wheel" in done.stderr


def test_release_notes_are_the_section_of_the_tag(capsys: Any) -> None:
    release_notes = load("release_notes")
    changelog = (
        "# Log\n\n## [0.2.0] - 2027-01-05\n\n- New.\n\n## [0.1.0] - 2026-11-23\n\n- First.\n"
    )
    assert release_notes.notes(changelog, "0.2.0") == "- New.\n"
    assert release_notes.notes(changelog, "0.1.0") == "- First.\n"
    with pytest.raises(ValueError, match=r"no section '## \[0.3.0\]"):
        release_notes.notes(changelog, "0.3.0")
    assert release_notes.main(["v9.9.9"]) == 1
    assert "'v9.9.9' is not" in capsys.readouterr().err


def test_release_notes_of_the_declared_version_exist(capsys: Any) -> None:
    pyproject = tomllib.loads((SCRIPTS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert load("release_notes").main([f"v{pyproject['project']['version']}"]) == 0
    assert "### Added" in capsys.readouterr().out
