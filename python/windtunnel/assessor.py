"""Who takes configurations from parameters to a row of the trial table, in whatever process.

Values that change the labels make buckets: each has a pipeline of its own, made when it is
first needed and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from windtunnel.config import StudyFile
from windtunnel.config.bucket import Key, bucket_key, in_bucket, lanes_by_bucket
from windtunnel.course import Course, prepare
from windtunnel.data.panel import Panel
from windtunnel.rungs import Assessed, Ladder, assess
from windtunnel.trainers.own import own_trainer
from windtunnel.tuning.pruners import Reports, bracket, make_pruner, rung_steps
from windtunnel.validation import Params, Pipeline

Past = Sequence[tuple[bool, Reports]]


@dataclass
class Assessor:
    """Assesses parts of cohorts of one study.

    Attributes
    ----------
    panel : Panel
    course : Course
        That of the study as it stands in its file.
    make : callable
        A pipeline for a course's folds, from the course.
    """

    panel: Panel
    course: Course
    make: Callable[[Course], Pipeline]
    _pipelines: dict[Key, Pipeline] = field(default_factory=dict)

    @property
    def study(self) -> StudyFile:
        """The study as it stands in its file."""
        return self.course.study

    def pipeline(self, params: Params) -> Pipeline:
        """The pipeline of the bucket to which a configuration belongs."""
        key = bucket_key(params)
        if key not in self._pipelines:
            self._pipelines[key] = self.make(self.course_of(params))
        return self._pipelines[key]

    def course_of(self, params: Params) -> Course:
        """The course of the bucket to which a configuration belongs."""
        study = in_bucket(self.study, params)
        return self.course if study is self.study else prepare(study, self.panel)

    def assess(self, params: Sequence[Params], cohort: int, past: Past) -> Assessed:
        """Train, prune and measure a part of cohort number `cohort`; `past` as in `Ladder`."""
        buckets = [(self.pipeline(params[own[0]]), own) for own in lanes_by_bucket(params)]
        return assess(buckets, params, self._ladder(buckets[0][0], cohort, past))

    def _ladder(self, pipeline: Pipeline, cohort: int, past: Past) -> Ladder | None:
        section = self.study.tuning
        if section.pruner == "none":
            return None
        steps = rung_steps(pipeline.trainer.steps, section.rungs, section.reduction)
        return Ladder(
            bracket(steps, section.pruner, cohort),
            make_pruner(section.pruner, reduction=section.reduction, percentile=section.percentile),
            past,
        )


def assessor_for(study: StudyFile, panel: Panel, course: Course | None = None) -> Assessor:
    """The assessor of a study on its bars, with the trainer that it asks for."""

    def make(bucket: Course) -> Pipeline:
        return Pipeline(bucket, own_trainer(bucket.task, bucket.study, study.study.seed))

    return Assessor(panel, course or prepare(study, panel), make)
