"""What is kept of a study: the figures of `result.json` and the entry in the memory bank."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel import artifacts, environment
from windtunnel.config import study_digest
from windtunnel.memory_bank import ExperimentEntry, MemoryBank
from windtunnel.memory_bank.chart import line_chart
from windtunnel.runs import Run

if TYPE_CHECKING:
    from windtunnel.findings import Findings

# Files of a run that another run of the same study makes again byte for byte.
REPRODUCIBLE = (
    "study.toml",
    "bars.parquet",
    "trials.parquet",
    "trades.parquet",
    "holdout.parquet",
)
PICTURE = "equity.svg"


def figures_of(found: Findings, version: int) -> dict[str, Any]:
    """What `result.json` keeps. Undefined figures are null."""
    holdout = found.holdout
    return {
        "schema": 1,
        "run": found.run.id,
        "created": found.created.isoformat(timespec="seconds"),
        "study": found.course.study.study.name,
        "question": _question(found),
        "study_digest": study_digest(found.course.study),
        "data_fingerprint": found.course.panel.fingerprint,
        "verdict": asdict(found.verdict),
        "champion": asdict(found.champion),
        "trials": {
            "total": len(found.trials),
            "failed": int((found.trials["state"] == "failed").sum()),
        },
        "metrics": _numbers(found.metrics),
        "benchmark": _numbers(found.benchmark_metrics),
        "statistics": _numbers(found.luck.figures),
        "holdout": {
            "opened": holdout is not None,
            "seal": found.seal,
            "earlier_looks": list(found.earlier_looks),
            "metrics": _numbers(holdout.metrics) if holdout else {},
            "benchmark": _numbers(holdout.benchmark_metrics) if holdout else {},
        },
        "stress": [
            {
                key: _number(value) if isinstance(value, float) else value
                for key, value in row.items()
            }
            for row in map(asdict, found.stress.rows)
        ],
        "rivals": [
            {key: _number(value) if key != "name" else value for key, value in row.items()}
            for row in map(asdict, found.rivals)
        ],
        "audits": [audit.as_json() for audit in found.audits],
        "break_even_bps": _number(found.stress.break_even_bps),
        "model": {"name": found.course.study.study.name, "version": version},
        "compilation": found.run.compilation(),
        "versions": environment.versions(),
    }


def _question(found: Findings) -> str:
    study = found.course.study
    searched = ", ".join(name.split(".")[1].replace("_", " ") for name in study.search)
    return (
        f"Does {study.model.family} on {len(study.features.use)} features find an edge in "
        f"{', '.join(found.course.panel.symbols)} that survives costs, {len(found.trials)} "
        f"trials over {searched}, and a sealed holdout?"
    )


def memory_entry(run: Run) -> ExperimentEntry:
    """The study as the memory bank keeps it, from what its run keeps and nothing else.

    So the same run gives the same entry whenever it is asked, byte for byte; figures are named
    by their path in `result.json`.

    Raises
    ------
    RunError
        The run has no result.
    """
    figures = run.result()
    looked = figures["holdout"]
    shown = {
        "champion": ("number", "objective", "plateau"),
        "trials": ("total", "failed"),
        "metrics": ("total_return", "sharpe", "max_drawdown", "turnover", "auc", "rank_ic"),
        "benchmark": ("total_return", "sharpe", "max_drawdown"),
        "statistics": tuple(figures["statistics"]),
    }
    return ExperimentEntry(
        run_id=figures["run"].split("~")[0],
        study=figures["study"],
        created=datetime.fromisoformat(figures["created"]),
        command=run.command,
        question=figures["question"],
        headline=figures["verdict"]["headline"],
        verdict="\n".join(figures["verdict"]["sentences"]),
        study_digest=figures["study_digest"],
        data_fingerprint=figures["data_fingerprint"],
        figures={
            f"{table}.{name}": figures[table].get(name)
            for table, names in shown.items()
            for name in names
        },
        holdout={
            f"{table}.{name}": looked[table].get(name)
            for table in ("metrics", "benchmark")
            for name in ("total_return", "sharpe", "max_drawdown")
            if looked["opened"]
        },
        champion=figures["champion"]["params"],
        versions=figures["versions"],
        artifacts={name: artifacts.digest(run.path / name) for name in REPRODUCIBLE},
    )


def restore(bank: MemoryBank, runs: Path) -> list[str]:
    """Write the pages of finished runs again where they are missing or were edited.

    Returns
    -------
    list of str
        Names of the runs whose page was written.
    """
    restored = []
    for path in sorted(runs.glob("*/result.json")):
        run = Run(path.parent)
        if not run.complete or "question" not in run.result():
            continue  # unfinished, or of a version that kept less
        if bank.restore_experiment(memory_entry(run), picture=run.path / PICTURE):
            restored.append(run.id)
    return restored


def picture(found: Findings) -> str:
    """Equity of the champion and of buy and hold, the holdout shaded where it was opened."""
    plan, stamps = found.course.plan, found.course.panel.timestamps
    start, stop = plan.out_of_sample
    own, held = found.champion_equity, found.stress.benchmark.equity[:, 0]
    times = stamps[start:stop]
    shaded = None
    if found.holdout is not None:
        first, end = plan.holdout
        cash = found.course.execution.initial_cash
        # Chained onto the last out-of-sample value, as the report does.
        own = np.concatenate([own, own[-1] * found.holdout.champion.equity[:, 0] / cash])
        held = np.concatenate([held, held[-1] * found.holdout.benchmark.equity[:, 0] / cash])
        times, shaded = np.concatenate([times, stamps[first:end]]), stamps[first]
    title = f"Equity of {found.course.study.study.name}: {found.verdict.headline}"
    return line_chart(title, times, {"champion": own, "buy and hold": held}, shaded_from=shaded)


def _numbers(values: Mapping[str, float | int | None]) -> dict[str, float | int | None]:
    return {key: _number(value) for key, value in values.items()}


def _number(value: float | int | None) -> float | int | None:
    """JSON has no NaN: what is not defined is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
