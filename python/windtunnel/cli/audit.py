"""`windtunnel audit`: attempts to refute a study, and an exit code that a script can read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from windtunnel.errors import StudyFileError

if TYPE_CHECKING:
    from windtunnel.audits.case import Case
    from windtunnel.audits.result import AuditResult

FAILED = 10
COLOURS = {"passed": "green", "FAILED": "bold red", "measured": "cyan", "not made": "dim"}
MOST_ROWS = 5


def audit(
    study: Annotated[Path, typer.Argument(help="A study file, TOML, or a run directory.")],
    workspace: Annotated[
        Path,
        typer.Option(help="Folder whose runs/ may hold the study's champion."),
    ] = Path(),
    only: Annotated[
        list[str] | None,
        typer.Option(help="Make this audit; may be given several times. All when absent."),
    ] = None,
    trials: Annotated[
        int, typer.Option(min=2, help="Trials of the noise and the oracle study.")
    ] = 32,
    repeats: Annotated[
        int, typer.Option(min=1, max=8, help="Other seeds and other start dates to try.")
    ] = 4,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, nothing else.")
    ] = False,
) -> None:
    """Try to refute a study: leaks, warm-up, fills, noise, a planted signal, the champion.

    The holdout is not read. Trials with other seeds and start dates are added to the ledger.
    Exit code 0 when no audit failed, 10 when one did.
    """
    from windtunnel.audits.record import record  # noqa: PLC0415 - imports jax
    from windtunnel.audits.registry import run_audits  # noqa: PLC0415 - the same
    from windtunnel.ledger import Ledger  # noqa: PLC0415
    from windtunnel.trainers import devices  # noqa: PLC0415

    devices.configure_cpu()
    console = Console(stderr=as_json, quiet=as_json)
    case, runs = _case(study, workspace)
    case = replace(case, trials=trials, repeats=repeats)
    results = run_audits(case, only or None, observe=lambda result: _show(console, result))
    added = record(Ledger(runs / "ledger.jsonl"), case, results)
    failed = [result.name for result in results if result.passed is False]
    if as_json:
        print(  # noqa: T201 - the machine-readable answer
            json.dumps(
                {
                    "study": case.study.study.name,
                    "run": case.champion.run_id if case.champion else None,
                    "clean": not failed,
                    "failed": failed,
                    "trials_added_to_ledger": added,
                    "audits": [result.as_json() for result in results],
                }
            )
        )
    else:
        if added:
            console.print(f"[dim]{added} trials were added to the ledger[/]")
        told = (
            f"[bold red]failed: {', '.join(failed)}[/]" if failed else "[green]no audit failed[/]"
        )
        console.print(told)
    if failed:
        raise typer.Exit(FAILED)


def _case(path: Path, workspace: Path) -> tuple[Case, Path]:
    """The case and the folder of runs whose ledger counts its trials."""
    from windtunnel.audits.case import Case, Champion  # noqa: PLC0415 - imports numba
    from windtunnel.config import load_study_file  # noqa: PLC0415
    from windtunnel.data import align, load, quality  # noqa: PLC0415
    from windtunnel.runs import Run, run_id  # noqa: PLC0415

    if path.is_dir():
        run = Run.open(path)
        study, base = run.study(), run.path
    else:
        study, base = load_study_file(path), path.parent
        if study.data.source == "frame":
            raise StudyFileError(
                f"study file {str(path)!r}: its bars were given from Python",
                "Audit the run directory, which keeps them",
            )
    bars = load.load_bars(study.data, base)
    quality.gate(bars, study.data)
    if not path.is_dir():
        run = Run(workspace / "runs" / run_id(study, align.to_panel(bars).fingerprint))
    champion = Champion.from_figures(run.result()) if run.complete else None
    return Case(study, bars, champion=champion), run.path.parent


def _show(console: Console, result: AuditResult) -> None:
    colour = COLOURS[result.word]
    console.print(
        f"[{colour}]{result.word:>8}[/] [bold]{result.name}[/]  {escape(result.sentence)}",
        highlight=False,
    )
    if result.passed is False and result.evidence:
        table = Table(*result.evidence[0], show_edge=False)
        for row in result.evidence[:MOST_ROWS]:
            table.add_row(*("" if value is None else escape(str(value)) for value in row.values()))
        console.print(table)
