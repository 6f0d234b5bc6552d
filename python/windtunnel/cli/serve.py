"""`windtunnel serve` and `windtunnel token`: the service, and who may use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from windtunnel.cli import release, terms
from windtunnel.errors import RunError, ServiceError
from windtunnel.monitoring.canary_terms import Terms


def serve(
    name: Annotated[
        str | None,
        typer.Argument(help="Model; the only one when absent.", envvar="WINDTUNNEL_MODEL"),
    ] = None,
    workspace: release.Workspace = Path(),
    location: release.Location = None,
    version: Annotated[str, typer.Option(help="A version number or an alias.")] = "champion",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = 8000,
    tokens: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of bearer tokens, see `windtunnel token`.",
            envvar="WINDTUNNEL_TOKENS",
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Requests a second that each client may make.")
    ] = None,
    max_body: Annotated[int, typer.Option(help="Largest request in bytes.")] = 8 * 2**20,
    max_age: Annotated[
        float | None, typer.Option(help="Seconds after which the last bar is stale.")
    ] = None,
    micro_batching: Annotated[
        bool, typer.Option(help="Score requests that arrive together in one call.")
    ] = False,
    reload: Annotated[
        float, typer.Option(help="Seconds between looks at the registry; 0 never looks.")
    ] = 1.0,
    judge: Annotated[
        bool, typer.Option(help="Promote or withdraw a canary when the evidence suffices.")
    ] = False,
    late_seconds: terms.LateSeconds = Terms.late_seconds,
    error_margin: terms.ErrorMargin = Terms.error_margin,
    late_margin: terms.LateMargin = Terms.late_margin,
    disagreement: terms.Disagreement = Terms.disagreement,
    disagreement_margin: terms.DisagreementMargin = Terms.disagreement_margin,
    false_alarm: terms.FalseAlarm = Terms.false_alarm,
    false_promotion: terms.FalsePromotion = Terms.false_promotion,
    judges: terms.Judges = Terms.judges,
    fewest: terms.Fewest = Terms.fewest,
    most: terms.Most = Terms.most,
    exact: Annotated[
        bool, typer.Option(help="Score with the exported program's bits, a little slower.")
    ] = False,
    monitor: Annotated[
        Path | None,
        typer.Option(help="A monitor file, TOML: watch what is served and raise alerts."),
    ] = None,
    keep_alive: Annotated[
        float,
        typer.Option(help="Seconds that a silent connection is kept: longer than a proxy's own."),
    ] = 75.0,
    drain: Annotated[
        float, typer.Option(help="Seconds that requests may take to end after SIGTERM.")
    ] = 30.0,
    access_log: Annotated[bool, typer.Option(help="A line for each prediction.")] = False,
    root_path: Annotated[str, typer.Option(help="Path prefix of the proxy in front.")] = "",
    proxies: Annotated[
        str, typer.Option(help="Addresses of proxies whose X-Forwarded-For is believed.")
    ] = "127.0.0.1",
) -> None:
    """Answer /v1/predict from a registered model."""
    from windtunnel.serving.start import share_compilations, uncollected  # noqa: PLC0415

    share_compilations()
    try:
        with uncollected():
            from windtunnel.memory_bank import MemoryBank, Remember  # noqa: PLC0415
            from windtunnel.monitoring.service import listened_to  # noqa: PLC0415
            from windtunnel.monitoring.settings import load_monitor_file  # noqa: PLC0415
            from windtunnel.serving.server import serve as listen  # noqa: PLC0415 - imports fastapi
            from windtunnel.serving.settings import Settings  # noqa: PLC0415
            from windtunnel.serving.tokens import load_tokens  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise RunError(
            f"the service needs {error.name!r}, which is not installed",
            "Install it with `pip install 'windtunnel[serve]'`",
        ) from None
    asked = terms.agreed(
        late_seconds=late_seconds,
        error_margin=error_margin,
        late_margin=late_margin,
        disagreement=disagreement,
        disagreement_margin=disagreement_margin,
        false_alarm=false_alarm,
        false_promotion=false_promotion,
        judges=judges,
        fewest=fewest,
        most=most,
    )
    if not judge and asked != Terms():
        raise ServiceError(
            "the terms of a judge are given, but no judge is asked for",
            "Add --judge, or leave the terms out",
        )
    settings = Settings(
        tokens=load_tokens(tokens),
        requests_per_second=rate,
        max_body_bytes=max_body,
        max_age_seconds=max_age,
        micro_batching=micro_batching,
        reload_seconds=reload,
        keep_alive_seconds=keep_alive,
        drain_seconds=drain,
        exact=exact,
        access_log=access_log,
        judge=asked if judge else None,
    )
    where = location or workspace / "registry"
    watched = load_monitor_file(monitor) if monitor is not None else None
    with listened_to(where, watched, workspace / "monitoring") as bus:
        bank = workspace / "memory_bank"
        if bank.is_dir():
            bus.subscribe(Remember(MemoryBank(bank)), *Remember.kinds)
        listen(
            where,
            name,
            version,
            host=host,
            port=port,
            settings=settings,
            bus=bus,
            root_path=root_path,
            proxies=proxies,
        )


def token(
    name: Annotated[str, typer.Argument(help="Whose token it is, for the log.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="predict or admin; may be given twice.")
    ] = None,
) -> None:
    """Draw a token: its secret on standard error, its entry for the file on standard output."""
    from windtunnel.serving.tokens import draw  # noqa: PLC0415

    secret, table = draw(name, tuple(scope or ["predict"]))
    typer.echo(f"Give this to the client, it is not kept anywhere: {secret}", err=True)
    typer.echo(table, nl=False)
