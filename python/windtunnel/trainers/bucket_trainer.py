"""Cohorts whose configurations differ in shape: one program a shape, one result a cohort.

What changes no shape (learning rate, dropout, ...) is an argument of a program; what does
(family, width, depth, window) is a bucket with a program of its own. Each bucket is a
trainer; the cohort is parted among them and put together again, lane by lane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from windtunnel.config.model import MODEL_SEARCHABLE
from windtunnel.errors import StudyFileError, TrainingError
from windtunnel.models.factory import families
from windtunnel.protocols import CohortFit, FittedModel, Progress, Trainer, TrainingTask
from windtunnel.trainers.base import own_progress
from windtunnel.trainers.boosted_trainer import BoostedTrainer
from windtunnel.trainers.hyper import check_hyper
from windtunnel.trainers.memory import SHARE_OF_FREE, available
from windtunnel.trainers.population import Compilation
from windtunnel.trainers.supervised_trainer import SupervisedTrainer

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection, TrainingSection

# What `hyper` may hold beside what a single program takes.
SHAPING = tuple(f"model.{name}" for name in MODEL_SEARCHABLE)
Bucket: TypeAlias = tuple[Any, ...]  # values of SHAPING, None where the study's own is meant


@dataclass(frozen=True)
class Parted:
    """A cohort in its buckets, between two stretches; a `windtunnel.protocols.Progress`.

    Attributes
    ----------
    buckets : tuple of Bucket
        Of each configuration.
    parts : dict of Bucket to Progress
        Each holds its configurations in the cohort's order.
    step : int
        Steps made.
    """

    buckets: tuple[Bucket, ...]
    parts: Mapping[Bucket, Progress]
    step: int

    def __len__(self) -> int:
        """Configurations."""
        return len(self.buckets)

    def pick(self, lanes: Sequence[int]) -> Parted:
        """These configurations alone, in this order."""
        chosen = tuple(self.buckets[lane] for lane in lanes)
        parts = {}
        for bucket in dict.fromkeys(chosen):
            place = {lane: at for at, lane in enumerate(_lanes_of(self.buckets, bucket))}
            own = [place[lane] for lane in lanes if self.buckets[lane] == bucket]
            parts[bucket] = self.parts[bucket].pick(own)
        return Parted(chosen, parts, self.step)


class BucketTrainer:
    """Trains configurations of several shapes on one task; a `windtunnel.protocols.Trainer`.

    Parameters
    ----------
    task, model, training, seed
        As of `SupervisedTrainer`; `model` says what `hyper` leaves out.
    memory : int, optional
        Bytes that the process may take, all buckets together.

    Notes
    -----
    Buckets are made when a configuration first asks for them, and stay.
    """

    def __init__(
        self,
        task: TrainingTask,
        model: ModelSection,
        training: TrainingSection,
        seed: int,
        *,
        memory: int | None = None,
    ) -> None:
        self.task = task
        self.model = model
        self.training = training
        self.seed = seed
        if memory is None and training.memory_budget_mib is not None:
            memory = training.memory_budget_mib * 2**20
        self._memory = memory if memory is not None else int(available() * SHARE_OF_FREE)
        self._trainers: dict[Bucket, SupervisedTrainer | BoostedTrainer] = {}

    @property
    def steps(self) -> int:
        """Steps of a whole training."""
        return self.training.steps

    @property
    def compilations(self) -> tuple[Compilation, ...]:
        """Every program compiled so far, or read from the cache, bucket after bucket."""
        return tuple(each for one in self._programs() for each in one.compilations)

    @property
    def buckets(self) -> tuple[ModelSection, ...]:
        """The shapes met so far."""
        return tuple(trainer.model for trainer in self._trainers.values())

    def fit(self, hyper: Mapping[str, Any], *, keep_models: bool = False) -> CohortFit:
        """Train C configurations on all folds and score the validation slices.

        Parameters
        ----------
        hyper : mapping of str to (C,) array
            As `SupervisedTrainer.fit`, and any of `SHAPING`; None stands for the study's own.
        keep_models : bool
            Return parameters and scalers as well.

        Raises
        ------
        TrainingError
            A hyperparameter is missing, unknown or out of range, a family is unknown, or a size
            is no whole number.
        StudyFileError
            A shape breaks the rules of `[model]` or of its family.
        """
        buckets, plain = self._part(hyper)
        fits = {
            bucket: self._trainer(bucket).fit(own, keep_models=keep_models)
            for bucket, own in _by_bucket(buckets, plain).items()
        }
        return self._join(buckets, fits)

    def start(self, hyper: Mapping[str, Any]) -> Parted:
        """Begin a cohort that is trained in stretches; `hyper` as in `fit`."""
        buckets, plain = self._part(hyper)
        parts = {
            bucket: self._trainer(bucket).start(own)
            for bucket, own in _by_bucket(buckets, plain).items()
        }
        return Parted(buckets, parts, 0)

    def advance(
        self, progress: Progress, step: int, *, keep_models: bool = False
    ) -> tuple[Parted, CohortFit]:
        """Train a cohort on until `step` steps are made; as `SupervisedTrainer.advance`."""
        own = own_progress(progress, Parted, step, self.steps)
        parts, fits = {}, {}
        for bucket, part in own.parts.items():
            parts[bucket], fits[bucket] = self._trainer(bucket).advance(
                part, step, keep_models=keep_models
            )
        return Parted(own.buckets, parts, step), self._join(own.buckets, fits)

    def _trainer(self, bucket: Bucket) -> Trainer:
        if bucket not in self._trainers:
            self._trainers[bucket] = self._make(self._shaped(bucket))
        return self._trainers[bucket]

    def _shaped(self, bucket: Bucket) -> ModelSection:
        try:
            return self.model.vary(dict(zip(SHAPING, bucket, strict=True)))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise StudyFileError(
                f"model.{field}: {first['msg']}, got {first['input']!r}",
                "Narrow the search of it",
            ) from None

    def _make(self, model: ModelSection) -> SupervisedTrainer | BoostedTrainer:
        if model.family == "lightgbm":
            return BoostedTrainer(self.task, model, self.training, self.seed)
        taken = sum(each.plan.needs.fixed for each in self._programs())
        return SupervisedTrainer(
            self.task, model, self.training, self.seed, memory=self._memory - taken
        )

    def _part(
        self, hyper: Mapping[str, Any]
    ) -> tuple[tuple[Bucket, ...], dict[str, npt.NDArray[Any]]]:
        """The bucket of every configuration, and what a single program takes."""
        plain = {name: values for name, values in hyper.items() if name not in SHAPING}
        # Before the cohort is parted, so that errors name lanes of the cohort.
        cohort = len(check_hyper(plain, self.task.features.shape[-1])["learning_rate"])
        unset: list[Any] = [None] * cohort
        columns = [
            _column(hyper[name], name, cohort) if name in hyper else unset for name in SHAPING
        ]
        return (
            tuple(zip(*columns, strict=True)),
            {name: np.asarray(values) for name, values in plain.items()},
        )

    def _programs(self) -> list[SupervisedTrainer]:
        """Trainers that compile; trees do not."""
        return [each for each in self._trainers.values() if isinstance(each, SupervisedTrainer)]

    def _join(self, buckets: tuple[Bucket, ...], fits: Mapping[Bucket, CohortFit]) -> CohortFit:
        """Lanes of all buckets in the cohort's order; one bucket is handed on as it is."""
        if len(fits) == 1:
            return next(iter(fits.values()))
        some, cohort = next(iter(fits.values())), len(buckets)
        scores = np.empty((*some.scores.shape[:2], cohort), np.float32)
        loss = np.empty((cohort, some.loss.shape[1]), np.float32)
        failures: dict[int, str] = {}
        models: list[FittedModel | None] = [None] * cohort
        for bucket, fit in fits.items():
            lanes = _lanes_of(buckets, bucket)
            scores[:, :, lanes] = fit.scores
            loss[lanes] = fit.loss
            for at, lane in enumerate(lanes):
                if at in fit.failures:
                    reason = fit.failures[at].removeprefix(f"trial lane {at},")
                    failures[lane] = f"trial lane {lane},{reason}"
                if fit.models is not None:
                    models[lane] = fit.models[at]
        kept = tuple(model for model in models if model is not None)
        return CohortFit(scores, loss, failures, kept if some.models is not None else None)


def _column(values: Any, name: str, cohort: int) -> list[Any]:
    """The values of one of `SHAPING`, as plain text or whole numbers, None left as it is."""
    column = np.asarray(values, object)
    if column.shape != (cohort,):
        raise TrainingError(
            f"hyper[{name!r}]: must have one value for each of {cohort} configurations, got "
            f"{column.size if column.ndim == 1 else f'shape {column.shape}'}",
            "Give None where the study's own is meant",
        )
    read = _family if name == "model.family" else _whole
    return [
        None if value is None else read(value, f"hyper[{name!r}][{lane}]")
        for lane, value in enumerate(column)
    ]


def _family(value: Any, place: str) -> str:
    if not isinstance(value, str) or value not in families():
        raise TrainingError(
            f"{place}: no family is called {str(value)!r}", f"Choose from {', '.join(families())}"
        )
    return str(value)


def _whole(value: Any, place: str) -> int:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not float(value).is_integer():
        raise TrainingError(f"{place}: must be a whole number, got {value!r}", "Give an int")
    return int(value)


def _by_bucket(
    buckets: tuple[Bucket, ...], plain: Mapping[str, npt.NDArray[Any]]
) -> dict[Bucket, dict[str, npt.NDArray[Any]]]:
    """Hyperparameters of each bucket's configurations, in the cohort's order."""
    parts = {}
    for bucket in dict.fromkeys(buckets):
        lanes = _lanes_of(buckets, bucket)
        parts[bucket] = {name: values[lanes] for name, values in plain.items()}
    return parts


def _lanes_of(buckets: tuple[Bucket, ...], bucket: Bucket) -> list[int]:
    return [lane for lane, each in enumerate(buckets) if each == bucket]
