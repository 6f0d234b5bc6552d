"""LightGBM as a baseline: the same task, folds, table and bundle, without a JAX program.

What the names of `[training]` mean to trees: `steps` is the number of trees, `learning_rate`
their shrinkage, `weight_decay` the L2 penalty of leaves, `dropout` the share of features that
a tree does not see, `label_smoothing` draws labels towards one half as ever; `model.width` is
the most leaves of a tree. `batch_size`, `model.depth` and `model.window` mean nothing here.

What is random is which features a tree does not see, and beyond `_BINNED_ROWS` rows which of
them the bins of a feature come from. Without either, `seeds` and the study's seed decide nothing:
one model is grown and stands for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import numpy.typing as npt

from windtunnel.errors import TrainingError
from windtunnel.protocols import CohortFit, FittedModel, Progress, TrainingTask
from windtunnel.trainers.base import (
    check_task,
    known_rows,
    own_progress,
    usable_rows,
)
from windtunnel.trainers.devices import cores
from windtunnel.trainers.heads import Batch
from windtunnel.trainers.hyper import check_hyper
from windtunnel.trainers.scoring import Network

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection, TrainingSection

Float32Array = npt.NDArray[np.float32]
_MOST_SEEDS = 1024
_BINNED_ROWS = 200_000  # LightGBM's own default


@dataclass(frozen=True)
class Grown:
    """A cohort of boosted trees so far; a `windtunnel.protocols.Progress`.

    It holds no trees: the first trees do not depend on those that follow, so growing them
    again gives the same, and a baseline need not be quick.

    Attributes
    ----------
    hyper : dict of str to (C, ...) float32
    step : int
        Trees grown.
    """

    hyper: Mapping[str, Float32Array]
    step: int

    def __len__(self) -> int:
        """Configurations."""
        return len(self.hyper["learning_rate"])

    def pick(self, lanes: Sequence[int]) -> Grown:
        """These configurations alone, in this order."""
        chosen = np.asarray(lanes, np.intp)
        return Grown({name: values[chosen] for name, values in self.hyper.items()}, self.step)


class BoostedTrainer:
    """Trains configurations of boosted trees on one task; a `windtunnel.protocols.Trainer`.

    Every model grows on one thread, several at a time, by LightGBM's deterministic mode.

    Parameters
    ----------
    task, model, training, seed
        As of `SupervisedTrainer`.

    Raises
    ------
    TrainingError
        LightGBM is not installed, or the task breaks a rule of its docstring.
    SplitError
        A fold has no row to train on.
    StudyFileError
        The head or scope is one that LightGBM cannot be trained for.
    """

    def __init__(
        self, task: TrainingTask, model: ModelSection, training: TrainingSection, seed: int
    ) -> None:
        check_task(task)
        self._library = _lightgbm()
        self.task = task
        self.model = model
        self.training = training
        self.seed = seed
        self.network = Network.build(model, task.kind, long_only=task.long_only)
        self._usable = usable_rows(task)
        self._known = known_rows(task.features, 0)
        self._score = jax.jit(self.network.score)

    @property
    def steps(self) -> int:
        """Trees of a whole training."""
        return self.training.steps

    def fit(self, hyper: Mapping[str, npt.ArrayLike], *, keep_models: bool = False) -> CohortFit:
        """Train C configurations on all folds; as `SupervisedTrainer.fit`."""
        return self.advance(self.start(hyper), self.steps, keep_models=keep_models)[1]

    def start(self, hyper: Mapping[str, npt.ArrayLike]) -> Grown:
        """Begin a cohort that is trained in stretches."""
        return Grown(check_hyper(hyper, self.task.features.shape[-1]), 0)

    def advance(
        self, progress: Progress, step: int, *, keep_models: bool = False
    ) -> tuple[Grown, CohortFit]:
        """Grow until there are `step` trees, and score; as `SupervisedTrainer.advance`."""
        own = own_progress(progress, Grown, step, self.steps, "trees")
        with ThreadPoolExecutor(cores()) as pool:
            models = list(pool.map(lambda lane: self._grow(own.hyper, lane, step), range(len(own))))
        scores = np.stack([self._scores(model) for model in models], axis=-1)
        loss = np.array(
            [self._loss(model, own.hyper, lane) for lane, model in enumerate(models)],
            np.float32,
        )
        kept = tuple(models) if keep_models else None
        return Grown(own.hyper, step), CohortFit(scores, loss, {}, kept)

    def _grow(self, hyper: Mapping[str, Float32Array], lane: int, step: int) -> FittedModel:
        own = {name: float(hyper[name][lane]) for name in hyper if name != "feature_mask"}
        mask = hyper["feature_mask"][lane] if "feature_mask" in hyper else None
        direction = self.network.head.name == "direction"
        parameters = {
            "objective": "cross_entropy" if direction else "huber",
            "alpha": 1.0,  # Huber's delta, as the networks have it
            "learning_rate": own["learning_rate"],
            "lambda_l2": own["weight_decay"],
            "feature_fraction": max(1 - own["dropout"], 1e-6),
            "num_leaves": max(self.model.width, 2),
            "bin_construct_sample_cnt": _BINNED_ROWS,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
        folds, features = len(self._usable), self.task.features.shape[-1]
        seeds = self.training.seeds
        grown = []
        for fold, rows in enumerate(self._usable):
            drawn = own["dropout"] > 0 or len(rows) > _BINNED_ROWS
            different = [
                self._one(parameters, own["label_smoothing"], mask, fold, seed, step)
                for seed in range(seeds if drawn else 1)
            ]
            grown.append(different if drawn else different * seeds)
        return FittedModel(
            _stacked(grown),
            np.zeros((folds, features), np.float32),
            np.ones((folds, features), np.float32),
            mask,
        )

    def _one(
        self,
        parameters: Mapping[str, Any],
        smoothing: float,
        mask: Float32Array | None,
        fold: int,
        seed: int,
        step: int,
    ) -> list[dict[str, npt.NDArray[Any]]]:
        """The trees of one fold and seed."""
        rows = self._usable[fold]
        x, y = self.task.features[rows], self.task.labels[rows].astype(np.float64)
        if mask is not None:
            x = x * mask
        if self.network.head.name == "direction":
            y = y * (1 - smoothing) + smoothing / 2
        own = {"seed": (self.seed + 7919 * (fold * _MOST_SEEDS + seed)) % 2**31}
        settings = {**parameters, **own}
        data = self._library.Dataset(x, y, params=settings)
        dumped = self._library.train(settings, data, step).dump_model()["tree_info"]
        return [_flat(tree["tree_structure"]) for tree in dumped]

    def _scores(self, model: FittedModel) -> Float32Array:
        found = []
        for fold, (start, stop) in enumerate(self.task.validation):
            x = self.task.features[start:stop]
            rows = np.asarray(self._score(model.parameters(fold), x.reshape(-1, x.shape[-1])))
            known = self._known[start:stop]
            found.append(np.where(known, rows.reshape(known.shape), np.float32(np.nan)))
        return np.concatenate(found)

    def _loss(
        self, model: FittedModel, hyper: Mapping[str, Float32Array], lane: int
    ) -> list[float]:
        """Mean loss of the training rows of each fold, mean over the seeds."""
        found = []
        for fold, rows in enumerate(self._usable):
            fitted = model.parameters(fold)
            x = self.task.features[rows]
            x = x if model.mask is None else x * model.mask
            logits = jax.vmap(lambda trees, x=x: self.network.module.apply({"params": trees}, x))(
                fitted["network"]
            )
            batch = Batch(self.task.labels[rows][None], None, None)
            smoothing = hyper["label_smoothing"][lane]
            found.append(float(self.network.head.loss(logits, batch, smoothing, 0.0)))
        return found


def _lightgbm() -> ModuleType:
    try:
        import lightgbm  # noqa: PLC0415 - an extra
    except ImportError:
        raise TrainingError(
            "model.family: 'lightgbm' needs LightGBM, which is not installed",
            "Install windtunnel[boosting]",
        ) from None
    library: ModuleType = lightgbm
    return library


def _flat(root: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """A tree as `windtunnel.models.trees` has it, from LightGBM's nested dictionaries.

    LightGBM compares in float64. A float32 value is below a float64 threshold exactly if it is
    below the greatest float32 that the threshold reaches, so nothing is lost.
    """
    nodes: list[tuple[int, float, int, int, float]] = []

    def add(node: Mapping[str, Any]) -> int:
        place = len(nodes)
        if "split_feature" not in node:
            nodes.append((0, 0.0, place, place, float(node["leaf_value"])))
            return place
        nodes.append((0, 0.0, place, place, 0.0))
        left, right = add(node["left_child"]), add(node["right_child"])
        nodes[place] = (int(node["split_feature"]), float(node["threshold"]), left, right, 0.0)
        return place

    add(root)
    feature, threshold, left, right, value = (
        np.array(column) for column in zip(*nodes, strict=True)
    )
    below = threshold.astype(np.float32)
    below = np.where(below > threshold, np.nextafter(below, np.float32(-np.inf)), below)
    return {
        "feature": feature.astype(np.int32),
        "threshold": below.astype(np.float32),
        "left": left.astype(np.int32),
        "right": right.astype(np.int32),
        "value": value.astype(np.float32),
    }


def _stacked(
    grown: Sequence[Sequence[Sequence[Mapping[str, npt.NDArray[Any]]]]],
) -> dict[str, npt.NDArray[Any]]:
    """Arrays (K, S, trees, nodes), filled up as `windtunnel.models.trees` has it."""
    every = [tree for fold in grown for seed in fold for tree in seed]
    nodes = max(len(tree["value"]) for tree in every)
    trees = max(len(seed) for fold in grown for seed in fold)
    shape = (len(grown), len(grown[0]), trees, nodes)
    found: dict[str, npt.NDArray[Any]] = {
        name: np.zeros(shape, array.dtype) for name, array in every[0].items()
    }
    for k, fold in enumerate(grown):
        for s, seed in enumerate(fold):
            for t, tree in enumerate(seed):
                for name, array in tree.items():
                    found[name][k, s, t, : len(array)] = array
    return found
