"""The end of a study: judge it, report, export, register, remember."""

from __future__ import annotations

from pathlib import Path

from windtunnel import artifacts, delivery, events, presentation, records
from windtunnel.findings import TrialTable, Work, find
from windtunnel.memory_bank import MemoryBank, Remember


def conclude(work: Work, force_reason: str | None, registry: str | Path | None = None) -> str:
    """Carry a study whose trials are done to its end; return the verdict's headline.

    Its champion goes into `registry`, or that of the workspace.
    """
    run = work.run
    table = TrialTable.read(run, work.course)
    run.write_table("trials.parquet", table.trials)
    bank = MemoryBank(run.path.parent.parent / "memory_bank")
    if untold := bank.untold(work.ledger):
        work.bus.emit(
            events.Warned(
                f"the memory bank tells of runs whose trials runs/ledger.jsonl does not hold "
                f"({', '.join(untold)}): they deflate nothing here, and their looks at a holdout "
                "are forgotten. Keep runs/ledger.jsonl and runs/holdout.jsonl as long as the bank"
            )
        )
    found = find(work, table, force_reason)
    run.write_table("trades.parquet", delivery.fills(found))
    run.write_table("holdout.parquet", delivery.decisions(found))
    work.begin("report")
    presentation.write_report(found, run.path / "report.html")
    work.begin("export")
    bundle = run.path / "bundle"
    delivery.export_anew(found, bundle)
    work.begin("register")
    bank.initialise()
    work.bus.subscribe(Remember(bank), *Remember.kinds)
    version, state, refusal = delivery.register(run, bundle, work.bus, registry)
    promote = f"windtunnel promote {state.name} {version}"
    if refusal:
        work.bus.emit(
            events.Warned(
                f"registered, and nothing serves: {refusal}. To let it serve all the same, on "
                f"record: `{promote} --force --reason WHY`"
            )
        )
    elif state.champion != version:
        work.bus.emit(
            events.Warned(
                f"version {version} is registered; version {state.champion} stays champion until "
                f"`{promote}`, or a canary, replaces it"
            )
        )
    work.begin("remember")
    artifacts.write_text(run.path / records.PICTURE, records.picture(found))
    artifacts.write_json(run.path / "result.json", records.figures_of(found, version))
    bank.record_experiment(records.memory_entry(run), picture=run.path / records.PICTURE)
    return found.verdict.headline
