"""`windtunnel canary`: try a version beside the champion."""

from __future__ import annotations

import json
import math
import time
import urllib.request
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from windtunnel.cli import terms
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
from windtunnel.errors import RegistryError
from windtunnel.monitoring.canary_terms import Terms

NOT_PROMOTED = 14

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
        bool,
        typer.Option(
            "--sticky", help="Always route requests with the same key to the same version."
        ),
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


@app.command()
def judge(
    name: Name,
    metrics: Annotated[
        list[str], typer.Option(help="A service's /metrics; may be given several times.")
    ],
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 10.0,
    late_seconds: terms.LateSeconds = Terms.late_seconds,
    error_margin: terms.ErrorMargin = Terms.error_margin,
    late_margin: terms.LateMargin = Terms.late_margin,
    false_alarm: terms.FalseAlarm = Terms.false_alarm,
    false_promotion: terms.FalsePromotion = Terms.false_promotion,
    judges: terms.Judges = Terms.judges,
    fewest: terms.Fewest = Terms.fewest,
    most: terms.Most = Terms.most,
    workspace: Workspace = Path(),
    location: Location = None,
    as_json: Json = False,
) -> None:
    """Compare the canary with the champion until it is promoted or withdrawn.

    Ends with 0 when the canary is champion then, whoever promoted it, with 14 when it is not.
    """
    from windtunnel.monitoring.canary_judge import Ruling  # noqa: PLC0415 - numpy
    from windtunnel.monitoring.canary_watch import (  # noqa: PLC0415 - prometheus_client
        CanaryWatch,
        watch,
    )

    _check(metrics, every)
    asked = terms.agreed(
        late_seconds=late_seconds,
        error_margin=error_margin,
        late_margin=late_margin,
        false_alarm=false_alarm,
        false_promotion=false_promotion,
        judges=judges,
        fewest=fewest,
        most=most,
    )
    registry = open_registry(workspace, location)
    canary = registry.state(name).canary
    if canary is None:
        raise RegistryError(f"{name!r} has no canary to judge", "Start one first")

    def show(ruling: Ruling) -> None:
        if not as_json:
            print(f"{ruling.decision}: {ruling.why}", flush=True)  # noqa: T201

    sources = {url: lambda url=url: _read(url) for url in metrics}
    ruling = watch(
        CanaryWatch(registry, name, asked, sources),
        pause=lambda: time.sleep(every),
        tell=show,
    )
    state = registry.state(name)
    if as_json:
        outcome = None if ruling is None else asdict(ruling)
        print(json.dumps({"ruling": outcome, "aliases": state.aliases}))  # noqa: T201
    else:
        tell(state, as_json=False)
    if state.champion != canary.version:
        raise typer.Exit(NOT_PROMOTED)


def _check(metrics: list[str], every: float) -> None:
    """Refuse what no look could be made with, before the first one."""
    for url in metrics:
        if not _is_http(url):
            raise typer.BadParameter(
                f"must be a whole URL, such as http://127.0.0.1:8000/metrics, got {url!r}",
                param_hint="--metrics",
            )
    if not (math.isfinite(every) and every > 0):
        raise typer.BadParameter(f"must be above 0 seconds, got {every:g}", param_hint="--every")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _read(url: str) -> str:
    """A service's metrics."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - `_check` lets only HTTP pass
        text: str = answer.read().decode()
        return text
