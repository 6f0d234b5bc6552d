"""Optuna's NSGA-II and NSGA-III, asked a cohort at a time.

They draw what Optuna's draw. For every trial that is asked for, Optuna's go through all finished
ones to find the generation, its parents and the common dimensions; here that is remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseGASampler, NSGAIIISampler, NSGAIISampler

from windtunnel.tuning.finished import Finished

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial


class Generations:
    """The generations of a study, over all of its cohorts.

    Attributes
    ----------
    size : int
        Complete trials that make a generation.
    space : dict of str to BaseDistribution
        Dimensions that all complete trials have.
    parents : dict of int to list of FrozenTrial
        By generation, in order of number.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.parents: dict[int, list[FrozenTrial]] = {}
        self._finished = Finished()
        self._of: dict[int, int] = {}
        self._members: dict[int, list[FrozenTrial]] = {}

    @property
    def space(self) -> dict[str, BaseDistribution]:
        """Dimensions that all complete trials have."""
        return self._finished.space

    def take(self, study: Study) -> None:
        """Take in the cohorts told since."""
        for trial in self._finished.take(study):
            self._members.setdefault(self._of[trial.number], []).append(trial)

    def members(self, generation: int) -> list[FrozenTrial]:
        """Complete trials of a generation, in order of number."""
        return list(self._members.get(generation, ()))

    def of(self, number: int) -> int:
        """The generation of a trial; of one that is new, the one that is not yet full."""
        if number not in self._of:
            latest = max(self._members, default=0)
            full = len(self._members.get(latest, ())) >= self.size
            self._of[number] = latest + full
        return self._of[number]


class _OfCohort(BaseGASampler):
    """Looks up in `Generations` what Optuna's samplers look up in all trials."""

    generations: Generations
    _taken = False

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Dimensions that all complete trials have, and that have more than one value."""
        del trial
        if not self._taken:
            self.generations.take(study)
            self._taken = True
        return {name: kind for name, kind in self.generations.space.items() if not kind.single()}

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        """The generation of a trial."""
        del study
        return self.generations.of(trial.number)

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """Complete trials of a generation."""
        del study
        return self.generations.members(generation)

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """Parents of a generation: as they were selected the first time, by number from then on.

        Draws depend on that order, and it is Optuna's.
        """
        if generation == 0:
            return []
        known = self.generations.parents
        if generation in known:
            return known[generation]
        selected = self.select_parent(study, generation)
        known[generation] = sorted(selected, key=lambda trial: trial.number)
        return selected


class CohortNSGAIISampler(_OfCohort, NSGAIISampler):
    """NSGA-II for one cohort of a study."""

    def __init__(self, generations: Generations, *, seed: int, **options: Any) -> None:
        super().__init__(seed=seed, population_size=generations.size, **options)
        self.generations = generations


class CohortNSGAIIISampler(_OfCohort, NSGAIIISampler):
    """NSGA-III for one cohort of a study."""

    def __init__(self, generations: Generations, *, seed: int, **options: Any) -> None:
        super().__init__(seed=seed, population_size=generations.size, **options)
        self.generations = generations
