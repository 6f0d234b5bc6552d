"""`windtunnel canary`: try a version beside the champion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from windtunnel.cli.release import (
    Generation,
    Json,
    Location,
    Name,
    Reason,
    Who,
    Workspace,
    open_registry,
    tell,
)

app = typer.Typer(help="Try a version beside the champion.", no_args_is_help=True)

Weight = Annotated[float, typer.Option(help="Share of the requests, from 0 to 1.")]


@app.command()
def start(
    name: Name,
    version: Annotated[str, typer.Argument(help="A number.")],
    weight: Weight = 0.05,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Both answer the share; the champion's answer is returned."),
    ] = False,
    sticky: Annotated[
        bool, typer.Option("--sticky", help="Treat requests of the same key always alike.")
    ] = False,
    reason: Reason = "",
    workspace: Workspace = Path(),
    location: Location = None,
    who: Who = None,
    generation: Generation = None,
    as_json: Json = False,
) -> None:
    """Let a version take part in a share of the requests."""
    state = open_registry(workspace, location).start_canary(
        name,
        version,
        weight=weight,
        mode="shadow" if shadow else "live",
        sticky=sticky,
        why=reason,
        who=who,
        generation=generation,
    )
    tell(state, as_json=as_json)


@app.command()
def weight(
    name: Name,
    share: Annotated[float, typer.Argument(help="Share of the requests, from 0 to 1.")],
    live: Annotated[
        bool | None,
        typer.Option("--live/--shadow", help="Change whose answer is returned; kept when absent."),
    ] = None,
    reason: Reason = "",
    workspace: Workspace = Path(),
    location: Location = None,
    who: Who = None,
    generation: Generation = None,
    as_json: Json = False,
) -> None:
    """Give the canary another share; its sticky keys stay with it."""
    state = open_registry(workspace, location).weigh_canary(
        name,
        share,
        mode=None if live is None else "live" if live else "shadow",
        why=reason,
        who=who,
        generation=generation,
    )
    tell(state, as_json=as_json)


@app.command()
def stop(
    name: Name,
    reason: Reason = "",
    workspace: Workspace = Path(),
    location: Location = None,
    who: Who = None,
    generation: Generation = None,
    as_json: Json = False,
) -> None:
    """Let the champion answer everything again."""
    registry = open_registry(workspace, location)
    state = registry.stop_canary(name, why=reason, who=who, generation=generation)
    tell(state, as_json=as_json)
