"""What is kept of a study: the figures of `result.json` and the entry in the memory bank."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from windtunnel import artifacts, environment
from windtunnel.config import study_digest
from windtunnel.findings import Findings
from windtunnel.memory_bank import ExperimentEntry

# Files of a run that another run of the same study makes again byte for byte.
REPRODUCIBLE = ("study.toml", "bars.parquet", "trials.parquet", "holdout.parquet")


def figures_of(found: Findings, version: int) -> dict[str, Any]:
    """What `result.json` keeps. Undefined figures are null."""
    holdout = found.holdout
    return {
        "schema": 1,
        "run": found.run.id,
        "created": found.created.isoformat(timespec="seconds"),
        "study": found.course.study.study.name,
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
        "audits": [audit.as_json() for audit in found.audits],
        "break_even_bps": _number(found.stress.break_even_bps),
        "model": {"name": found.course.study.study.name, "version": version},
        "versions": environment.versions(),
    }


def memory_entry(found: Findings, figures: Mapping[str, Any]) -> ExperimentEntry:
    """The study as the memory bank keeps it; figures are named by their path in result.json."""
    study = found.course.study
    searched = ", ".join(name.split(".")[1].replace("_", " ") for name in study.search)
    shown = {
        "champion": ("number", "objective", "plateau"),
        "trials": ("total", "failed"),
        "metrics": ("total_return", "sharpe", "max_drawdown", "turnover", "auc", "rank_ic"),
        "benchmark": ("total_return", "sharpe", "max_drawdown"),
        "statistics": tuple(found.luck.figures),
    }
    looked = figures["holdout"]
    return ExperimentEntry(
        run_id=found.run.id.split("~")[0],
        study=study.study.name,
        created=found.created,
        command=found.run.command,
        question=(
            f"Does {study.model.family} on {len(study.features.use)} features find an edge in "
            f"{', '.join(found.course.panel.symbols)} that survives costs, {len(found.trials)} "
            f"trials over {searched}, and a sealed holdout?"
        ),
        headline=found.verdict.headline,
        verdict="\n".join(found.verdict.sentences),
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
        champion=dict(found.champion.params),
        versions=dict(figures["versions"]),
        artifacts={name: artifacts.digest(found.run.path / name) for name in REPRODUCIBLE},
    )


def _numbers(values: Mapping[str, float | int | None]) -> dict[str, float | int | None]:
    return {key: _number(value) for key, value in values.items()}


def _number(value: float | int | None) -> float | int | None:
    """JSON has no NaN: what is not defined is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
