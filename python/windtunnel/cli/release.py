"""Commands that decide which version serves: each is one change of the registry, on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from windtunnel.cli import show
from windtunnel.cli.bundle import bundle_of
from windtunnel.errors import PathError, RegistryError

if TYPE_CHECKING:
    from windtunnel.deployment.registry import Registry
    from windtunnel.deployment.state import State

Name = Annotated[str, typer.Argument(help="Model.")]
Workspace = Annotated[
    Path, typer.Option(help="Folder that holds runs/, registry/ and memory_bank/.")
]
Location = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar="WINDTUNNEL_REGISTRY",
        help="The registry: a folder, or a URL such as s3://bucket/registry. WORKSPACE/registry "
        "when absent.",
    ),
]
Who = Annotated[str | None, typer.Option(help="For the log; the system's user when absent.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the log.")]
Generation = Annotated[
    int | None,
    typer.Option(help="Refuse unless the registry is still of this generation."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]


def hold_folder(workspace: Path) -> None:
    """Refuse a workspace that is none: an answer about nothing would read like an empty one."""
    if not workspace.is_dir():
        raise PathError(
            f"--workspace: there is no folder {str(workspace)!r}",
            "Give the folder that holds runs/, registry/ and memory_bank/",
        )


def open_registry(workspace: Path, location: str | None) -> Registry:
    """The registry of a workspace, or the one named; the workspace's memory bank listens."""
    from windtunnel.deployment.registry import Registry  # noqa: PLC0415 - pydantic
    from windtunnel.events import EventBus  # noqa: PLC0415
    from windtunnel.memory_bank import MemoryBank  # noqa: PLC0415
    from windtunnel.memory_bank.observer import Remember  # noqa: PLC0415

    bus = EventBus()
    bank = workspace / "memory_bank"
    if bank.is_dir():
        bus.subscribe(Remember(MemoryBank(bank)), *Remember.kinds)
    return Registry(location or workspace / "registry", bus=bus)


def register(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle, or of a finished run.")],
    reason: Reason = "",
    workspace: Workspace = Path(),
    location: Location = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Replay a bundle and keep a copy of it as the next version of its model."""
    registry, path = open_registry(workspace, location), bundle_of(bundle)
    number = registry.register(path, note=reason, who=who)
    found = registry.find(path)
    name = "" if found is None else found.name
    if as_json:
        print(json.dumps({"model": name, "version": number}))  # noqa: T201
    else:
        print(f"{name} version {number}")  # noqa: T201


def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="A number or an alias.")] = "canary",
    reason: Reason = "",
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Pass a gate that refuses because of verdict or holdout; needs a reason, and "
            "both are recorded. A replay that fails cannot be forced.",
        ),
    ] = False,
    workspace: Workspace = Path(),
    location: Location = None,
    who: Who = None,
    generation: Generation = None,
    as_json: Json = False,
) -> None:
    """Let a version serve, if it replays and the study's verdict and holdout allow it."""
    registry = open_registry(workspace, location)
    state = registry.promote(name, version, why=reason, who=who, force=force, generation=generation)
    tell(state, as_json=as_json)


def rollback(
    name: Name,
    version: Annotated[
        str | None,
        typer.Argument(help="Number of an earlier champion; the previous one when absent."),
    ] = None,
    reason: Reason = "",
    workspace: Workspace = Path(),
    location: Location = None,
    who: Who = None,
    generation: Generation = None,
    as_json: Json = False,
) -> None:
    """Return to the previous champion, or to an earlier one; loads and replays nothing."""
    registry = open_registry(workspace, location)
    state = registry.rollback(name, version, why=reason, who=who, generation=generation)
    tell(state, as_json=as_json)


def retire(
    name: Name,
    version: Annotated[int, typer.Argument(help="A number.")],
    reason: Reason = "",
    workspace: Workspace = Path(),
    location: Location = None,
    who: Who = None,
    generation: Generation = None,
    as_json: Json = False,
) -> None:
    """Bar a version from ever serving again; its files and its record stay."""
    registry = open_registry(workspace, location)
    state = registry.retire(name, version, why=reason, who=who, generation=generation)
    tell(state, as_json=as_json)


def history(
    name: Name,
    workspace: Workspace = Path(),
    location: Location = None,
    as_json: Json = False,
) -> None:
    """Show every change of a model, oldest first, the chain of digests checked."""
    entries = open_registry(workspace, location).history(name)
    if not entries:
        raise RegistryError(
            f"no model {name!r} is registered here", "`windtunnel models` lists those that are"
        )
    if as_json:
        print(json.dumps(entries))  # noqa: T201
        return
    rows = [
        {
            "record": entry["sequence"],
            "at": entry["at"][:19],
            "action": entry["action"].replace("_", " "),
            "version": entry["details"].get("version"),
            "who": entry["who"],
            "why": entry["why"],
            "forced": ", ".join(entry["forced"]),
        }
        for entry in entries
    ]
    show.rows(Console(), rows)


def tell(state: State, *, as_json: bool) -> None:
    """Show what serves after a change."""
    record: dict[str, Any] = {"model": state.name, **state.to_record(), "aliases": state.aliases}
    del record["registered"]
    if as_json:
        print(json.dumps(record))  # noqa: T201
        return
    canary = state.canary
    parts = [
        f"champion {state.champion or 'none'}",
        *([f"previous {state.previous}"] if state.previous else []),
        *([f"canary {canary.version} ({canary.mode}, weight {canary.weight:g})"] if canary else []),
    ]
    print(f"{state.name}: {', '.join(parts)}; generation {state.generation}")  # noqa: T201
