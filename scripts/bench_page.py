"""Write docs/benchmarks.md from the results stored in docs/results: no figure is typed by hand.

Every JSON file there becomes a section: what pytest-benchmark writes (`make bench`), and what the
contest of engines writes (`make bench-engine`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MARK = " \u2020"
RESULTS = ROOT / "docs" / "results"

PAGE = """# What is fast

Every figure is taken from a file in `docs/results`. A bench asserts its answer before it times it.
Seconds on one machine say little about another; the ratios, to something known in the same run,
say more.

{sections}

Made by `python scripts/bench_page.py`.
"""

BENCHES = """## {title}

Medians of `make bench` as stored in [`{name}`](results/{name}), measured on {cpu} with
{cores} cores at commit {commit}{priority}.

| bench | median | spread | figures |
|---|---|---|---|
{rows}{loads}"""

LOADS = """

{name}, {connections}: medians of rounds, and of the ratios within each. "To FastAPI" and "to
Starlette" is to routes that do nothing, the first with a pydantic body, the second without reading
its body:

| service | p50 | p99 | requests/s | p50, p99 to FastAPI | p50 to Starlette | rate to onnxruntime |
|---|---|---|---|---|---|---|
{rows}"""

CONTEST = """## {title}

`make bench-engine` as stored in [`{name}`](results/{name}), measured on {machine} with
{instructions} instructions: medians of rounds in which all take turns, each for at least a fifth of
a second, so that short runs come one after the other as in a study. Contestants with a \u2020 are
Windtunnel, which takes twelve metrics; the loops take three. "Times" is the time for the same work
over that of Windtunnel's quickest way; "agrees" the largest relative difference of final equity to
Windtunnel's, where what is computed is the same.

{tables}"""

CONTEST_ROWS = """{work}, {size}:

| contestant | million bar-configurations a second | times | agrees | note |
|---|---|---|---|---|
{rows}"""


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


def loads(bench: Mapping[str, Any]) -> str:
    """What a load generator found, a table a number of connections."""
    tables = []
    for connections, found in bench.get("extra_info", {}).get("loads", {}).items():
        rows = [
            f"| {name} | {duration(each['p50'] / 1e6)} | {duration(each['p99'] / 1e6)} "
            f"| {each['rate']:,.0f} | {each['p50_to_pydantic']:.2f}, {each['p99_to_pydantic']:.2f} "
            f"| {each['p50_to_starlette']:.2f} | {each['rate_to_onnx']:.2f} |"
            for name, each in found.items()
        ]
        several = "one connection" if connections == "1" else f"{connections} connections"
        name = bench["name"].removeprefix("test_").replace("_", " ").capitalize()
        tables.append(LOADS.format(name=name, connections=several, rows="\n".join(rows)))
    return "".join(tables)


def benches(document: Mapping[str, Any], name: str) -> str:
    """The section of a file of pytest-benchmark."""
    machine = document["machine_info"]
    rows = [row(bench) for bench in sorted(document["benchmarks"], key=lambda b: b["fullname"])]
    return BENCHES.format(
        title=_title(name),
        name=name,
        cpu=machine.get("cpu", {}).get("brand_raw", "an unnamed processor"),
        cores=machine.get("cpu", {}).get("count", "several"),
        commit=str(document.get("commit_info", {}).get("id", "unknown"))[:10],
        priority=" at real-time priority" if machine.get("real_time") else "",
        rows="\n".join(rows),
        loads="".join(map(loads, document["benchmarks"])),
    )


def contest(document: Mapping[str, Any], name: str) -> str:
    """The section of a file of the contest of engines."""
    tables = []
    for work, found in sorted(document.items()):
        rows = [
            f"| {each['name']}{MARK if each['ours'] else ''} "
            f"| {_digits(each['million_bar_configurations_a_second'])} | {_digits(each['times'])} "
            f"| {_difference(each)} | {each['note']} |"
            for each in found["rows"]
        ]
        tables.append(CONTEST_ROWS.format(work=work, size=found["size"], rows="\n".join(rows)))
    machine = next(iter(document.values()))["machine"]
    return CONTEST.format(
        title=_title(name),
        name=name,
        machine=f"{machine['system']} {machine['machine']}",
        instructions=machine["engine_instruction_set"],
        tables="\n\n".join(tables),
    )


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _difference(found: Mapping[str, Any]) -> str:
    if found["ours"] or not found["compared"]:
        return ""
    return f"{found['largest_relative_difference']:.1e}"


def _title(name: str) -> str:
    return name.removesuffix(".json").replace("_", " ").capitalize()


def section(path: Path) -> str:
    """The section of a stored file, whichever bench wrote it.

    Raises
    ------
    SystemExit
        No bench that is known writes such a file.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    if "benchmarks" in document:
        return benches(document, path.name)
    if is_contest(document):
        return contest(document, path.name)
    raise SystemExit(f"{path}: neither of pytest-benchmark nor of the contest of engines")


def is_contest(document: Mapping[str, Any]) -> bool:
    """Whether the contest of engines wrote it."""
    return all(
        isinstance(each, dict) and {"size", "rows"} <= each.keys() for each in document.values()
    )


def known() -> list[Path]:
    """The stored files that this page shows; others have tables on pages of their own."""
    documents = {path: json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")}
    return sorted(
        path for path, found in documents.items() if "benchmarks" in found or is_contest(found)
    )


def elsewhere(paths: Sequence[Path]) -> str:
    """The section of figures that other pages have tables of."""
    lines = [f"- [`{path.name}`](results/{path.name})" for path in paths]
    return "\n".join(["## On other pages", "", *lines])


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; with --check only say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "results", type=Path, nargs="*", help="what is known of docs/results when absent"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(arguments)
    paths = given.results or known()
    sections = [section(path) for path in paths]
    if not given.results:
        sections.append(elsewhere(sorted(set(RESULTS.glob("*.json")) - set(paths))))
    text = PAGE.format(sections="\n\n".join(sections))
    if given.check:
        return int(given.out.read_text(encoding="utf-8") != text)
    given.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
