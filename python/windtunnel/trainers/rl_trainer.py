"""Reinforcement learning of cohorts: policies that learn by trading, with the engine's costs.

A score is the level that the policy decides on, a fraction of the largest exposure that an
instrument may get; `Policies(proportional=True)` trades it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import numpy.typing as npt

from windtunnel.protocols import CohortFit, FittedModel, TrainingTask
from windtunnel.trainers.base import check_task, usable_rows
from windtunnel.trainers.hyper import check_values
from windtunnel.trainers.layout import fit_scaler
from windtunnel.trainers.memory import Needs
from windtunnel.trainers.memory import plan as memory_plan
from windtunnel.trainers.rl import evolution, ppo
from windtunnel.trainers.rl.cohort import Cohort
from windtunnel.trainers.rl.environment import Scale, Tastes, make_table
from windtunnel.trainers.rl.episodes import (
    bar_volatility,
    check_features,
    episode_starts,
    panel_of,
    training_bars,
)
from windtunnel.trainers.rl.program import LANES, Data, Hyper, Plan, start_state
from windtunnel.trainers.rl.rollout import Stage
from windtunnel.trainers.stretches import StretchTrainer

if TYPE_CHECKING:
    from windtunnel.config.rl import RLSection

Float32Array = npt.NDArray[np.float32]

# (smallest, is it allowed, first value that is not), as `[rl]` has them.
RANGES: dict[str, tuple[float, bool, float]] = {
    "learning_rate": (0.0, False, np.inf),
    "weight_decay": (0.0, True, np.inf),
    "discount": (0.0, True, 1.0),
    "gae_lambda": (0.0, True, np.nextafter(1.0, 2.0)),
    "clip": (0.0, False, 1.0),
    "entropy": (0.0, True, np.inf),
    "value": (0.0, True, np.inf),
    "noise": (0.0, False, np.inf),
    "turnover_penalty": (0.0, True, np.inf),
    "drawdown_penalty": (0.0, True, np.inf),
    "leverage": (0.0, False, np.inf),
}


@dataclass(frozen=True)
class Resting:
    """A cohort of `RLTrainer` between two stretches; a `windtunnel.protocols.Progress`.

    Attributes
    ----------
    hyper : Hyper
        Leaves (C, ...) float32.
    step : int
        Updates made.
    state : pytree or None
        Learners, their environments included: NumPy leaves (C, K, S, ...); None before the
        first update.
    """

    hyper: Hyper
    step: int
    state: Any

    def __len__(self) -> int:
        """Configurations."""
        return len(self.hyper.mask)

    def pick(self, lanes: Sequence[int]) -> Resting:
        """These configurations alone, in this order."""
        chosen = np.asarray(lanes, np.intp)
        hyper, state = jax.tree.map(lambda leaf: leaf[chosen], (self.hyper, self.state))
        return Resting(hyper, self.step, state)


class RLTrainer(StretchTrainer[Resting]):
    """Trains policies on one task and lets them trade its validation slices.

    A slice that begins where the one before ended goes on with its account, as the backtest
    does; any other begins flat. A recurrent memory begins anew with each fold. Its
    hyperparameters: the searchable fields of `[rl]`, and leverage.

    Parameters
    ----------
    task : TrainingTask
        With its panel. Labels decide which bars may be learnt from, not what is learnt.
    stage : Stage
        Of `make_stage`: network, actions, costs and execution.
    rl : RLSection
        Its searchable fields are ignored, `fit` is given them.
    seeds : int
        Policies trained a configuration; they decide together, by the mean of their levels.
    seed : int
        Seed of initial weights, episodes and decisions.
    devices, lanes, memory
        As for `SupervisedTrainer`; without influence on the result.

    Raises
    ------
    TrainingError
        The task breaks a rule of its docstring, has no panel or an infinite feature, or its
        prices do not move.
    SplitError
        A fold has no row, or no stretch as long as an episode, to train on.
    """

    progress_type = Resting
    unit = "updates"

    def __init__(
        self,
        task: TrainingTask,
        stage: Stage,
        rl: RLSection,
        *,
        seeds: int,
        seed: int,
        devices: Sequence[Any] | None = None,
        lanes: int = LANES,
        memory: int | None = None,
    ) -> None:
        check_task(task)
        check_features(task.features)
        self.task = task
        self.rl = rl
        self.stage = stage
        self.seeds = seeds
        allowed = training_bars(task)
        starts = episode_starts(allowed, rl.episode_bars)
        self.volatility = bar_volatility(task, allowed)
        flat = task.features.reshape(-1, task.features.shape[2])
        scalers = [fit_scaler(flat[rows.ravel()]) for rows in usable_rows(task)]
        self.mean = np.stack([mean for mean, _ in scalers])
        self.scale = np.stack([scale for _, scale in scalers])
        padded = np.zeros((len(starts), max(map(len, starts))), np.int32)
        for number, found in enumerate(starts):
            padded[number, : len(found)] = found
        bars, fold, anew, afresh = _walk(task.validation)
        panel = panel_of(task)
        known = np.isfinite(task.features).all(axis=2) & panel.listed
        self._defined = np.concatenate([known[first:stop] for first, stop in task.validation])
        used = list(devices) if devices is not None else jax.local_devices()
        data = Data(
            table=make_table(panel, task.features, stage.rules.terms),
            scale=Scale(self.mean, 1 / self.scale, self.volatility),
            starts=padded,
            counts=np.array([len(found) for found in starts], np.int32),
            bars=bars,
            fold=fold,
            anew=anew,
            flat=afresh,
            seed=np.int32(seed),
        )
        self._cohort = Cohort(
            Plan(self.stage, sizes_of(rl), rl.algorithm, seeds, lanes), data, used
        )
        self.plan = memory_plan(
            self._needs(data, len(used)), smallest=lanes * len(used), budget=memory
        )

    @property
    def steps(self) -> int:
        """Updates of a whole training."""
        return self.rl.updates

    @property
    def compilations(self) -> tuple[tuple[str, int, float], ...]:
        """(program, lanes, seconds) of each compiled so far, or read from the cache."""
        return tuple(self._cohort.compilations)

    def start(self, hyper: Mapping[str, npt.ArrayLike]) -> Resting:
        """Begin a cohort that is trained in stretches; `hyper` as in `fit`."""
        features = self.task.features.shape[-1]
        checked = check_values(hyper, RANGES, "rl", features)
        kind = ppo.Settings if self.rl.algorithm == "ppo" else evolution.Settings
        settings = kind(*(checked[name] for name in kind._fields))
        tastes = Tastes(*(checked[name] for name in Tastes._fields))
        everything = np.ones((len(tastes.leverage), features), np.float32)
        mask = checked.get("feature_mask", everything)
        return Resting(Hyper(settings, tastes, mask), 0, None)

    def by_seed(self, hyper: Mapping[str, npt.ArrayLike]) -> Float32Array:
        """Scores (K*V, N, C, S) of each seed's policy alone, on an account of its own."""
        begun = self.start(hyper)
        trained = self._cohort.train(begun.hyper, self._cohort.start(len(begun)), 0, self.steps)
        alone = np.eye(self.seeds, dtype=np.float32)
        levels = self._cohort.decide(begun.hyper, trained.params, alone)
        return np.ascontiguousarray(levels.transpose(1, 3, 0, 2))

    def _train(
        self, begun: Resting, step: int, *, keep_state: bool, keep_models: bool
    ) -> tuple[Resting, CohortFit]:
        together = np.full((1, self.seeds), 1 / self.seeds, np.float32)
        cohort, folds = len(begun), len(self.task.train)
        state = self._cohort.start(cohort) if begun.state is None else begun.state
        scores = np.empty((*self._defined.shape, cohort), np.float32)
        states = []
        for first in range(0, cohort, self.plan.slab):
            lanes = slice(first, min(first + self.plan.slab, cohort))
            own, before = jax.tree.map(lambda leaf, at=lanes: leaf[at], (begun.hyper, state))
            after = self._cohort.train(own, before, begun.step, step)
            levels = self._cohort.decide(own, after.params, together)
            scores[:, :, lanes] = levels[:, :, 0].transpose(1, 2, 0)
            states.append(after)
        merged = jax.tree.map(lambda *leaves: np.concatenate(leaves), *states)
        failures = self._failures(merged, scores)
        scores[:, :, list(failures)] = np.nan
        models = None
        if keep_models:
            volatility = np.broadcast_to(self.volatility[:, None], (folds, self.seeds))
            models = tuple(
                FittedModel(
                    {
                        "policy": jax.tree.map(lambda leaf, at=lane: leaf[at], merged.params),
                        "volatility": volatility,
                    },
                    self.mean,
                    self.scale,
                    begun.hyper.mask[lane],
                )
                for lane in range(cohort)
            )
        fit = CohortFit(scores, merged.loss.mean(axis=2), failures, models)
        return Resting(begun.hyper, step, merged if keep_state else None), fit

    def _failures(self, state: Any, scores: Float32Array) -> dict[int, str]:
        """Lane and reason of every configuration that is not finite throughout."""
        finite = np.stack(
            [
                np.isfinite(leaf).reshape(*leaf.shape[:3], -1).all(axis=3)
                for leaf in jax.tree.leaves(state.params)
            ]
        ).all(axis=0)
        bad = (state.failed_at >= 0) | ~finite
        hollow = (~np.isfinite(scores) & self._defined[:, :, None]).any(axis=(0, 1))
        reasons: dict[int, str] = {}
        for lane in np.flatnonzero(bad.any(axis=(1, 2)) | hollow):
            if not bad[lane].any():
                reasons[int(lane)] = (
                    f"trial lane {lane}: decisions on the validation slices are not finite"
                )
                continue
            fold, seed = (int(i) for i in np.argwhere(bad[lane])[0])
            place = f"trial lane {lane}, fold {fold}, seed {seed}"
            update = int(state.failed_at[lane, fold, seed])
            reasons[int(lane)] = (
                f"{place}: loss became non-finite at update {update}"
                if update >= 0
                else f"{place}: parameters became non-finite at the last update"
            )
        return reasons

    def _needs(self, data: Data, devices: int) -> Needs:
        """Count the bytes of every array that grows with the data or the cohort."""

        def size(tree: Any) -> int:
            return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

        plan, instruments = self._cohort.plan, data.table.shape[1]
        state = size(jax.eval_shape(lambda given: start_state(plan, given), data))
        scores = 4 * self._defined.size
        decisions = plan.sizes.environments * plan.sizes.rollout_bars * instruments
        units = sum(self.stage.module.hidden) * 2 + self.stage.module.memory
        width = data.table.shape[2] + 12
        # A rollout, its order by environment and a minibatch; then activations and gradients.
        working = 4 * plan.lanes * decisions * (3 * width + 4 * units)
        return Needs(
            fixed=(devices + 1) * size(data) + devices * working,
            lane=3 * state + 3 * scores,
            result=scores,
            state=2 * state,
        )


def sizes_of(rl: RLSection) -> ppo.Sizes:
    """Sizes of an update, as `[rl]` has them."""
    return ppo.Sizes(
        environments=rl.environments,
        rollout_bars=rl.rollout_bars,
        episode_rollouts=rl.episode_rollouts,
        updates=rl.updates,
        epochs=rl.epochs,
        minibatches=rl.minibatches,
    )


def _walk(
    validation: tuple[tuple[int, int], ...],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Bars to decide on, whose model decides, where a model takes over, where an account begins."""
    bars = np.concatenate([np.arange(start, stop) for start, stop in validation])
    fold = np.repeat(np.arange(len(validation)), [stop - start for start, stop in validation])
    anew = np.diff(fold, prepend=-1) > 0
    flat = np.diff(bars, prepend=-2) != 1
    return bars.astype(np.int32), fold.astype(np.int32), anew, flat
