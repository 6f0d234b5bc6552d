"""`windtunnel memory`: the Markdown record that the software keeps of its own studies."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import MemoryBank
from windtunnel.memory_bank.difference import Difference, differences

app = typer.Typer(help="Keep, check and search the memory bank.", no_args_is_help=True)

Bank = Annotated[Path, typer.Option(help="Folder of the memory bank.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")]
HERE = Path("memory_bank")


def _open(bank: Path, *, runs: Path | None = None) -> MemoryBank:
    """The bank at a path, which has to be one: a name typed wrong is no wish for a new bank."""
    if not (bank / "experiments").is_dir():
        raise MemoryBankError(
            f"--bank: there is no memory bank at {str(bank)!r}",
            "Give the folder of one, or create it with `windtunnel memory init`",
        )
    return MemoryBank(bank, runs=runs)


@app.command()
def init(bank: Bank = HERE) -> None:
    """Create the pages that are missing; what is written by hand stays."""
    MemoryBank(bank).initialise()
    print(f"memory bank at {bank}")  # noqa: T201


@app.command()
def verify(bank: Bank = HERE) -> None:
    """Check every figure, digest, link and index; fail on the first thing that was edited."""
    problems = MemoryBank(bank).verify()
    if problems:
        raise MemoryBankError(
            f"{len(problems)} problems: " + "; ".join(problems),
            "Restore edited entries; `windtunnel memory rebuild` renews the indexes, and pages of "
            "runs that are still there",
        )
    print("memory bank agrees with its records")  # noqa: T201


@app.command()
def rebuild(
    bank: Bank = HERE,
    runs: Annotated[
        Path | None, typer.Option(help="Folder of runs; `runs` beside the bank when absent.")
    ] = None,
) -> None:
    """Write indexes anew from the entries, and entries that are missing or edited from runs."""
    from windtunnel.records import restore  # noqa: PLC0415 - imports polars

    kept = _open(bank, runs=runs)
    for run in restore(kept, kept.runs):
        print(f"entry of {run} restored from its run")  # noqa: T201
    kept.rebuild()
    print(f"indexes of {bank} rebuilt")  # noqa: T201


@app.command()
def decide(
    text: Annotated[str, typer.Argument(help="The decision, one sentence.")],
    why: Annotated[str, typer.Option(help="The reason.")],
    about: Annotated[
        list[str] | None,
        typer.Option(help="An experiment that it rests on; may be given several times."),
    ] = None,
    bank: Bank = HERE,
) -> None:
    """Record a dated decision and its reason."""
    _open(bank).decide(text, why, about=about or ())
    print("recorded")  # noqa: T201


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Words to look for, any case.")],
    bank: Bank = HERE,
    as_json: Json = False,
) -> None:
    """Find pages that hold the words."""
    hits = _open(bank).search(text)
    if as_json:
        print(json.dumps([{**asdict(hit), "path": hit.path.as_posix()} for hit in hits]))  # noqa: T201
        return
    for hit in hits:
        print(hit)  # noqa: T201


@app.command()
def diff(
    first: Annotated[str, typer.Argument(help="An experiment: its page, or how its name begins.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    bank: Bank = HERE,
    as_json: Json = False,
) -> None:
    """Show what sets two experiments apart: figures, champion, versions, digests."""
    kept = _open(bank)
    found = differences(kept.find(first), kept.find(second))
    if as_json:
        print(json.dumps([{**asdict(each), "change": each.change} for each in found]))  # noqa: T201
        return
    console = Console()
    if not found:
        console.print("They differ in nothing but the moment.")
        return
    table = Table("", first, second, "change")
    for each in found:
        name = f"{each.table} {each.name}".strip()
        change = "" if each.change is None else f"{each.change:+.6g}"
        table.add_row(*map(escape, (name, _shown(each, 0), _shown(each, 1), change)))
    console.print(table)


def _shown(difference: Difference, side: int) -> str:
    """A value as a cell; digests by their beginning."""
    value = (difference.first, difference.second)[side]
    if isinstance(value, float):
        return f"{value:.6g}"
    digest = difference.table == "artifacts" or difference.name.endswith(("digest", "fingerprint"))
    text = "–" if value is None else str(value)
    return text[:12] if digest else text
