"""What trainers take and give back, for the rooms that must not know one another.

Validation is handed a `Trainer`; the facade decides which one. The records here hold
NumPy arrays only, so that whoever reads them needs no JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

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
        Decides the loss and the meaning of the score.
    """

    features: Float32Array
    labels: Float32Array
    train: BoolArray
    validation: tuple[tuple[int, int], ...]
    kind: Kind


@dataclass(frozen=True)
class FittedModels:
    """Trained networks and the scalers that belong to them.

    Attributes
    ----------
    params : pytree of arrays
        Leading axes (C, K, S): configuration, fold, seed.
    mean, scale : (K, F) float32
        Each fold's scaler: features enter the network as (x - mean) / scale.
    """

    params: Any
    mean: Float32Array
    scale: Float32Array

    def pick(self, lane: int, fold: int) -> Any:
        """Parameters of one configuration and fold; leading axis S, as scoring takes them."""
        return _map_arrays(lambda leaf: leaf[lane, fold], self.params)

    def champion(self) -> Any:
        """Parameters of the only configuration and fold of a refit; leading axis S."""
        return self.pick(0, 0)


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
    models : FittedModels or None
        Present when they were asked for.
    """

    scores: Float32Array
    loss: Float32Array
    failures: dict[int, str]
    models: FittedModels | None


class Trainer(Protocol):
    """Trains cohorts on one task."""

    def fit(self, hyper: Mapping[str, Float64Array], *, keep_models: bool = False) -> CohortFit:
        """Train C configurations, given as one (C,) array for each hyperparameter."""
        ...


def _map_arrays(change: Any, tree: Any) -> Any:
    """Apply `change` to every array of nested dicts, without JAX."""
    if isinstance(tree, Mapping):
        return {name: _map_arrays(change, branch) for name, branch in tree.items()}
    return change(tree)
