"""Supervised training of cohorts: checks, scalers and reports around the population program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import numpy.typing as npt

from windtunnel.errors import StudyFileError, TrainingError
from windtunnel.models.factory import create
from windtunnel.protocols import CohortFit, FittedModel, Progress, TrainingTask
from windtunnel.trainers.base import check_hyper, check_task, usable_rows
from windtunnel.trainers.memory import Needs
from windtunnel.trainers.memory import plan as memory_plan
from windtunnel.trainers.population import Compilation, Population
from windtunnel.trainers.program import (
    LANES,
    Data,
    Hyper,
    Lane,
    Shape,
    Trained,
    block_length,
    start_lanes,
)

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection, TrainingSection

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Paused:
    """A cohort of `SupervisedTrainer` between two stretches; a `windtunnel.protocols.Progress`.

    Attributes
    ----------
    hyper : Hyper
        Leaves (C, ...) float32.
    step : int
        Steps made.
    state : Lane or None
        NumPy leaves (K, S, C, ...); None before the first step.
    """

    hyper: Hyper
    step: int
    state: Lane | None

    def __len__(self) -> int:
        """Configurations."""
        return len(self.hyper.learning_rate)

    def pick(self, lanes: Sequence[int]) -> Paused:
        """These configurations alone, in this order."""
        chosen = np.asarray(lanes, np.intp)
        return Paused(
            jax.tree.map(lambda leaf: leaf[chosen], self.hyper),
            self.step,
            jax.tree.map(lambda leaf: leaf[:, :, chosen], self.state),
        )


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
    memory : int, optional
        Bytes that the process may take; half of what is free by default. Without influence
        on the result.

    Raises
    ------
    TrainingError
        The task breaks a rule of its docstring, or does not fit into `memory`.
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
        memory: int | None = None,
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
        data = Data(
            features=flat,
            labels=task.labels.reshape(-1),
            rows=table,
            counts=np.array([len(chosen) for chosen in rows], np.int32),
            mean=self.mean,
            scale=self.scale,
            first=np.array([first * instruments for first, _ in task.validation], np.int32),
            seed=np.int32(seed),
        )
        shape = Shape(
            kind=task.kind,
            steps=training.steps,
            batch_size=training.batch_size,
            seeds=training.seeds,
            validation_rows=self._scorable.shape[1],
            lanes=lanes,
        )
        used = list(devices) if devices is not None else jax.local_devices()
        self.plan = memory_plan(
            _needs(self.module, data, shape, len(used)),
            smallest=lanes * len(used),
            budget=memory,
        )
        self._population = Population(self.module, data, shape, used, self.plan.slab)

    @property
    def steps(self) -> int:
        """Steps of a whole training."""
        return self._population.shape.steps

    @property
    def compilations(self) -> tuple[Compilation, ...]:
        """Every program compiled so far, or read from the cache."""
        return tuple(self._population.compilations)

    def fit(self, hyper: Mapping[str, npt.ArrayLike], *, keep_models: bool = False) -> CohortFit:
        """Train C configurations on all folds and score the validation slices.

        A configuration's numbers are the same bit for bit whatever else is in the cohort,
        however large it is and wherever in it the configuration stands.

        Parameters
        ----------
        hyper : mapping of str to (C,) array
            learning_rate (peak of the schedule), weight_decay, dropout, label_smoothing;
            and, if need be, feature_mask (C, F).
        keep_models : bool
            Return parameters and scalers as well.

        Raises
        ------
        TrainingError
            A hyperparameter is missing, unknown or out of range; or the cohort does not fit
            into the memory budget.
        """
        begun = self.start(hyper)
        self.plan.check(len(begun), in_stretches=keep_models)
        _, fit = self._train(begun, self.steps, keep_state=False, keep_models=keep_models)
        return fit

    def start(self, hyper: Mapping[str, npt.ArrayLike]) -> Paused:
        """Begin a cohort that is trained in stretches; `hyper` as in `fit`."""
        features = self.task.features.shape[-1]
        return Paused(Hyper(**check_hyper(hyper, features)), 0, None)

    def advance(
        self, progress: Progress, step: int, *, keep_models: bool = False
    ) -> tuple[Paused, CohortFit]:
        """Train a cohort on until `step` steps are made, and score the validation slices.

        Raises
        ------
        TrainingError
            `progress` is another trainer's; `step` is not beyond it, or beyond the last; or
            the cohort does not fit into the memory budget.
        """
        if not isinstance(progress, Paused):
            raise TrainingError(
                f"progress: must be what `start` or `advance` of this trainer gave, got "
                f"{type(progress).__name__}"
            )
        if not progress.step < step <= self.steps:
            raise TrainingError(
                f"step: must be in ({progress.step}, {self.steps}], got {step}",
                "Give the number of steps made in all, not the number to add",
            )
        self.plan.check(len(progress), in_stretches=True)
        return self._train(progress, step, keep_state=True, keep_models=keep_models)

    def _train(
        self, begun: Paused, step: int, *, keep_state: bool, keep_models: bool
    ) -> tuple[Paused, CohortFit]:
        folds, rows = self._scorable.shape
        instruments = self.task.features.shape[1]
        cohort = len(begun)
        scores = np.empty((folds * rows, cohort), np.float32)
        loss = np.empty((cohort, folds), np.float32)
        failures: dict[int, str] = {}
        states: list[Lane] = []
        models: list[FittedModel] = []
        for lanes, trained in self._population.train(begun.hyper, begun.state, begun.step, step):
            count = lanes.stop - lanes.start
            if keep_state:
                state = self._population.fetch(trained.state, count)
                states.append(state)
            else:
                bare = trained.state._replace(
                    params=trained.state.params if keep_models else None, moments=None
                )
                state = self._population.fetch(bare, count)
            scores[:, lanes] = trained.scores.transpose(0, 2, 1).reshape(folds * rows, count)
            loss[lanes] = state.loss.mean(axis=1).T
            found = self._failures(Trained(state, trained.scores, trained.finite), lanes.start)
            scores[:, list(found)] = np.nan
            failures |= found
            if keep_models:
                models += self._models(state.params, begun.hyper.feature_mask, lanes)
        merged = (
            jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=2), *states)
            if keep_state
            else None
        )
        by_bar = scores.reshape(folds * rows // instruments, instruments, cohort)
        fit = CohortFit(by_bar, loss, failures, tuple(models) if keep_models else None)
        return Paused(begun.hyper, step, merged), fit

    def _models(self, params: Any, mask: Float32Array | None, lanes: slice) -> list[FittedModel]:
        return [
            FittedModel(
                jax.tree.map(lambda leaf, at=lane - lanes.start: leaf[:, :, at], params),
                self.mean,
                self.scale,
                None if mask is None else mask[lane],
            )
            for lane in range(lanes.start, lanes.stop)
        ]

    def _failures(self, trained: Trained, first: int = 0) -> dict[int, str]:
        """Lane, counted from `first`, and reason of every configuration not finite throughout."""
        state = trained.state
        bad_scores = (~np.isfinite(trained.scores) & self._scorable[:, None]).any(axis=-1)
        bad = (state.failed_at >= 0) | ~trained.finite
        reasons: dict[int, str] = {}
        for lane in np.flatnonzero(bad.any(axis=(0, 1)) | bad_scores.any(axis=0)):
            fold = int(np.argmax(bad[:, :, lane].any(axis=1) | bad_scores[:, lane]))
            number = first + int(lane)
            place = f"trial lane {number}, fold {fold}"
            if not bad[fold, :, lane].any():
                reasons[number] = f"{place}: scores on the validation slice are not finite"
                continue
            model = int(np.argmax(bad[fold, :, lane]))
            if state.failed_at.shape[1] > 1:
                place += f", seed {model}"
            step, loss = state.failed_at[fold, model, lane], state.loss[fold, model, lane]
            reasons[number] = (
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


def _needs(module: Any, data: Data, shape: Shape, devices: int) -> Needs:
    """Count the bytes of every array that grows with the data or the cohort."""

    def size(tree: Any) -> int:
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

    state = size(jax.eval_shape(lambda given: start_lanes(module, shape, given, ()), data))
    folds, features = len(data.counts), data.features.shape[1]
    scores = 4 * folds * shape.validation_rows
    units = module.masked_units
    step = shape.batch_size * (4 * features + 4 + units)
    block = block_length(shape, features, units)
    # Forwards, backwards and the scoring of a slice hold each activation a few times over.
    rows = max(shape.batch_size, shape.validation_rows)
    working = 2 * step * block + 4 * shape.lanes * rows * (4 * features + 8 * units + 64)
    return Needs(
        fixed=(devices + 1) * size(data) + devices * working,
        # State goes in and comes out, and is taken home; so do scores, and are turned.
        lane=3 * state + 4 * scores,
        result=scores,
        state=2 * state,
    )
