"""Supervised training of cohorts: checks, scalers and reports around the population program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import numpy.typing as npt

from windtunnel.protocols import CohortFit, FittedModel, TrainingTask
from windtunnel.trainers.arrays import LANES, Hyper, Lane, Trained
from windtunnel.trainers.base import check_task, known_rows
from windtunnel.trainers.devices import choose as choose_devices
from windtunnel.trainers.hyper import check_hyper
from windtunnel.trainers.layout import check_network, lay_out, needs
from windtunnel.trainers.memory import plan as memory_plan
from windtunnel.trainers.population import Compilation, Population
from windtunnel.trainers.scoring import Network
from windtunnel.trainers.stretches import StretchTrainer

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


class SupervisedTrainer(StretchTrainer[Paused]):
    """Trains configurations of one model on one task; a `windtunnel.protocols.Trainer`.

    Its hyperparameters: learning_rate (peak of the schedule), weight_decay, dropout,
    label_smoothing.

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
        Those that `training.device` names by default. Their number has no influence on the
        result.
    lanes : int, optional
        Configurations computed side by side on a device; the default was measured.
    memory : int, optional
        Bytes that the process may take; `training.memory_budget_mib` by default. Without
        influence on the result.

    Raises
    ------
    TrainingError
        The task breaks a rule of its docstring, or does not fit into `memory`.
    SplitError
        A fold has no row to train on.
    StudyFileError
        The model family is unknown, or its module breaks the contract of families.
    """

    progress_type = Paused

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
        self.task = task
        self.model = model
        self.network = Network.build(model, task.kind, long_only=task.long_only)
        check_network(self.network, model.family, task.features.shape[-1])
        known = known_rows(task.features, self.network.window)
        self._scorable = np.stack([known[start:stop].ravel() for start, stop in task.validation])
        data, shape = lay_out(task, self.network, training, seed, lanes)
        self.mean, self.scale = data.mean, data.scale
        used = list(devices) if devices is not None else choose_devices(training.device)
        if memory is None and training.memory_budget_mib is not None:
            memory = training.memory_budget_mib * 2**20
        self.plan = memory_plan(
            needs(self.network, data, shape, len(used)), smallest=lanes * len(used), budget=memory
        )
        self._population = Population(self.network, data, shape, used, self.plan.slab)

    @property
    def steps(self) -> int:
        """Steps of a whole training."""
        return self._population.shape.steps

    @property
    def compilations(self) -> tuple[Compilation, ...]:
        """Every program compiled so far, or read from the cache."""
        return tuple(self._population.compilations)

    def start(self, hyper: Mapping[str, npt.ArrayLike]) -> Paused:
        """Begin a cohort that is trained in stretches; `hyper` as in `fit`."""
        features = self.task.features.shape[-1]
        return Paused(Hyper(**check_hyper(hyper, features)), 0, None)

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
