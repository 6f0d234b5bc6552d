"""What a part and a trial cost on Ray beside their training: two local workers that train nothing.

``python scripts/ray_cost.py`` prints the seconds until the first part came back, and then the
milliseconds of a part and of a trial, for parts of 1 and of 16 trials, each with equity curves
of 2,000 bars to carry.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from windtunnel.assessor import Past
from windtunnel.ray_workers import RayWorkers
from windtunnel.rungs import Assessed
from windtunnel.validation import Params

BARS, PARTS, COHORTS = 2000, 8, 20


class Idle:
    """An assessor that knows every answer."""

    def assess(self, params: Sequence[Params], cohort: int, past: Past) -> Assessed:
        """A table of 30 metrics and a curve a trial."""
        del cohort, past
        metrics = {f"metric_{at}": np.zeros(len(params)) for at in range(30)}
        return Assessed(pl.DataFrame(metrics), np.ones((BARS, len(params))), (len(params),), ())


def main() -> None:
    """Measure and print."""
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        RayWorkers(Idle, 2, None, Path(folder)) as workers,  # type: ignore[arg-type]
    ):
        workers.assess([[{}]] * 2, 0, [])
        print(f"first parts back after {time.perf_counter() - began:.1f} s")
        for trials in (1, 16):
            parts = [[{"training.dropout": 0.1}] * trials] * PARTS
            began = time.perf_counter()
            for cohort in range(COHORTS):
                workers.assess(parts, cohort, [])
            spent = 1e3 * (time.perf_counter() - began) / COHORTS
            print(
                f"parts of {trials}: {spent:.1f} ms a cohort of {PARTS} parts, "
                f"{spent / PARTS:.1f} ms a part, {spent / PARTS / trials:.2f} ms a trial"
            )


if __name__ == "__main__":
    main()
