"""The page of benches is what the stored results give, and nothing else."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def script(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_page", root / "scripts" / "bench_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(script: ModuleType) -> None:
    assert script.main(["--check"]) == 0


def test_a_page_from_results(script: ModuleType, tmp_path: Path) -> None:
    results = tmp_path / "some.json"
    results.write_text(
        json.dumps(
            {
                "machine_info": {"cpu": {"brand_raw": "some processor", "count": 2}},
                "commit_info": {"id": "0123456789abcdef"},
                "benchmarks": [
                    {
                        "fullname": "bench/test_b.py::test_slow",
                        "stats": {"median": 2.0, "q1": 1.9, "q3": 2.1},
                        "extra_info": {"ratio_to_peer": 12.3456, "answer": [1, 2]},
                    },
                    {
                        "fullname": "bench/test_a.py::test_quick",
                        "stats": {"median": 2.5e-6, "q1": 2.5e-6, "q3": 2.5e-6},
                    },
                ],
            }
        )
    )
    page = tmp_path / "page.md"
    assert script.main([str(results), "--out", str(page)]) == 0
    text = page.read_text()
    assert "some processor with\n2 cores at commit 0123456789." in text
    assert text.index("| test_a: quick | 2.5 us | 0% |  |") < text.index(
        "| test_b: slow | 2 s | 10% | ratio to peer 12.3 |"
    )
    assert script.main([str(results), "--out", str(page), "--check"]) == 0
    page.write_text(text.replace("12.3", "99"))
    assert script.main([str(results), "--out", str(page), "--check"]) == 1
