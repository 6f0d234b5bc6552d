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
    document = json.loads(results.read_text())
    document["machine_info"]["real_time"] = True
    results.write_text(json.dumps(document))
    assert script.main([str(results), "--out", str(page)]) == 0
    assert "2 cores at commit 0123456789 at real-time priority." in page.read_text()


def test_the_contest_of_engines_is_a_section(script: ModuleType, tmp_path: Path) -> None:
    one = {
        "name": "ours, 1 thread",
        "ours": True,
        "million_bar_configurations_a_second": 1234.5,
        "largest_relative_difference": 0.0,
        "compared": True,
        "note": "",
        "times": 1.0,
    }
    other = one | {
        "name": "another",
        "ours": False,
        "million_bar_configurations_a_second": 2.5,
        "largest_relative_difference": 2.6867e-14,
        "times": 493.8,
        "note": "one at a time",
    }
    machine = {"system": "Linux", "machine": "x86_64", "engine_instruction_set": "avx2"}
    work = {"size": "10 configurations", "machine": machine, "rows": [one, other]}
    results = tmp_path / "some_contest.json"
    results.write_text(json.dumps({"W1": work}))
    page = tmp_path / "page.md"
    assert script.main([str(results), "--out", str(page)]) == 0
    text = page.read_text()
    assert "## Some contest" in text
    assert "| ours, 1 thread \u2020 | 1,234 | 1 |  |  |" in text
    assert "| another | 2.5 | 494 | 2.7e-14 | one at a time |" in text
    results.write_text(json.dumps({"nothing": 1}))
    with pytest.raises(SystemExit, match="some_contest"):
        script.main([str(results), "--out", str(page)])


def test_every_stored_result_is_on_the_page(root: Path) -> None:
    text = (root / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    stored = sorted((root / "docs" / "results").glob("*.json"))
    assert len(stored) > 1
    assert [path.name for path in stored if f"(results/{path.name})" not in text] == []


def test_loads_are_a_table_a_number_of_connections(script: ModuleType, tmp_path: Path) -> None:
    figures = {"p50": 70.0, "p99": 1500.0, "rate": 12345.6, "p50_to_pydantic": 0.5}
    figures |= {"p99_to_pydantic": 0.25, "p50_to_starlette": 1.0, "rate_to_onnx": 2.0}
    bench = {
        "name": "test_latency",
        "fullname": "bench/test_service.py::test_latency",
        "stats": {"median": 1.0, "q1": 1.0, "q3": 1.0},
        "extra_info": {"loads": {"1": {"ours": figures}, "32": {"ours": figures}}},
    }
    results = tmp_path / "some.json"
    results.write_text(json.dumps({"machine_info": {}, "benchmarks": [bench]}))
    page = tmp_path / "page.md"
    assert script.main([str(results), "--out", str(page)]) == 0
    text = page.read_text()
    line = "| ours | 70 us | 1.5 ms | 12,346 | 0.50, 0.25 | 1.00 | 2.00 |"
    assert text.count(line) == 2
    assert text.index("Latency, one connection") < text.index("Latency, 32 connections")
