"""The end of a study: judge it, report, export, register, remember."""

from __future__ import annotations

from collections.abc import Callable

from windtunnel import artifacts, delivery, events, presentation, records
from windtunnel.data.quality import QualityReport
from windtunnel.findings import find
from windtunnel.memory_bank import MemoryBank
from windtunnel.protocols import TrainingTask
from windtunnel.runs import Run
from windtunnel.validation import Course, Pipeline


def conclude(
    run: Run,
    course: Course,
    quality: QualityReport,
    folds: Pipeline,
    make: Callable[[TrainingTask], Pipeline],
    bus: events.EventBus,
    force_reason: str | None,
) -> str:
    """Carry a study whose trials are done to its end; return the verdict's headline.

    `folds` is the pipeline that the trials went through; `make` builds one for another task.
    """
    found = find(run, course, quality, folds, make, bus, force_reason)
    run.write_table("trials.parquet", found.trials)
    run.write_table("holdout.parquet", delivery.decisions(found))
    bus.emit(events.StageStarted("report"))
    presentation.write_report(found, run.path / "report.html")
    bus.emit(events.StageStarted("export"))
    bundle = run.path / "bundle"
    if not bundle.exists():
        delivery.export(found, bundle)
    bus.emit(events.StageStarted("register"))
    version, state = delivery.register(run, bundle)
    if state.champion != version:
        bus.emit(
            events.Warned(
                f"version {version} is registered; version {state.champion} stays champion until "
                f"`windtunnel promote {state.name} {version}`, or a canary, replaces it"
            )
        )
    bus.emit(events.StageStarted("remember"))
    figures = records.figures_of(found, version)
    bank = MemoryBank(run.path.parent.parent / "memory_bank")
    bank.initialise()
    entry = bank.record_experiment(records.memory_entry(found, figures))
    artifacts.write_json(run.path / "result.json", figures | {"memory": str(entry)})
    return found.verdict.headline
