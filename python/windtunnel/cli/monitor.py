"""Commands of monitoring: over history, and what a monitor file may hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from windtunnel.monitoring.replay import Replay

app = typer.Typer(name="monitor", help="Watch a model.", no_args_is_help=True)

SEVERITY_COLOURS = {"info": "cyan", "warning": "yellow", "critical": "red"}
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="A run directory, below runs/.")],
    settings: Annotated[
        Path | None, typer.Option(help="A monitor file, TOML; the defaults without one.")
    ] = None,
    bars: Annotated[
        Path | None,
        typer.Option(help="Bars that have come since, Parquet or CSV."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for alerts.jsonl and pictures.")] = None,
    as_json: Json = False,
) -> None:
    """Show what monitoring would have said of a run's model on the bars after its training."""
    from windtunnel.monitoring.replay import replay as play  # noqa: PLC0415 - jax
    from windtunnel.monitoring.settings import load_monitor_file  # noqa: PLC0415

    done = play(run, load_monitor_file(settings), bars=bars, out=out)
    if as_json:
        answer = {
            "subject": done.subject,
            "first": done.first.isoformat(),
            "last": done.last.isoformat(),
            "bars": done.bars,
            "checks": len(done.checks),
            "drifted": int(done.checks["drifted"].sum()),
            "ic": done.ic,
            "alerts": done.alerts.to_dicts(),
            "note": done.note,
        }
        print(json.dumps(answer))  # noqa: T201 - the machine-readable answer
        return
    _show(Console(), done)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the monitor file."""
    from windtunnel.monitoring.settings import MonitorFile  # noqa: PLC0415 - numba

    print(json.dumps(MonitorFile.model_json_schema(), indent=2))  # noqa: T201


def _show(console: Console, done: Replay) -> None:
    console.print(
        f"[bold]{escape(done.subject)}[/], {done.bars} bars from {done.first:%Y-%m-%d} to "
        f"{done.last:%Y-%m-%d}"
    )
    drifted = int(done.checks["drifted"].sum())
    console.print(f"{len(done.checks)} looks for drift, {drifted} of them alarming")
    if done.ic:
        console.print(
            f"Live information coefficient {done.ic['mean']:.3f}, between {done.ic['low']:.3f} "
            f"and {done.ic['high']:.3f} at all times ({done.ic['count']} bars)"
        )
    if done.note:
        console.print(f"[yellow]{escape(done.note)}[/]")
    if done.alerts.is_empty():
        console.print("No alert would have been raised.")
        return
    table = Table("since", "until", "severity", "rule", "subject", "what")
    for row in done.alerts.to_dicts():
        table.add_row(
            row["since"][:16],
            (row["until"] or "stands")[:16],
            f"[{SEVERITY_COLOURS[row['severity']]}]{row['severity']}[/]",
            escape(row["rule"]),
            escape(row["subject"]),
            escape(row["what"]),
        )
    console.print(table)
