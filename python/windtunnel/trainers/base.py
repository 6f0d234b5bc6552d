"""What every trainer checks before it starts, so that errors name a place and not a shape.

The records themselves (`TrainingTask`, `CohortFit`, `FittedModel`, `Progress`, `Trainer`) live in
`windtunnel.protocols`, where validation can see them without knowing any trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, get_args

import numpy as np
import numpy.typing as npt

from windtunnel.errors import SplitError, TrainingError
from windtunnel.protocols import (
    BoolArray,
    CohortFit,
    FittedModel,
    Kind,
    Progress,
    Trainer,
    TrainingTask,
)

__all__ = [
    "CohortFit",
    "FittedModel",
    "Progress",
    "Trainer",
    "TrainingTask",
    "check_task",
    "known_rows",
    "own_progress",
    "padded",
    "pieces_of_bars",
    "usable_rows",
]

_P = TypeVar("_P", bound=Progress)


def check_task(task: TrainingTask) -> None:
    """Hold a task to the shapes, dtypes and values that its docstring states.

    Raises
    ------
    TrainingError
        An array has the wrong shape, dtype or values; the message names it.
    """
    if task.kind not in get_args(Kind):
        raise TrainingError(
            f"kind: must be one of {', '.join(get_args(Kind))}, got {task.kind!r}",
            "Set label.kind in the study file",
        )
    _check_array("features", task.features, np.float32, ("bars", "instruments", "features"))
    bars, instruments, features = task.features.shape
    _check_array("labels", task.labels, np.float32, (bars, instruments))
    _check_array("train", task.train, np.bool_, ("folds", bars, instruments))
    if task.returns is not None:
        _check_array("returns", task.returns, np.float32, (bars, instruments))
    if features == 0 or instruments == 0:
        raise TrainingError(
            f"features: needs at least one instrument and one feature, got {task.features.shape}",
            "Name features in [features] use",
        )
    if bars * instruments >= 2**31:
        raise TrainingError(
            f"features: {bars} bars x {instruments} instruments exceed 2**31 rows",
            "Use coarser bars or fewer instruments",
        )
    _check_validation(task.validation, len(task.train), bars)
    if task.kind == "direction":
        found = np.unique(task.labels[task.train.any(axis=0) & np.isfinite(task.labels)])
        if not np.isin(found, (0.0, 1.0)).all():
            raise TrainingError(
                f"labels: direction labels must be 0 or 1 (NaN where undefined), got "
                f"{found[~np.isin(found, (0.0, 1.0))][0]:g}",
                "Use kind 'forward_return' for real-valued labels",
            )


def known_rows(features: npt.NDArray[np.float32], window: int) -> BoolArray:
    """(T, N) bool: all features are finite at a bar and, with a window, at those before it."""
    known: BoolArray = np.asarray(np.isfinite(features).all(axis=2))
    if window <= 1:
        return known
    before = np.pad(known, ((window - 1, 0), (0, 0)), constant_values=False)
    whole = np.lib.stride_tricks.sliding_window_view(before, window, axis=0)
    return np.asarray(whole.all(axis=2))


def usable_rows(task: TrainingTask, window: int = 0, *, by_returns: bool = False) -> BoolArray:
    """(K, T, N) bool: rows that each fold trains on.

    Rows with a NaN or infinite feature or label are left out, whatever the mask says; with a
    `window`, so are those with such a feature in the bars before. `by_returns` asks for the
    task's returns in place of its labels.

    Raises
    ------
    SplitError
        A fold has no such row.
    TrainingError
        The task has no returns, and they are asked for.
    """
    target = task.returns if by_returns else task.labels
    if target is None:
        raise TrainingError(
            "returns: the task has none, the head 'sharpe' is trained on them",
            "Give TrainingTask the returns from fill to fill",
        )
    usable = task.train & known_rows(task.features, window) & np.isfinite(target)
    for fold, rows in enumerate(usable):
        if not rows.any():
            raise SplitError(
                f"fold {fold}: no row to train on ({int(task.train[fold].sum())} in the training "
                "mask, none of them with all features and a label)",
                "Give a longer history, fewer folds or features with shorter windows",
            )
    return usable


def padded(found: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[np.int32]:
    """Row numbers of each fold as one table, filled up with zeros."""
    table = np.zeros((len(found), max(map(len, found))), np.int32)
    for fold, chosen in enumerate(found):
        table[fold, : len(chosen)] = chosen
    return table


def pieces_of_bars(usable: BoolArray, bars: int) -> list[npt.NDArray[np.intp]]:
    """First bars of each fold's pieces of `bars` bars with something to train on at every bar.

    Raises
    ------
    SplitError
        A fold has no such piece.
    """
    found = []
    for fold, rows in enumerate(usable):
        some = rows.any(axis=1)
        whole = np.lib.stride_tricks.sliding_window_view(some, min(bars, len(some))).all(axis=1)
        if len(some) < bars or not whole.any():
            raise SplitError(
                f"fold {fold}: no {bars} consecutive bars to train on",
                "Lower training.stretch_bars, or give a longer history",
            )
        found.append(np.flatnonzero(whole))
    return found


def own_progress(
    progress: Progress, kind: type[_P], step: int, steps: int, unit: str = "steps"
) -> _P:
    """A trainer's own progress, from which it can go on to `step` of its `steps`.

    Raises
    ------
    TrainingError
        It is another trainer's, or of no configuration, or `step` is not beyond it, or beyond
        the last.
    """
    if not isinstance(progress, kind):
        raise TrainingError(
            f"progress: must be what `start` or `advance` of this trainer gave, got "
            f"{type(progress).__name__}"
        )
    if len(progress) == 0:
        raise TrainingError(
            "progress: holds no configuration to train on", "Pick at least one configuration"
        )
    made = progress.step
    if not made < step <= steps:
        raise TrainingError(
            f"step: must be in ({made}, {steps}], got {step}",
            f"Give the number of {unit} made in all, not the number to add",
        )
    return progress


def _check_array(
    name: str, values: object, dtype: type[np.generic], shape: tuple[int | str, ...]
) -> None:
    """Require dtype and shape; a string in `shape` names an axis of any length."""
    if not isinstance(values, np.ndarray) or values.dtype != dtype:
        found = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise TrainingError(
            f"{name}: must be a NumPy array of {dtype.__name__}, got {found}",
            f"Convert with .astype(np.{dtype.__name__.rstrip('_')})",
        )
    right = values.ndim == len(shape) and all(
        isinstance(wanted, str) or wanted == length
        for wanted, length in zip(shape, values.shape, strict=True)
    )
    if not right:
        axes = ", ".join(str(wanted) for wanted in shape)
        raise TrainingError(f"{name}: must have shape ({axes}), got {values.shape}")


def _check_validation(ranges: tuple[tuple[int, int], ...], folds: int, bars: int) -> None:
    if folds == 0 or len(ranges) != folds:
        raise TrainingError(
            f"validation: needs one (start, stop) for each fold of train, and at least one; got "
            f"{len(ranges)} for {folds}"
        )
    for fold, (start, stop) in enumerate(ranges):
        if not 0 <= start < stop <= bars:
            raise TrainingError(
                f"validation[{fold}]: must be a non-empty range within 0 to {bars}, got "
                f"({start}, {stop})"
            )
        if stop - start != ranges[0][1] - ranges[0][0]:
            raise TrainingError(
                f"validation[{fold}]: all slices must have the same length, got {stop - start} "
                f"bars where validation[0] has {ranges[0][1] - ranges[0][0]}"
            )
