"""A small study on the bundled prices, as far as an assessor, for tests of the search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from windtunnel.assessor import Assessor
from windtunnel.config import StudyFile, parse_study
from windtunnel.course import prepare
from windtunnel.data import align, load
from windtunnel.trainers.own import own_trainer
from windtunnel.validation import Pipeline

RAW: dict[str, Any] = {
    "study": {"name": "searched", "trials": 16, "cohort": 8},
    "data": {"source": "sample:us_equities_1d", "symbols": ["AAPL", "IBM"]},
    "features": {"use": ["return_1", "return_5", "rsi_14"]},
    "validation": {"folds": 2, "train_bars": 500, "holdout_bars": 252},
    "model": {"hidden": [4]},
    "training": {"steps": 16, "batch_size": 64},
    "search": {
        "training.learning_rate": {"low": 1e-3, "high": 3e-2, "log": True},
        "policy.enter": {"low": 0.0, "high": 0.05},
    },
}


def _study_of(**tables: dict[str, Any]) -> StudyFile:
    merged = {name: {**RAW.get(name, {}), **new} for name, new in tables.items()}
    return parse_study({**RAW, **merged})


def _assessor_of(study: StudyFile) -> Assessor:
    panel = align.to_panel(load.load_bars(study.data, Path()))
    return Assessor(
        panel,
        prepare(study, panel),
        lambda course: Pipeline(course, own_trainer(course.task, course.study, study.study.seed)),
    )


@pytest.fixture(scope="session")
def study_of() -> Callable[..., StudyFile]:
    """The study with these tables, each merged into its own."""
    return _study_of


@pytest.fixture(scope="session")
def assessor_of() -> Callable[[StudyFile], Assessor]:
    """An assessor as a run makes it."""
    return _assessor_of
