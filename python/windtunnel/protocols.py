"""What trainers take and give back, for the rooms that must not know one another.

Validation is handed a `Trainer`; the facade decides which one. The records here hold
NumPy arrays only, so that whoever reads them needs no JAX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from windtunnel.data.panel import Panel

BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Kind: TypeAlias = Literal["direction", "forward_return"]


@dataclass(frozen=True)
class TrainingTask:
    """What there is to learn: the same for every configuration of a study.

    Attributes
    ----------
    features : (T, N, F) float32
        NaN where undefined; such rows are neither trained on nor scored.
    labels : (T, N) float32
        0 or 1 for direction, standardised returns for forward_return; NaN where undefined.
    train : (K, T, N) bool
        Rows that fold k may train on. A row whose label reaches into the validation slice
        leaks the answer: purge it here, the trainer cannot know label ends.
    validation : tuple of K (start, stop)
        Half-open bar ranges of equal length V that each fold is scored on.
    kind : "direction" or "forward_return"
        What the labels are; a head that learns from labels follows it.
    panel : Panel, optional
        The T bars that the rows belong to; a trainer that learns by trading needs them.
    returns : (T, N) float32, optional
        What an exposure decided at bar t earns until the next fill, as a fraction; NaN where
        undefined. The 'sharpe' head is trained on it.
    cost : float
        What a change of exposure by 1 costs, as a fraction of equity.
    long_only : bool
        Whether the 'sharpe' head, whose score is the exposure, may hold no short position.
    """

    features: Float32Array
    labels: Float32Array
    train: BoolArray
    validation: tuple[tuple[int, int], ...]
    kind: Kind
    panel: Panel | None = None
    returns: Float32Array | None = None
    cost: float = 0.0
    long_only: bool = False


@dataclass(frozen=True)
class FittedModel:
    """One configuration's trained networks and what belongs to them.

    Attributes
    ----------
    network : pytree of arrays
        Leading axes (K, S): fold, seed.
    mean, scale : (K, F) float32
        Each fold's scaler: features enter the network as (x - mean) / scale.
    mask : (F,) float32 or None
        0 for features that the configuration does not see, 1 for the others; None for all.
    """

    network: Any
    mean: Float32Array
    scale: Float32Array
    mask: Float32Array | None = None

    def parameters(self, fold: int) -> dict[str, Any]:
        """All numbers of one fold that turn a row of features into a score."""
        found = {
            "network": _map_arrays(lambda leaf: leaf[fold], self.network),
            "mean": self.mean[fold],
            "scale": self.scale[fold],
        }
        return found if self.mask is None else found | {"mask": self.mask}


@dataclass(frozen=True)
class CohortFit:
    """A trained cohort of C configurations.

    Attributes
    ----------
    scores : (K*V, N, C) float32
        On the validation slices in the order of the folds, C contiguous. NaN where a
        feature is NaN, and everywhere for a failed configuration.
    loss : (C, K) float32
        Training loss on the last minibatch, mean over the seeds; not finite where the
        loss of the fold was not.
    failures : dict of int to str
        Lane of each configuration that failed, and the reason in a sentence.
    models : tuple of C FittedModel, or None
        Present when they were asked for.
    """

    scores: Float32Array
    loss: Float32Array
    failures: dict[int, str]
    models: tuple[FittedModel, ...] | None


class Progress(Protocol):
    """A cohort between two stretches of training: hyperparameters, step and state.

    Held in host memory; what is in it is the trainer's business. Never changed: training goes
    on from a copy.
    """

    @property
    def step(self) -> int:
        """Steps made."""
        ...

    def __len__(self) -> int:
        """Configurations."""
        ...

    def pick(self, lanes: Sequence[int]) -> Progress:
        """The survivors: these configurations alone, in this order, as far as they have come."""
        ...


class Trainer(Protocol):
    """Trains cohorts on one task."""

    @property
    def steps(self) -> int:
        """Steps of a whole training."""
        ...

    def fit(self, hyper: Mapping[str, Any], *, keep_models: bool = False) -> CohortFit:
        """Train C configurations, given as one (C,) array for each hyperparameter."""
        ...

    def start(self, hyper: Mapping[str, Any]) -> Progress:
        """Begin a cohort that is trained in stretches; nothing is trained yet."""
        ...

    def advance(
        self, progress: Progress, step: int, *, keep_models: bool = False
    ) -> tuple[Progress, CohortFit]:
        """Train on until `step` steps are made, and score.

        In whatever stretches, and whoever else is picked: a configuration's numbers are bit
        for bit those of `fit` once all steps are made.
        """
        ...


def _map_arrays(change: Any, tree: Any) -> Any:
    """Apply `change` to every array of nested dicts, without JAX."""
    if isinstance(tree, Mapping):
        return {name: _map_arrays(change, branch) for name, branch in tree.items()}
    return change(tree)
