"""What the Gymnasium environment checks of its arguments, which no study file has checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from windtunnel.errors import TrainingError

REWARDS = ("return", "differential_sharpe")


def check_settings(
    *,
    rules_reward: str,
    levels: tuple[float, ...] | None,
    low: float,
    above_zero: Mapping[str, float],
    from_zero: Mapping[str, float],
    episode_bars: int,
) -> None:
    """Hold the arguments of `TradingEnv` to the ranges of the study file.

    Parameters
    ----------
    low : float
        Smallest level that the direction allows.
    above_zero, from_zero : mapping of str to float
        Numbers that must be finite and above zero, or not below it, by their names.

    Raises
    ------
    TrainingError
        One is out of range; the message names it and its value.
    """
    if rules_reward not in REWARDS:
        raise TrainingError(
            f"rules_reward: must be one of {', '.join(map(repr, REWARDS))}, got {rules_reward!r}",
            "Give one of them",
        )
    if episode_bars < 1:
        raise TrainingError(
            f"episode_bars: must be at least 1, got {episode_bars}", "Give the decisions an episode"
        )
    for name, value in above_zero.items():
        if not (math.isfinite(value) and value > 0):
            raise TrainingError(f"{name}: must be above 0 and finite, got {value}", "Raise it")
    for name, value in from_zero.items():
        if not (math.isfinite(value) and value >= 0):
            raise TrainingError(
                f"{name}: must not be below 0, and finite, got {value}", "Give 0 to leave it out"
            )
    if levels is None:
        return
    ascend = len(levels) >= 2 and all(a < b for a, b in pairwise(levels))
    if not ascend or not all(low <= level <= 1 for level in levels):
        raise TrainingError(
            f"levels: must be two or more in [{low:g}, 1], ascending, got {tuple(levels)}",
            "Give fractions of an instrument's largest exposure; `leverage` sets how large that is",
        )


def column(name: str, values: npt.ArrayLike, width: int) -> npt.NDArray[np.float32]:
    """(F,) float32 of one finite number a feature.

    Raises
    ------
    TrainingError
        Another shape, or a value that is not finite.
    """
    found = np.asarray(values, np.float32)
    if found.shape != (width,) or not np.isfinite(found).all():
        raise TrainingError(
            f"{name}: must be {width} finite numbers, one a feature, got shape {found.shape}"
            + ("" if np.isfinite(found).all() else " with NaN or infinity"),
            "Take them over the training bars",
        )
    return found
