"""Supervised training of cohorts: checks, scalers and reports around the population program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import numpy.typing as npt

from windtunnel.errors import StudyFileError
from windtunnel.models.factory import create
from windtunnel.protocols import CohortFit, FittedModels, TrainingTask
from windtunnel.trainers.base import check_hyper, check_task, usable_rows
from windtunnel.trainers.population import Population
from windtunnel.trainers.program import LANES, Data, Hyper, Shape, Trained

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection, TrainingSection

Float32Array = npt.NDArray[np.float32]


class SupervisedTrainer:
    """Trains configurations of one model on one task; a `windtunnel.protocols.Trainer`.

    Parameters
    ----------
    task : TrainingTask
        Features, labels, folds. Copied to the devices once.
    model : ModelSection
        Family and shape of the network.
    training : TrainingSection
        Steps, batch size and seeds; its searchable fields are ignored, `fit` is given them.
    seed : int
        Seed of initial weights, minibatches and dropout.
    devices : sequence of jax devices, optional
        All local ones by default. Without influence on the result.
    lanes : int, optional
        Configurations computed side by side on a device; the default was measured.

    Raises
    ------
    TrainingError
        The task breaks a rule of its docstring.
    SplitError
        A fold has no row to train on.
    StudyFileError
        The model family is unknown, or its module breaks the contract of families.
    """

    def __init__(
        self,
        task: TrainingTask,
        model: ModelSection,
        training: TrainingSection,
        seed: int,
        *,
        devices: Sequence[Any] | None = None,
        lanes: int = LANES,
    ) -> None:
        check_task(task)
        bars, instruments, features = task.features.shape
        rows = usable_rows(task)
        self.task = task
        self.model = model
        self.module = create(model)
        _check_module(self.module, model.family, features)

        flat = task.features.reshape(bars * instruments, features)
        scalers = [fit_scaler(flat[chosen]) for chosen in rows]
        self.mean = np.stack([mean for mean, _ in scalers])
        self.scale = np.stack([scale for _, scale in scalers])
        table = np.zeros((len(rows), max(map(len, rows))), np.int32)
        for fold, chosen in enumerate(rows):
            table[fold, : len(chosen)] = chosen
        validated = np.stack([task.features[start:stop] for start, stop in task.validation])
        self._scorable = np.isfinite(validated).all(axis=-1).reshape(len(rows), -1)
        self._population = Population(
            self.module,
            Data(
                features=flat,
                labels=task.labels.reshape(-1),
                rows=table,
                counts=np.array([len(chosen) for chosen in rows], np.int32),
                mean=self.mean,
                scale=self.scale,
                first=np.array([first * instruments for first, _ in task.validation], np.int32),
                seed=np.int32(seed),
            ),
            Shape(
                kind=task.kind,
                steps=training.steps,
                batch_size=training.batch_size,
                seeds=training.seeds,
                validation_rows=self._scorable.shape[1],
                lanes=lanes,
            ),
            list(devices) if devices is not None else jax.local_devices(),
        )

    @property
    def compilations(self) -> tuple[tuple[int, float], ...]:
        """(lanes, seconds) of every program compiled so far, or read from the cache."""
        return tuple(self._population.compilations)

    def fit(self, hyper: Mapping[str, npt.ArrayLike], *, keep_models: bool = False) -> CohortFit:
        """Train C configurations on all folds and score the validation slices.

        A configuration's numbers are the same bit for bit whatever else is in the cohort,
        however large it is and wherever in it the configuration stands.

        Parameters
        ----------
        hyper : mapping of str to (C,) array
            learning_rate (peak of the schedule), weight_decay, dropout, label_smoothing.
        keep_models : bool
            Return parameters and scalers as well.

        Raises
        ------
        TrainingError
            A hyperparameter is missing, unknown or out of range.
        """
        trained = self._population.train(Hyper(**check_hyper(hyper)), keep=keep_models)
        scores = self._arrange(trained.scores)
        failures = self._failures(trained)
        scores[:, :, list(failures)] = np.nan
        models = None
        if keep_models:
            first = jax.tree.map(lambda leaf: np.moveaxis(leaf, 2, 0), trained.params)
            models = FittedModels(first, self.mean, self.scale)
        return CohortFit(scores, trained.loss.mean(axis=1).T, failures, models)

    def _arrange(self, scores: Float32Array) -> Float32Array:
        """From (K, C, V*N) to (K*V, N, C)."""
        folds, cohort, _ = scores.shape
        instruments = self.task.features.shape[1]
        by_row = np.ascontiguousarray(scores.transpose(0, 2, 1))
        return by_row.reshape(folds * by_row.shape[1] // instruments, instruments, cohort)

    def _failures(self, trained: Trained) -> dict[int, str]:
        """Lane and reason of every configuration that is not finite throughout."""
        bad_scores = (~np.isfinite(trained.scores) & self._scorable[:, None]).any(axis=-1)
        bad = (trained.failed_at >= 0) | ~trained.finite
        reasons: dict[int, str] = {}
        for lane in np.flatnonzero(bad.any(axis=(0, 1)) | bad_scores.any(axis=0)):
            fold = int(np.argmax(bad[:, :, lane].any(axis=1) | bad_scores[:, lane]))
            place = f"trial lane {lane}, fold {fold}"
            if not bad[fold, :, lane].any():
                reasons[int(lane)] = f"{place}: scores on the validation slice are not finite"
                continue
            model = int(np.argmax(bad[fold, :, lane]))
            if trained.failed_at.shape[1] > 1:
                place += f", seed {model}"
            step, loss = trained.failed_at[fold, model, lane], trained.loss[fold, model, lane]
            reasons[int(lane)] = (
                f"{place}: loss became non-finite at step {step}"
                if step >= 0
                else f"{place}: parameters became non-finite at the last step (final loss {loss:g})"
            )
        return reasons


def fit_scaler(rows: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Mean and standard deviation (F,) of training rows (rows, F), as float32.

    Computed in float64. A feature that does not vary within float32's resolution gets
    scale 1, so that it enters the network as zero instead of as magnified rounding.
    """
    wide = rows.astype(np.float64)
    mean = wide.mean(axis=0)
    scale = wide.std(axis=0)
    resolution = np.finfo(np.float32)
    flat = scale <= np.maximum(resolution.eps * np.abs(mean), resolution.tiny)
    return mean.astype(np.float32), np.where(flat, 1.0, scale).astype(np.float32)


def _check_module(module: Any, family: str, features: int) -> None:
    """Hold a module to the contract of families, by shapes alone."""
    rows = 3
    units = getattr(module, "masked_units", None)
    if not isinstance(units, int) or units < 0:
        raise StudyFileError(
            f"model family {family!r}: masked_units must be a count of hidden units, got {units!r}",
            "Give the module a property that says how many columns of dropout bits it wants",
        )
    x = np.zeros((rows, features), np.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    if set(variables) != {"params"}:
        raise StudyFileError(
            f"model family {family!r}: variables must be parameters only, got {sorted(variables)}",
            "Leave out batch statistics and other state: a score depends on its own row alone",
        )
    bits = np.zeros((rows, units), np.uint8) if units else None
    logits = jax.eval_shape(module.apply, variables, x, np.float32(0), bits)
    if logits.shape != (rows,) or logits.dtype != np.float32:
        raise StudyFileError(
            f"model family {family!r}: must return float32 logits of shape (rows,), got "
            f"{logits.dtype} {logits.shape} for {rows} rows",
            "Drop the last axis of the head, for example with [:, 0]",
        )
