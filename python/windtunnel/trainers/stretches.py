"""Training in one go or in stretches, within the memory plan, whatever it is that is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Generic, TypeVar

import numpy.typing as npt

from windtunnel.protocols import CohortFit, Progress
from windtunnel.trainers.base import own_progress
from windtunnel.trainers.memory import Plan

P = TypeVar("P", bound=Progress)


class StretchTrainer(ABC, Generic[P]):
    """A `windtunnel.protocols.Trainer` of a cohort that goes through compiled programs.

    A configuration's numbers are the same bit for bit whatever else is in the cohort, however
    large it is and wherever in it the configuration stands, and in whatever stretches it is
    trained.

    Attributes
    ----------
    plan : Plan
        How many lanes are in the program at once, and the largest cohort.
    progress_type : type
        What `start` and `advance` give; another trainer's is refused.
    unit : str
        What is counted in `steps`.
    """

    plan: Plan
    progress_type: type[P]
    unit: ClassVar[str] = "steps"

    @property
    @abstractmethod
    def steps(self) -> int:
        """Steps, or updates, of a whole training."""

    @abstractmethod
    def start(self, hyper: Mapping[str, npt.ArrayLike]) -> P:
        """Begin a cohort that is trained in stretches; `hyper` as in `fit`."""

    @abstractmethod
    def _train(
        self, begun: P, step: int, *, keep_state: bool, keep_models: bool
    ) -> tuple[P, CohortFit]:
        """Train on until `step`; without `keep_state` nobody goes on from what is returned."""

    def fit(self, hyper: Mapping[str, npt.ArrayLike], *, keep_models: bool = False) -> CohortFit:
        """Train C configurations on all folds and score the validation slices.

        Parameters
        ----------
        hyper : mapping of str to (C,) array
            The hyperparameters that the trainer's docstring names, each of them; and, if need
            be, feature_mask (C, F).
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
        return self._train(begun, self.steps, keep_state=False, keep_models=keep_models)[1]

    def advance(
        self, progress: Progress, step: int, *, keep_models: bool = False
    ) -> tuple[P, CohortFit]:
        """Train a cohort on until `step` steps are made in all, and score the validation slices.

        Raises
        ------
        TrainingError
            `progress` is another trainer's; `step` is not beyond it, or beyond the last; or
            the cohort does not fit into the memory budget.
        """
        own = own_progress(progress, self.progress_type, step, self.steps, self.unit)
        self.plan.check(len(own), in_stretches=True)
        return self._train(own, step, keep_state=True, keep_models=keep_models)
