"""Carries a study out on a local Ray with two workers, one of which it kills; a process apart.

``python ray_driver.py FOLDER``: reads FOLDER/study.toml, leaves the run below FOLDER/runs.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

from windtunnel import events
from windtunnel.assessor import assessor_for
from windtunnel.campaign import Campaign
from windtunnel.config import load_study_file
from windtunnel.data import align, load
from windtunnel.executors import _in_worker
from windtunnel.ray_workers import RayWorkers
from windtunnel.runs import Run


def main(folder: Path) -> None:
    study = load_study_file(folder / "study.toml")
    bars = load.load_bars(study.data, folder)
    run = Run.create(folder / "runs" / "searched", study, bars, origin=None)
    assessor = assessor_for(study, align.to_panel(bars))
    killed: list[int] = []
    with RayWorkers(
        partial(_in_worker, study, bars), 2, None, folder / "tune", grace=20.0, patience=100.0
    ) as workers:

        def kill_one(event: events.Event) -> None:
            if isinstance(event, events.CohortFinished) and not killed:
                killed.append(next(iter(workers.pids().values())))
                os.kill(killed[0], signal.SIGKILL)

        with run.locked():
            Campaign(run, assessor, workers, events.EventBus([kill_one])).carry_out()
    assert killed


if __name__ == "__main__":
    main(Path(sys.argv[1]))
