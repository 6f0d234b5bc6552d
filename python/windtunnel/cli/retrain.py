"""`windtunnel retrain`: a study once more with newer bars, by hand or from a timetable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from windtunnel.cli import release
from windtunnel.cli.progress import ProgressDisplay


def retrain(
    name: Annotated[str, typer.Argument(help="A study's name, or a run directory.")],
    bars: Annotated[Path, typer.Option(help="Bars that have come since, Parquet or CSV.")],
    reason: Annotated[str, typer.Option(help="Why; kept on record.")] = "asked for by hand",
    settings: Annotated[
        Path | None, typer.Option(help=r"A monitor file with \[retrain]; the defaults without one.")
    ] = None,
    if_standing: Annotated[
        Path | None,
        typer.Option(
            help="The alerts.json of a monitor: do nothing unless an alert of one of "
            "retrain.rules stands there on the champion. For cron."
        ),
    ] = None,
    workspace: release.Workspace = Path(),
    location: release.Location = None,
    as_json: release.Json = False,
) -> None:
    """Carry a study out again with newer bars; what passes the gate becomes a canary."""
    from windtunnel import retraining  # noqa: PLC0415 - imports jax
    from windtunnel.monitoring.settings import load_monitor_file  # noqa: PLC0415

    section = load_monitor_file(settings).retrain
    run = Path(name)
    if not (run / "study.toml").is_file():
        run = retraining.newest_run(workspace, name)
    why = reason
    if if_standing is not None:
        champion = retraining.champion_of(run, location)
        found = retraining.alert_stands(if_standing, section.rules, *champion)
        if found is None:
            _say("No alert stands that calls for a re-study.", None, as_json=as_json)
            return
        why = found
    console = Console(stderr=as_json, quiet=as_json)
    with ProgressDisplay(console) as display:
        done = retraining.retrain(
            run, bars, why=why, settings=section, registry=location, observers=(display,)
        )
    _say(f"{done.result.verdict}. {done.sentence}", done, as_json=as_json)


def _say(sentence: str, done: object, *, as_json: bool) -> None:
    from windtunnel.retraining import Retrained  # noqa: PLC0415 - imports jax

    if not as_json:
        Console().print(escape(sentence), highlight=False, soft_wrap=True)
        return
    answer: dict[str, object] = {"sentence": sentence, "began": isinstance(done, Retrained)}
    if isinstance(done, Retrained):
        canary = done.state.canary
        answer |= {
            "run": str(done.result.run.path),
            "version": done.version,
            "gate": {finding.rule: finding.passed for finding in done.findings},
            "canary": None if canary is None else canary.version,
        }
    print(json.dumps(answer))  # noqa: T201 - the machine-readable answer
