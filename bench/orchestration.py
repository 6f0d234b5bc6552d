"""What a search costs beside training: asking, telling, records, ledger and mirror.

``python bench/orchestration.py --json docs/results/orchestration.json`` carries the example
study out with 1,000 and with 10,000 trials and more, by every sampler. Most cohorts get the results
of a trained one with other objectives; the last ones are trained, as is one at the beginning.
What the search costs is measured from the end of one cohort's training to the beginning of the
next one's, among the last, and held against their training: what is written meanwhile takes its
time from that.

Optuna's own ``tpe`` and ``gp`` learn from all trials at every one that they draw. The study that
they carry on was begun at random, and they are asked for a few cohorts at its end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from windtunnel import environment, events
from windtunnel.assessor import Assessor, Past, assessor_for
from windtunnel.campaign import Campaign
from windtunnel.config import StudyFile, load_study_file, parse_study
from windtunnel.data import align, load
from windtunnel.rungs import Assessed
from windtunnel.runs import Run
from windtunnel.trainers import devices
from windtunnel.trial_rows import named_rows
from windtunnel.tuning.optuna_strategy import OptunaStrategy
from windtunnel.validation import Params

EXAMPLE = Path(__file__).parent.parent / "examples" / "us_equities.toml"
COHORT = 64
CALM = 1.1  # seconds that a cohort of the example trains on a machine with nothing else to do
MEASURED = 8  # gaps between the last cohorts
FINISHED = (1_000, 10_000)
LIVED = ("cohort_tpe", "random", "qmc", "nsga2", "nsga3", "cmaes")
# By sampler that learns anew at every trial: after how many it is measured, and how many cohorts.
CARRIED_ON = {"tpe": (FINISHED, 3), "gp": ((256, 768), 1)}


@dataclass
class Replayed:
    """Trains a first cohort and the last ones, and gives others what came of the first.

    Attributes
    ----------
    assessor : Assessor
    until : int
        Cohorts before the last ones.
    training : list of float
        Seconds that the last ones took.
    entered, left : list of float
        When each began and ended.
    """

    assessor: Assessor
    until: int
    first: Assessed | None = None
    training: list[float] = field(default_factory=list)
    entered: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)

    def assess(self, parts: Sequence[Sequence[Params]], cohort: int, past: Past) -> list[Assessed]:
        """One part, trained or made up."""
        self.entered.append(time.perf_counter())
        (part,) = parts
        if self.first is None or cohort >= self.until:
            found = self.assessor.assess(part, cohort, past)
            self.training.append(time.perf_counter() - self.entered[-1])
            self.first = self.first or found
        else:
            found = self.replay(len(part), cohort)
        self.left.append(time.perf_counter())
        return [found]

    def replay(self, trials: int, cohort: int) -> Assessed:
        """The first cohort with other objectives."""
        one = self.first
        assert one is not None
        draw = np.random.default_rng(cohort).normal(size=trials)
        states = pl.lit("complete").alias("state")
        table = one.table[:trials].with_columns(states, objective=pl.Series(draw))
        return replace(one, table=table, equity=one.equity[:, :trials])


def study_with(sampler: str, storage: str, trials: int) -> StudyFile:
    """The example study, long enough."""
    raw: dict[str, Any] = load_study_file(EXAMPLE).model_dump(exclude_unset=True)
    raw["study"] |= {"trials": trials, "cohort": COHORT}
    several = sampler in ("nsga2", "nsga3")
    raw["tuning"] = {"sampler": sampler, "storage": storage}
    raw["tuning"] |= {"also": ["turnover"]} if several else {}
    raw.pop("audit", None)
    return parse_study(raw)


def begin_at_random(run: Run, study: StudyFile, executor: Replayed, cohorts: int) -> None:
    """Commit cohorts that were drawn at random, as if the study had been carried out so far."""
    seed = study.study.seed
    strategy = OptunaStrategy(study.search, seed=seed, sampler="random", cohort=COHORT * cohorts)
    asked = strategy.ask(COHORT * cohorts)
    executor.assess([[each.params for each in asked[:COHORT]]], 0, [])
    for cohort in range(cohorts):
        found = executor.replay(COHORT, cohort)
        own = named_rows(asked[cohort * COHORT : (cohort + 1) * COHORT], cohort, study)
        run.commit_cohort(cohort, pl.concat([own, found.table], how="horizontal"), found.equity)


def measure(sampler: str, finished: int, storage: str) -> dict[str, Any]:
    """Seconds a cohort at the end of the search, beside those of training one."""
    carried_on = sampler in CARRIED_ON
    measured = CARRIED_ON[sampler][1] if carried_on else MEASURED
    before = finished // COHORT + (finished % COHORT > 0)
    study = study_with(sampler, storage, (before + measured + 1) * COHORT)
    bars = load.load_bars(study.data, EXAMPLE.parent)
    executor = Replayed(assessor_for(study, align.to_panel(bars)), before)
    asking: list[float] = []

    def note(event: events.Event) -> None:
        if isinstance(event, events.CohortFinished):
            asking.append(event.asking_seconds)

    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "runs" / sampler, study, bars, origin=None)
        with run.locked():
            if carried_on:
                begin_at_random(run, study, executor, before)
                executor.entered.clear()
                executor.left.clear()
            Campaign(run, executor.assessor, executor, events.EventBus([note])).carry_out()
    gaps = [
        enter - left for enter, left in zip(executor.entered[1:], executor.left[:-1], strict=True)
    ]
    training = statistics.median(executor.training[1:])  # the first one may have compiled
    own = statistics.median(gaps[-measured:])
    row = {
        "sampler": sampler,
        "storage": storage.partition(":")[0],
        "finished": before * COHORT,
        "asking_seconds": statistics.median(asking[-measured:]),
        "orchestration_seconds": own,
        "training_seconds": training,
    }
    return row | {"share": share(row, training)}


def share(row: dict[str, Any], training: float) -> float:
    """The search's part of wall time where a cohort trains for so many seconds."""
    own: float = row["orchestration_seconds"]
    return own / (own + training)


def table(document: dict[str, Any]) -> str:
    """The rows in Markdown, as the page on tuning shows them."""
    lines = [
        f"| sampler | storage | finished trials | asking | all | training | share | of {CALM} s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['sampler']} | {row['storage']} | {row['finished']:,} | "
        f"{row['asking_seconds']:.3f} | {row['orchestration_seconds']:.3f} | "
        f"{row['training_seconds']:.2f} | {row['share']:.1%} | {share(row, CALM):.1%} |"
        for row in document["rows"]
    ]
    return "\n".join(lines)


def _key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["sampler"], row["storage"], row["finished"]


def _place(key: tuple[str, str, int]) -> tuple[int, str, int]:
    sampler, storage, finished = key
    return (*LIVED, *CARRIED_ON).index(sampler), storage, finished


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--samplers", nargs="+", default=(*LIVED, *CARRIED_ON))
    parser.add_argument("--finished", nargs="+", type=int)
    parser.add_argument("--storage", default="journal", help="as tuning.storage")
    given = parser.parse_args(arguments)
    devices.configure_cpu()
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    if given.json and given.json.exists():  # others stay as they were measured
        kept = json.loads(given.json.read_text(encoding="utf-8"))["rows"]
        rows = {_key(row): row for row in kept}
    for sampler in given.samplers:
        for finished in given.finished or CARRIED_ON.get(sampler, (FINISHED, 0))[0]:
            row = measure(sampler, finished, given.storage)
            rows[_key(row)] = row
            print(
                {
                    key: round(value, 4) if isinstance(value, float) else value
                    for key, value in row.items()
                },
                flush=True,
            )
            if given.json:
                document = {
                    "cohort": COHORT,
                    "machine": environment.describe(),
                    "rows": [rows[key] for key in sorted(rows, key=_place)],
                }
                text = json.dumps(document, indent=1) + "\n"
                given.json.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
