"""How outcomes look on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from windtunnel.deployment.registry import Registry
    from windtunnel.experiments import StudyResult
    from windtunnel.ledger import Ledger
    from windtunnel.runs import Run

COLOURS = {"no_edge": "yellow", "weak": "yellow", "candidate": "green"}
BEST_SHOWN = 5


def error(problem: WindtunnelError) -> None:
    """Print what is wrong and what to do, on standard error."""
    console = Console(stderr=True)
    console.print(f"[bold red]{type(problem).__name__}[/] {escape(problem.problem)}")
    if problem.remedy:
        console.print(f"[bold]What to do[/] {escape(problem.remedy)}")


def result(console: Console, outcome: StudyResult) -> None:
    """The verdict, the best trials, the champion beside buy and hold, and where files are."""
    figures = outcome.figures
    console.print(_best_trials(outcome))
    console.print(_against_benchmark(figures))
    verdict = figures["verdict"]
    console.print(
        Panel(
            "\n".join(escape(sentence) for sentence in verdict["sentences"]),
            title=f"[bold]{escape(verdict['headline'])}[/]",
            border_style=COLOURS[verdict["level"]],
        )
    )
    model = figures["model"]
    run = outcome.run.path
    for label, value in {
        "report": run / "report.html",
        "trials": run / "trials.parquet",
        "bundle": outcome.bundle,
        "model": f"{model['name']} version {model['version']}",
        "memory": run.parent.parent / "memory_bank" / "progress.md",
    }.items():
        console.print(f"[dim]{label:>8}[/] {escape(str(value))}", highlight=False, soft_wrap=True)


def _best_trials(outcome: StudyResult) -> Table:
    searched = [name for name in outcome.trials.columns if "." in name]
    best = outcome.trials.drop_nulls("objective").sort("objective", descending=True)
    champion = outcome.figures["champion"]["number"]
    table = Table(title=f"Best of {len(outcome.trials)} trials", title_justify="left")
    for name in ("trial", "objective", "return", "drawdown", "fills"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("configuration")
    rows = best.head(BEST_SHOWN).to_dicts()
    if champion not in {row["number"] for row in rows}:
        rows += best.filter(number=champion).to_dicts()
    for row in rows:
        chosen = row["number"] == champion
        table.add_row(
            f"{row['number']}{' *' if chosen else ''}",
            f"{row['objective']:.3f}",
            percent(row["total_return"]),
            percent(row["max_drawdown"]),
            str(row["fills"]),
            escape(_configuration({name: row[name] for name in searched})),
            style="bold" if chosen else "",
        )
    table.caption = "* champion: centre of the best plateau of similar configurations, not the peak"
    table.caption_justify = "left"
    return table


def _configuration(params: Mapping[str, bool | int | float | str | None]) -> str:
    """What a trial tried, in words; what a condition kept it from asking is left out."""
    return ", ".join(
        f"{name.split('.')[1].replace('_', ' ')} "
        + (f"{value:.3g}" if isinstance(value, float) else str(value))
        for name, value in params.items()
        if value is not None
    )


def _against_benchmark(figures: Mapping[str, Any]) -> Table:
    table = Table(title="Champion against buy and hold, after costs", title_justify="left")
    for name in ("slice", "strategy", "return", "Sharpe", "drawdown"):
        table.add_column(name, justify="left" if name in ("slice", "strategy") else "right")
    slices = {"validation": figures}
    if figures["holdout"]["opened"]:
        slices["holdout"] = figures["holdout"]
    for slice_name, part in slices.items():
        for strategy, key in (("champion", "metrics"), ("buy and hold", "benchmark")):
            metrics = part[key]
            table.add_row(
                slice_name,
                strategy,
                percent(metrics["total_return"]),
                number(metrics["sharpe"]),
                percent(metrics["max_drawdown"]),
            )
    return table


def runs(console: Console, found: Iterable[Run], *, as_json: bool) -> None:
    """Runs of a workspace and their verdicts."""
    listed = [
        {
            "run": str(run.path),
            "complete": run.complete,
            "verdict": run.result()["verdict"]["headline"] if run.complete else None,
        }
        for run in found
    ]
    if as_json:
        print(json.dumps(listed))  # noqa: T201 - the machine-readable answer
        return
    rows(console, listed, "no runs here yet")


def models(console: Console, registry: Registry, *, as_json: bool) -> None:
    """Registered models."""
    listed = []
    for name in registry.names():
        aliases = registry.state(name).aliases
        listed += [
            {
                "model": name,
                "version": kept.version,
                "aliases": " ".join(key for key, at in aliases.items() if at == kept.version),
                "registered": kept.registered[:19],
                "note": kept.note,
            }
            for kept in registry.versions(name)
        ]
    if as_json:
        print(json.dumps(listed))  # noqa: T201
        return
    rows(console, listed, "no models are registered here yet")


def ledger(console: Console, kept: Ledger, *, as_json: bool) -> None:
    """Trials ever made, a row a run."""
    listed = kept.summary()
    if as_json:
        print(json.dumps(listed))  # noqa: T201
        return
    # A run's name begins with that of its study.
    kept_columns = [{k: v for k, v in row.items() if k != "study"} for row in listed]
    rows(console, kept_columns, "no trials have been made here yet")


def pairs(console: Console, values: Mapping[str, str], *, as_json: bool) -> None:
    """Names and values."""
    if as_json:
        print(json.dumps(dict(values)))  # noqa: T201
        return
    width = max(map(len, values))
    for name, value in values.items():
        console.print(f"[bold]{name:<{width}}[/]  {escape(value)}", highlight=False)


def features(console: Console, kinds: Iterable[Any]) -> None:
    """Feature kinds and what they mean."""
    table = Table("kind", "meaning", "smallest window")
    for kind in kinds:
        table.add_row(kind.kind, kind.meaning, str(kind.smallest))
    console.print(table)


def rows(console: Console, found: list[dict[str, Any]], empty: str = "") -> None:
    """A table of records that have the same fields; `empty` where there are none."""
    if not found:
        console.print(empty)
        return
    table = Table(box=None, padding=(0, 1, 0, 0))
    cells = {name: [_cell(row[name]) for row in found] for name in found[0]}
    widest = {name: max(map(len, column)) for name, column in cells.items()}
    narrow = sum(max(len(name), widest[name]) + 1 for name in cells) > console.width
    for name, column in cells.items():
        # Names and times are to be copied whole; words and headings may be broken.
        words = any(" " in cell for cell in column)
        width = max(widest[name], 6) if narrow and not words else None
        table.add_column(name.replace("_", " "), width=width, overflow="fold")
    for row in found:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def percent(value: float | None) -> str:
    """A fraction as a percentage; a dash where it is not defined."""
    return "–" if value is None else f"{100 * value:.1f} %"


def number(value: float | None) -> str:
    """Two decimals; a dash where it is not defined."""
    return "–" if value is None else f"{value:.2f}"
