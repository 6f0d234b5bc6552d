"""From finished trials to a registered model: judge, open the holdout, report, export, remember."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import artifacts, environment, events, finals, judgement, presentation
from windtunnel.config import study_digest
from windtunnel.data.quality import QualityReport
from windtunnel.deployment.exporter import export_bundle
from windtunnel.deployment.manifest import Label, Policy
from windtunnel.deployment.registry import Registry
from windtunnel.deployment.replay_window import replay_frame
from windtunnel.errors import HoldoutSealedError
from windtunnel.holdout import open_holdout
from windtunnel.ledger import Ledger
from windtunnel.memory_bank import ExperimentEntry, MemoryBank
from windtunnel.models.factory import create
from windtunnel.runs import Run
from windtunnel.trainers.scoring import score_rows
from windtunnel.validation import Course, Pipeline, policy_table

Float64Array = npt.NDArray[np.float64]

# Files of a run that another run of the same study makes again byte for byte.
REPRODUCIBLE = ("study.toml", "bars.parquet", "trials.parquet", "holdout.parquet")
# Columns of the trial table that are no metric of the trial's result.
NOT_METRICS = ("number", "cohort", "state", "reason", "objective", "liquidated")


@dataclass(frozen=True)
class Findings:
    """All that is known of a study once its trials are done and the holdout was asked for."""

    run: Run
    course: Course
    quality: QualityReport
    trials: pl.DataFrame
    champion: judgement.Champion
    champion_equity: Float64Array
    metrics: dict[str, float | None]
    benchmark_metrics: dict[str, float]
    stress: finals.Stress
    luck: judgement.Luck
    model: finals.FinalModel
    holdout: finals.HoldoutResult | None
    seal: str
    earlier_looks: tuple[str, ...]
    verdict: judgement.Verdict
    created: datetime


def conclude(
    run: Run,
    course: Course,
    quality: QualityReport,
    folds: Pipeline,
    final: Pipeline,
    bus: events.EventBus,
    force_reason: str | None,
) -> str:
    """Carry a study whose trials are done to its end; return the verdict's headline."""
    found = _find(run, course, quality, folds, final, bus, force_reason)
    run.write_table("holdout.parquet", _decisions(found))
    bus.emit(events.StageStarted("report"))
    presentation.write_report(found, run.path / "report.html")
    bus.emit(events.StageStarted("export"))
    bundle = run.path / "bundle"
    if not bundle.exists():
        _export(found, bundle)
    bus.emit(events.StageStarted("register"))
    version = _register(run, bundle)
    bus.emit(events.StageStarted("remember"))
    figures = _figures(found, version)
    bank = MemoryBank(run.path.parent.parent / "memory_bank")
    bank.initialise()
    entry = bank.record_experiment(_memory_entry(found, figures))
    artifacts.write_json(run.path / "result.json", figures | {"memory": str(entry)})
    return found.verdict.headline


def _find(
    run: Run,
    course: Course,
    quality: QualityReport,
    folds: Pipeline,
    final: Pipeline,
    bus: events.EventBus,
    force_reason: str | None,
) -> Findings:
    """Everything that is computed; nothing but the look at the holdout is written."""
    study = course.study
    trials = pl.read_parquet(run.path / "trials.parquet")
    equity = np.concatenate([curves for _, curves in run.cohorts()], axis=1)
    champion = judgement.choose_champion(course, trials)
    row = trials.row(by_predicate=pl.col("number") == champion.number, named=True)
    bus.emit(events.StageStarted("stress", f"trial {champion.number}"))
    own = np.ascontiguousarray(equity[:, champion.number])
    stress = finals.stress(folds, champion.params, own)
    start, stop = course.plan.holdout
    stamps = course.panel.timestamps
    # All bars of the study count: a trial on any of them was a trial on these data.
    ever = Ledger(run.path.parent / "ledger.jsonl").trials_on(
        course.panel.symbols, stamps[0], stamps[-1]
    )
    ever = ever.without_repeats()
    complete = trials.filter(pl.col("objective").is_not_null())["number"].to_numpy()
    luck = judgement.weigh_luck(
        course,
        np.ascontiguousarray(equity[:, complete]),
        int(np.searchsorted(complete, champion.number)),
        stress.benchmark.equity[:, 0],
        trials_in_study=len(trials),
        sharpes_ever=ever.sharpes,
        trials_ever=ever.count,
    )
    bus.emit(events.StageStarted("refit"))
    model = finals.refit(course, final, champion.params)
    holdout: finals.HoldoutResult | None = None
    earlier: tuple[str, ...] = ()
    try:
        look = open_holdout(
            run.path.parent / "holdout.jsonl",
            run.id.split("~")[0],
            course.panel.symbols,
            stamps[start],
            stamps[stop - 1],
            force_reason=force_reason,
        )
        bus.emit(events.StageStarted("holdout", f"{stop - start} bars, read once"))
        holdout = finals.look(final, model, champion.params)
        seal, earlier = look.seal, look.earlier
    except HoldoutSealedError as error:
        seal = error.problem
        bus.emit(events.Warned(str(error)))
    metrics = {
        name: row[name] for name in trials.columns if name not in {*NOT_METRICS, *study.search}
    }
    benchmark = finals.benchmark_metrics(course, stress.benchmark)
    verdict = judgement.judge(
        luck,
        metrics,
        benchmark,
        holdout.metrics if holdout else None,
        holdout.benchmark_metrics if holdout else None,
        break_even_bps=stress.break_even_bps,
        cost_bps=study.costs.fee_bps + study.costs.half_spread_bps,
        forced_looks=len(earlier),
    )
    return Findings(
        run,
        course,
        quality,
        trials,
        champion,
        own,
        metrics,
        benchmark,
        stress,
        luck,
        model,
        holdout,
        seal,
        earlier,
        verdict,
        datetime.now(UTC),
    )


def _decisions(found: Findings) -> pl.DataFrame:
    """Score and target exposure of every listed instrument on every bar of the holdout."""
    start, stop = found.course.plan.holdout
    panel = found.course.panel
    bar, instrument = np.nonzero(panel.listed[start:stop])
    return pl.DataFrame(
        {
            "timestamp": pl.Series(panel.timestamps[start:stop][bar]).dt.replace_time_zone("UTC"),
            "symbol": np.array(panel.symbols)[instrument],
            "score": pl.Series(found.model.scores[bar, instrument]).fill_nan(None),
            "exposure": found.model.exposures[bar, instrument],
        }
    )


def _export(found: Findings, path: Path) -> None:
    """Write the refitted champion as a bundle whose replay window is the holdout's bars."""
    course, study = found.course, found.course.study
    module = create(study.model)
    kind = study.label.kind
    fitted = found.model.models
    policies = policy_table(study, [found.champion.params])
    used = course.features.values[course.final_task.train[0]]
    stamps = course.panel.timestamps
    export_bundle(
        path,
        score=lambda params, x: score_rows(
            module, kind, params["network"], params["mean"], params["scale"], x
        ),
        params={
            "network": fitted.champion(),
            "mean": fitted.mean[0],
            "scale": fitted.scale[0],
        },
        name=study.study.name,
        study_digest=study_digest(study),
        run=found.run.id,
        trial=found.champion.number,
        fingerprint=course.panel.fingerprint,
        features=course.features.names,
        warmup=course.features.warmup,
        label=Label(kind=kind, horizon=study.label.horizon),
        symbols=course.panel.symbols,
        policy=Policy(
            enter=float(policies.enter[0]),
            exit=float(policies.exit[0]),
            leverage=float(policies.leverage[0]),
            long_only=policies.long_only,
            band=study.policy.rebalance_band,
        ),
        fill=study.execution.fill,
        periods_per_year=study.data.periods_per_year,
        periods={
            name: (str(stamps[first]), str(stamps[last - 1]))
            for name, (first, last) in {
                "train": course.plan.final.train,
                "holdout": course.plan.holdout,
            }.items()
        },
        metrics=found.holdout.metrics if found.holdout else {},
        verdict=found.verdict.headline,
        model={"family": study.model.family, "hidden": list(study.model.hidden)},
        reference=_sample(used, study.study.seed),
        replay=replay_frame(
            course.panel,
            course.plan.holdout,
            found.model.scores,
            found.model.exposures,
            context=course.features.warmup,
        ),
    )


def _sample(rows: npt.NDArray[np.float32], seed: int, most: int = 4096) -> npt.NDArray[np.float32]:
    """At most `most` of the training rows, drawn without replacement, in their order."""
    if len(rows) <= most:
        return rows
    picked = np.random.default_rng(seed).choice(len(rows), most, replace=False)
    return rows[np.sort(picked)]


def _register(run: Run, bundle: Path) -> int:
    """Register the bundle as champion; a bundle that is there already keeps its number."""
    registry = Registry(run.path.parent.parent / "registry")
    return registry.register(bundle, note=f"study {run.id}", alias="champion")


def _figures(found: Findings, version: int) -> dict[str, Any]:
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
        "break_even_bps": _number(found.stress.break_even_bps),
        "model": {"name": found.course.study.study.name, "version": version},
        "versions": environment.versions(),
    }


def _memory_entry(found: Findings, figures: Mapping[str, Any]) -> ExperimentEntry:
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
