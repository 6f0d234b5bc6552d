"""Write docs/benchmarks.md from stored results of `make bench`: no figure is typed by hand."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

PAGE = """# What is fast

Medians of `make bench` as stored in [`docs/results`](results/{name}), measured on {cpu} with
{cores} cores at commit {commit}. A bench asserts its answer before it times it. Seconds on one
machine say little about another; the ratios, to something known in the same run, say more.

| bench | median | spread | figures |
|---|---|---|---|
{rows}

Made by `python scripts/bench_page.py`.
"""


def duration(seconds: float) -> str:
    """Three digits with the unit that suits them."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def row(bench: Mapping[str, Any]) -> str:
    """One line of the table: quartiles over median as spread, and what the bench added."""
    stats = bench["stats"]
    spread = (stats["q3"] - stats["q1"]) / stats["median"]
    figures = ", ".join(
        f"{name.replace('_', ' ')} {value:.3g}"
        if isinstance(value, int | float)
        else f"{name.replace('_', ' ')} {value}"
        for name, value in bench.get("extra_info", {}).items()
        if isinstance(value, int | float | str)
    )
    name = bench["fullname"].removeprefix("bench/").replace("::test_", ": ").replace(".py", "")
    return f"| {name} | {duration(stats['median'])} | {spread:.0%} | {figures} |"


def page(document: Mapping[str, Any], name: str) -> str:
    """The whole page."""
    machine = document["machine_info"]
    rows = [row(bench) for bench in sorted(document["benchmarks"], key=lambda b: b["fullname"])]
    return PAGE.format(
        name=name,
        cpu=machine.get("cpu", {}).get("brand_raw", "an unnamed processor"),
        cores=machine.get("cpu", {}).get("count", "several"),
        commit=str(document.get("commit_info", {}).get("id", "unknown"))[:10],
        rows="\n".join(rows),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; with --check only say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=ROOT / "docs/results/bench.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(arguments)
    text = page(json.loads(given.results.read_text(encoding="utf-8")), given.results.name)
    if given.check:
        return int(given.out.read_text(encoding="utf-8") != text)
    given.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
