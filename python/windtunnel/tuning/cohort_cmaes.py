"""Optuna's CMA-ES, which learns from a generation once instead of at every trial.

It draws what Optuna's draws. For every trial that is asked for, Optuna's goes through all
finished ones, reads the state of the search back from them, and tells it the last generation
anew; within a cohort the outcome is always the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution
from optuna.samplers import CmaEsSampler

from windtunnel.tuning.finished import Finished

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial


class Evolution:
    """What a CMA-ES search remembers from cohort to cohort.

    Attributes
    ----------
    finished : Finished
    solutions : dict of int to list of FrozenTrial
        Complete trials by generation, in order of number.
    learnt : dict of int to int
        By trial of a cohort that was drawn from a new generation: the number of the cohort's
        first trial, which keeps what was learnt.
    keeper : FrozenTrial or None
        The trial that keeps what was learnt last. It counts once a trial drawn from it is
        complete, as it does with Optuna, where every such trial keeps it.
    """

    def __init__(self) -> None:
        self.finished = Finished()
        self.solutions: dict[int, list[FrozenTrial]] = {}
        self.learnt: dict[int, int] = {}
        self.keeper: FrozenTrial | None = None

    def take(self, study: Study, generation_key: str) -> None:
        """Take in the cohorts told since."""
        keeper = None
        for trial in self.finished.take(study):
            generation = trial.system_attrs.get(generation_key, -1)
            self.solutions.setdefault(generation, []).append(trial)
            keeper = self.learnt.pop(trial.number, keeper)
        if keeper is not None:
            self.keeper = study.get_trials(deepcopy=False)[keeper]


class CohortCmaEsSampler(CmaEsSampler):
    """CMA-ES for one cohort of a study.

    Parameters
    ----------
    evolution : Evolution
        The study's.
    seed, popsize : int
    """

    def __init__(self, evolution: Evolution, *, seed: int, popsize: int) -> None:
        super().__init__(seed=seed, popsize=popsize, warn_independent_sampling=False)
        self._evolution = evolution
        self._taken = False
        # As the cohort's first trial left it; where that told it a generation, the number of
        # that trial.
        self._optimizer: Any = None
        self._before = 0  # its generation before that
        self._learnt: int | None = None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Numbers that all complete trials have, and that have more than one value."""
        del trial
        if not self._taken:
            self._evolution.take(study, self._attr_key_generation)
            self._taken = True
        return {
            name: kind
            for name, kind in self._evolution.finished.space.items()
            if not isinstance(kind, CategoricalDistribution) and not kind.single()
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw from the generation that the cohort's first trial was drawn from."""
        first = self._optimizer is None
        drawn = super().sample_relative(study, trial, search_space)
        if first and self._optimizer is not None and self._optimizer.generation != self._before:
            self._learnt = trial.number
        if self._learnt is not None:
            self._evolution.learnt[trial.number] = self._learnt
        return drawn

    def _get_trials(self, study: Study) -> list[FrozenTrial]:
        del study
        return self._evolution.finished.complete

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        del completed_trials
        keeper = self._evolution.keeper
        if keeper is None:
            return None  # `_init_optimizer` comes next
        if self._optimizer is None:
            self._keep(super()._restore_optimizer([keeper]))
        return self._optimizer

    def _init_optimizer(self, trans: Any, direction: StudyDirection) -> Any:
        fresh = super()._init_optimizer(trans, direction)  # draws a number, each time
        if self._optimizer is None:
            self._keep(fresh)
        return self._optimizer

    def _keep(self, optimizer: Any) -> None:
        self._optimizer, self._before = optimizer, optimizer.generation

    def _get_solution_trials(self, trials: list[FrozenTrial], generation: int) -> list[FrozenTrial]:
        del trials
        return self._evolution.solutions.get(generation, [])
