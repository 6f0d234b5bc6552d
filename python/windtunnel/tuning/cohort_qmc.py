"""Optuna's quasi-random sampler, which goes on in its sequence instead of beginning it anew.

It draws what Optuna's draws. For every trial that is asked for, Optuna's builds the sequence,
winds it forward, and goes through all finished trials for the first one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from optuna.samplers import QMCSampler, RandomSampler
from optuna.trial import TrialState

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial
    from scipy.stats.qmc import Sobol

STARTED = (TrialState.COMPLETE, TrialState.PRUNED)


class SobolSequence:
    """A scrambled Sobol' sequence, and where in it a study stands.

    Attributes
    ----------
    seed : int
        Of the scrambling; the same through the whole study.
    space : dict of str to BaseDistribution or None
        The dimensions of the study's first trial, once it is finished.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.space: dict[str, BaseDistribution] | None = None
        self._engine: Sobol | None = None

    def point(self, place: int, dimensions: int) -> npt.NDArray[np.float64]:
        """Point number `place`, (1, dimensions) float64 in [0, 1)."""
        from scipy.stats.qmc import Sobol  # noqa: PLC0415 - 0.3 s, and one sampler needs it

        engine = self._engine
        if engine is None or engine.d != dimensions or engine.num_generated != place:
            engine = self._engine = Sobol(dimensions, seed=self.seed, scramble=True)
            if place:
                engine.fast_forward(place)
        drawn: npt.NDArray[np.float64] = engine.random(1)
        return drawn


class CohortQMCSampler(QMCSampler):
    """Sobol' points for one cohort of a study; what has no place in them is drawn at random.

    Parameters
    ----------
    sequence : SobolSequence
        The study's.
    seed : int
        Of what is drawn at random.
    """

    def __init__(self, sequence: SobolSequence, *, seed: int) -> None:
        self._at_random = RandomSampler(seed=seed)
        super().__init__(
            seed=sequence.seed,
            scramble=True,
            independent_sampler=self._at_random,
            warn_asynchronous_seeding=False,
            warn_independent_sampling=False,
        )
        self._sequence = sequence

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The dimensions of the study's first trial."""
        if self._sequence.space is None:
            space = super().infer_relative_search_space(study, trial)
            if not study.get_trials(deepcopy=False, states=STARTED):
                return space  # that of trials whose end is open
            self._sequence.space = space
        return dict(self._sequence.space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw at random."""
        return self._at_random.sample_independent(study, trial, param_name, param_distribution)

    def _sample_qmc(
        self, study: Study, search_space: dict[str, BaseDistribution]
    ) -> npt.NDArray[np.float64]:
        return self._sequence.point(self._find_sample_id(study, search_space), len(search_space))
