"""Commands. Each reads its arguments, calls one function of the package and shows the outcome.

Exit codes are those of `windtunnel.errors`, and three that are no errors: `audit.FAILED`,
`canary.NOT_PROMOTED` and `INTERRUPTED`. The README says what each means.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from windtunnel.cli import bundle, canary, follow, memory, monitor, release, show
from windtunnel.cli.audit import audit
from windtunnel.cli.progress import ProgressDisplay
from windtunnel.cli.retrain import retrain
from windtunnel.cli.serve import serve, token
from windtunnel.errors import PathError, ReportError, RunError, WindtunnelError

app = typer.Typer(
    name="windtunnel",
    help="Tune, validate, ship and watch AI trading models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(memory.app, name="memory")
app.add_typer(bundle.app, name="bundle")
app.add_typer(canary.app, name="canary")
app.add_typer(monitor.app, name="monitor")
app.command()(audit)
app.command()(follow.watch)
app.command()(follow.work)
for command in (
    retrain,
    serve,
    token,
    bundle.export,
    release.register,
    release.promote,
    release.rollback,
    release.retire,
    release.history,
):
    app.command()(command)

INTERRUPTED = 130

Workspace = Annotated[
    Path, typer.Option(help="Folder that holds runs/, registry/ and memory_bank/.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the verdict.")]
OpenHoldout = Annotated[
    str | None,
    typer.Option(
        metavar="REASON",
        help="Read a holdout that an earlier run has read. Recorded and shown in every later "
        "report.",
    ),
]
Extend = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A Python file that registers your own metrics, statistics and sections "
        "(docs/extending.md); may be given several times.",
    ),
]
RunPath = Annotated[Path, typer.Argument(help="A run directory, below runs/.")]


def main() -> None:
    """Run the command line; a known error becomes one sentence and its exit code."""
    try:
        app()
    except WindtunnelError as error:
        _end(error)
    except OSError as error:
        if error.filename is None:  # no file: what failed is none of the user's paths
            raise
        _end(
            PathError(
                f"{os.fsdecode(error.filename)!r}: {error.strerror}",
                "Check the paths given, their permissions and the space on the disk",
            )
        )


def _end(error: WindtunnelError) -> None:
    """Say what is wrong, to a person or to a machine, and exit."""
    if "--json" in sys.argv:
        told = {
            "error": type(error).__name__,
            "problem": error.problem,
            "remedy": error.remedy,
        }
        print(json.dumps(told))  # noqa: T201 - the machine-readable answer
    else:
        show.error(error)
    sys.exit(error.exit_code)


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="A study file, TOML.")],
    workspace: Workspace = Path(),
    fresh: Annotated[
        bool, typer.Option(help="Set an earlier run of this study aside and begin anew.")
    ] = False,
    open_holdout: OpenHoldout = None,
    extend: Extend = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a study from bars to a registered model, or go on where it stopped."""
    _load(extend)

    def work(observers: tuple[Any, ...]) -> Any:
        from windtunnel.experiments import Study  # noqa: PLC0415 - imports jax

        return Study.from_toml(study).run(
            workspace, observers=observers, fresh=fresh, open_holdout=open_holdout
        )

    _carry_out(work, as_json=as_json, quiet=quiet)


@app.command()
def resume(
    run: RunPath,
    open_holdout: OpenHoldout = None,
    extend: Extend = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Finish an interrupted run; its trials are those of an uninterrupted one."""
    _load(extend)

    def work(observers: tuple[Any, ...]) -> Any:
        from windtunnel.experiments import resume as go_on  # noqa: PLC0415 - imports jax

        return go_on(run, observers=observers, open_holdout=open_holdout)

    _carry_out(work, as_json=as_json, quiet=quiet)


def _load(files: list[Path] | None) -> None:
    """Register what the user's files add, before anything is computed."""
    from windtunnel import extend  # noqa: PLC0415 - imports numpy

    for file in files or ():
        extend.load(file)


def _carry_out(work: Callable[[tuple[Any, ...]], Any], *, as_json: bool, quiet: bool) -> None:
    console = Console(stderr=as_json, quiet=as_json or quiet)
    try:
        with ProgressDisplay(console) as display:
            result = work((display,))
    except KeyboardInterrupt:
        if as_json:
            print(json.dumps({"error": "Interrupted"}))  # noqa: T201 - the machine's answer
        else:
            Console(stderr=True).print(
                "Interrupted. Finished cohorts are kept: run the same command again, or "
                "`windtunnel resume RUN`, to go on."
            )
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print(json.dumps({"path": str(result.run.path), **result.figures}))  # noqa: T201
    elif quiet:
        print(result.verdict)  # noqa: T201 - the one line that was asked for
    else:
        show.result(console, result)


@app.command()
def runs(workspace: Workspace = Path(), as_json: Json = False) -> None:
    """List the runs of a workspace, finished or not."""
    from windtunnel.runs import Run  # noqa: PLC0415

    release.hold_folder(workspace)
    found = [Run(path.parent) for path in sorted((workspace / "runs").glob("*/study.toml"))]
    show.runs(Console(), found, as_json=as_json)


@app.command()
def report(
    run: RunPath,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write it: .html, .pdf or .png; report.html when absent."),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="As PDF, by a headless Chromium.")] = False,
    png: Annotated[bool, typer.Option("--png", help="As PNG, by a headless Chromium.")] = False,
) -> None:
    """Copy the report of a finished run: the HTML page, or a PDF or PNG of it."""
    from windtunnel.experiments import StudyResult  # noqa: PLC0415 - imports jax
    from windtunnel.runs import Run  # noqa: PLC0415

    endings = [".pdf"] * pdf + [".png"] * png
    if out is not None and endings and out.suffix.lower() not in endings:
        raise ReportError(
            f"--out {out.name!r} is not a {' or '.join(each[1:].upper() for each in endings)}",
            "Leave --pdf and --png out: the ending of --out says what is wanted",
        )
    base = out or Path("report.html")
    result = StudyResult.load(Run.open(run))
    for ending in endings or [base.suffix]:
        print(result.report(base.with_suffix(ending)))  # noqa: T201


@app.command()
def verify(run: RunPath) -> None:
    """Check a finished run against the digests in its manifest."""
    from windtunnel.runs import Run  # noqa: PLC0415

    opened = Run.open(run)
    if not opened.complete:
        raise RunError(f"run {opened.id} is not complete", "Finish it with `windtunnel resume`")
    altered = opened.verify()
    if altered:
        raise RunError(
            f"run {opened.id}: altered, missing or added: {', '.join(altered)}",
            "Restore the files, or run the study anew with --fresh",
        )
    print(f"run {opened.id}: every file is as it was sealed")  # noqa: T201


@app.command()
def models(
    workspace: Workspace = Path(), location: release.Location = None, as_json: Json = False
) -> None:
    """List registered models, their versions and aliases."""
    if location is None:
        release.hold_folder(workspace)
    registry = release.open_registry(workspace, location)
    show.models(Console(), registry, as_json=as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Print versions, devices, instruction set, threads and cache: what a bug report needs."""
    from windtunnel.cli.doctor import examine  # noqa: PLC0415 - imports jax

    show.pairs(Console(), examine(), as_json=as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the study file."""
    from windtunnel.config import StudyFile  # noqa: PLC0415

    print(json.dumps(StudyFile.model_json_schema(), indent=2))  # noqa: T201


@app.command()
def features() -> None:
    """List the kinds of features that a study can use."""
    from windtunnel.features.catalogue import catalogue  # noqa: PLC0415 - imports numba

    show.features(Console(), catalogue())


@app.command()
def ledger(workspace: Workspace = Path(), as_json: Json = False) -> None:
    """Show how many trials were ever made, study by study; deleting runs does not shrink it."""
    from windtunnel.ledger import Ledger  # noqa: PLC0415

    release.hold_folder(workspace)
    show.ledger(Console(), Ledger(workspace / "runs" / "ledger.jsonl"), as_json=as_json)
