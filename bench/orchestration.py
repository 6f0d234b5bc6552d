"""What a search costs beside training: asking, telling, records, ledger and mirror.

``python bench/orchestration.py --json docs/results/orchestration.json`` carries the example
study out with 10,000 trials and more. Its first cohorts are trained, and say how long that
takes; later ones get the results of a trained one with other objectives, so that all that is
left is what the search itself costs. That is measured from the end of one cohort's training to
the beginning of the next one's, and held against the training.
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
from windtunnel.validation import Params

EXAMPLE = Path(__file__).parent.parent / "examples" / "us_equities.toml"
FINISHED, COHORT = 10_000, 64
TRAINED, MEASURED = 6, 8  # cohorts that are trained, and last ones that are measured
SAMPLERS = ("cohort_tpe", "random", "qmc", "nsga2", "cmaes")


@dataclass
class Replayed:
    """Trains the first cohorts, and gives later ones what came of the last of these."""

    assessor: Assessor
    trained: list[Assessed] = field(default_factory=list)
    training: list[float] = field(default_factory=list)
    entered: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)

    def assess(self, parts: Sequence[Sequence[Params]], cohort: int, past: Past) -> list[Assessed]:
        """One part, trained or made up."""
        self.entered.append(time.perf_counter())
        (part,) = parts
        if len(self.trained) < TRAINED:
            self.trained.append(self.assessor.assess(part, cohort, past))
            self.training.append(time.perf_counter() - self.entered[-1])
            found = self.trained[-1]
        else:
            draw = np.random.default_rng(cohort).normal(size=len(part))
            one = self.trained[-1]
            states = pl.lit("complete").alias("state")
            table = one.table[: len(part)].with_columns(states, objective=pl.Series(draw))
            found = replace(one, table=table, equity=one.equity[:, : len(part)])
        self.left.append(time.perf_counter())
        return [found]


def study_with(sampler: str) -> StudyFile:
    """The example study, long enough."""
    raw: dict[str, Any] = load_study_file(EXAMPLE).model_dump(exclude_unset=True)
    cohorts = FINISHED // COHORT + 1 + MEASURED
    raw["study"] |= {"trials": cohorts * COHORT, "cohort": COHORT}
    raw["tuning"] = {"sampler": sampler} | ({"also": ["turnover"]} if sampler == "nsga2" else {})
    raw.pop("audit", None)
    return parse_study(raw)


def measure(sampler: str) -> dict[str, Any]:
    """Seconds a cohort at the end of the search, beside those of training one."""
    study = study_with(sampler)
    bars = load.load_bars(study.data, EXAMPLE.parent)
    executor = Replayed(assessor_for(study, align.to_panel(bars)))
    asking: list[float] = []

    def note(event: events.Event) -> None:
        if isinstance(event, events.CohortFinished):
            asking.append(event.asking_seconds)

    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "runs" / sampler, study, bars, origin=None)
        with run.locked():
            Campaign(run, executor.assessor, executor, events.EventBus([note])).carry_out()
    gaps = [
        enter - left for enter, left in zip(executor.entered[1:], executor.left[:-1], strict=True)
    ]
    training = statistics.median(executor.training[1:])  # the first one compiled
    own = statistics.median(gaps[-MEASURED:])
    return {
        "sampler": sampler,
        "finished": (len(gaps) - MEASURED + 1) * COHORT,
        "asking_seconds": statistics.median(asking[-MEASURED:]),
        "orchestration_seconds": own,
        "orchestration_seconds_at_the_start": statistics.median(gaps[TRAINED : TRAINED + MEASURED]),
        "training_seconds": training,
        "share": own / (own + training),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS)
    given = parser.parse_args(arguments)
    devices.configure_cpu()
    document: dict[str, Any] = {"cohort": COHORT, "machine": environment.describe(), "rows": []}
    if given.json and given.json.exists():  # samplers measured one after the other
        before = json.loads(given.json.read_text(encoding="utf-8"))["rows"]
        document["rows"] = [row for row in before if row["sampler"] not in given.samplers]
    for sampler in given.samplers:
        document["rows"].append(row := measure(sampler))
        print(
            {
                key: round(value, 4) if isinstance(value, float) else value
                for key, value in row.items()
            },
            flush=True,
        )
        if given.json:
            given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
