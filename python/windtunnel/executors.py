"""Who assesses the parts of a cohort, as the study file has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import polars as pl

from windtunnel.assessor import Assessor, assessor_for
from windtunnel.campaign import Executor, InProcess
from windtunnel.config import StudyFile
from windtunnel.data import align
from windtunnel.ray_workers import RayWorkers
from windtunnel.runs import Run
from windtunnel.shared_parts import SharedParts
from windtunnel.trainers import devices


@contextlib.contextmanager
def executor_of(run: Run, assessor: Assessor) -> Iterator[Executor]:
    """The study's executor, for as long as its search takes."""
    section = assessor.study.tuning
    shared = SharedParts(run, assessor)
    if section.executor == "ray":
        shared.clear()  # what an earlier attempt shared out here
        bars = pl.read_parquet(run.path / "bars.parquet")
        make = partial(_in_worker, assessor.study, bars)
        folder = run.path.parent / f".{run.id}.ray"
        with RayWorkers(make, section.workers, section.ray_address, folder) as workers:
            yield workers
    elif section.parts > 1:
        yield shared
        shared.clear()
    else:
        yield InProcess(assessor)


def _in_worker(study: StudyFile, bars: pl.DataFrame) -> Assessor:
    """Make a worker's assessor, on whatever machine it is."""
    devices.configure_cpu()
    return assessor_for(study, align.to_panel(bars))
