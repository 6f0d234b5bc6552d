"""`windtunnel memory`: the Markdown record that the software keeps of its own studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import MemoryBank

app = typer.Typer(help="Keep, check and search the memory bank.", no_args_is_help=True)

Bank = Annotated[Path, typer.Option(help="Folder of the memory bank.")]
HERE = Path("memory_bank")


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
            "Restore edited entries; `windtunnel memory rebuild` renews the indexes",
        )
    print("memory bank agrees with its records")  # noqa: T201


@app.command()
def rebuild(bank: Bank = HERE) -> None:
    """Write the generated indexes anew from the entries."""
    MemoryBank(bank).rebuild()
    print(f"indexes of {bank} rebuilt")  # noqa: T201


@app.command()
def decide(
    text: Annotated[str, typer.Argument(help="The decision, one sentence.")],
    why: Annotated[str, typer.Option(help="The reason.")],
    bank: Bank = HERE,
) -> None:
    """Record a dated decision and its reason."""
    MemoryBank(bank).decide(text, why)
    print("recorded")  # noqa: T201


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Words to look for, any case.")],
    bank: Bank = HERE,
) -> None:
    """Find pages that hold the words."""
    for hit in MemoryBank(bank).search(text):
        print(hit)  # noqa: T201
