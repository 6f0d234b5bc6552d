"""What Optuna's samplers look up in all finished trials, kept up to date instead.

At 10,000 trials a look through all of them costs milliseconds, and Optuna's samplers take
several at every trial that is asked for. Between the trials of a cohort nothing is finished,
so one look at what is new does for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial


class Finished:
    """The complete trials of a study that is asked and told in whole cohorts.

    Attributes
    ----------
    complete : list of FrozenTrial
        In order of number.
    space : dict of str to BaseDistribution
        Dimensions that every complete trial has, in alphabetical order: Optuna's
        `IntersectionSearchSpace`.
    """

    def __init__(self) -> None:
        self.complete: list[FrozenTrial] = []
        self.space: dict[str, BaseDistribution] = {}
        self._taken = 0

    def take(self, study: Study) -> Sequence[FrozenTrial]:
        """Take in the cohorts told since, and return their complete trials."""
        trials = study.get_trials(deepcopy=False)
        new = []
        while self._taken < len(trials) and (trial := trials[self._taken]).state.is_finished():
            self._taken += 1
            if trial.state == TrialState.COMPLETE:
                self._narrow(trial)
                self.complete.append(trial)
                new.append(trial)
        return new

    def _narrow(self, trial: FrozenTrial) -> None:
        if not self.complete:
            self.space = dict(sorted(trial.distributions.items()))
        elif any(trial.distributions.get(name) != kind for name, kind in self.space.items()):
            self.space = {
                name: kind
                for name, kind in self.space.items()
                if trial.distributions.get(name) == kind
            }
