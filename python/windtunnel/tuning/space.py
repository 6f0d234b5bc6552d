"""The search space: as Optuna's distributions, and as the unit cube in which distance has meaning.

Dimensions are always taken in alphabetical order: two study files that differ only in the
order of their lines are the same study and must draw the same configurations.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from windtunnel.config.study import Choice, Dimension, FloatRange
from windtunnel.errors import SearchSpaceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from optuna.distributions import BaseDistribution

# How far outside its range a value may lie by rounding, as a fraction of the range.
ROUNDING = 1e-9


def to_distributions(search: Mapping[str, Dimension]) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of every dimension, by name, in alphabetical order.

    Raises
    ------
    SearchSpaceError
        The search space has no dimension.
    """
    from optuna.distributions import (  # noqa: PLC0415 - optuna is loaded when a study tunes
        CategoricalDistribution,
        FloatDistribution,
    )

    distributions: dict[str, BaseDistribution] = {}
    for name, dimension in _ordered(search):
        if isinstance(dimension, FloatRange):
            distributions[name] = FloatDistribution(
                low=dimension.low, high=dimension.high, log=dimension.log
            )
        else:
            distributions[name] = CategoricalDistribution(tuple(dict.fromkeys(dimension.choices)))
    return distributions


def unit_cube(
    search: Mapping[str, Dimension], params: Sequence[Mapping[str, float]]
) -> npt.NDArray[np.float64]:
    """Place configurations in the unit cube, so that the distance between two has meaning.

    Parameters
    ----------
    search : mapping of str to FloatRange or Choice
    params : C mappings
        Each with a value for every dimension; other keys are ignored.

    Returns
    -------
    (C, P) float64 in [0, 1]
        Columns in alphabetical order of the dimensions. A range is scaled from its low to
        its high end, by logarithm where it is searched so; choices are spread evenly in
        order of their value.

    Raises
    ------
    SearchSpaceError
        The search space is empty, or a value is missing, not finite or outside its dimension.
    """
    columns = [
        [_position(name, dimension, index, values) for index, values in enumerate(params)]
        for name, dimension in _ordered(search)
    ]
    return np.ascontiguousarray(np.array(columns, dtype=np.float64).T)


def _ordered(search: Mapping[str, Dimension]) -> list[tuple[str, Dimension]]:
    if not search:
        raise SearchSpaceError(
            "search: is empty, there is nothing to tune",
            "Give at least one dimension, for example "
            '"training.learning_rate" = { low = 1e-4, high = 3e-2, log = true }',
        )
    return sorted(search.items())


def _position(name: str, dimension: Dimension, index: int, values: Mapping[str, float]) -> float:
    """Place one value within its dimension, from 0 to 1."""
    if name not in values:
        raise SearchSpaceError(
            f"params[{index}]: has no value for search dimension {name!r}",
            "Give every configuration a value for each dimension of the search",
        )
    value = float(values[name])
    if isinstance(dimension, Choice):
        ranks = sorted(set(dimension.choices))
        if value not in ranks:
            raise _outside(name, index, value, f"one of {ranks}")
        return ranks.index(value) / max(len(ranks) - 1, 1)
    low, high = dimension.low, dimension.high
    rule = f"within [{low:g}, {high:g}]"
    if dimension.log:
        if not value > 0:
            raise _outside(name, index, value, rule)
        low, high, value = math.log(low), math.log(high), math.log(value)
    share = (value - low) / (high - low)
    if not -ROUNDING <= share <= 1 + ROUNDING:  # also refuses NaN
        raise _outside(name, index, float(values[name]), rule)
    return min(max(share, 0.0), 1.0)


def _outside(name: str, index: int, value: float, rule: str) -> SearchSpaceError:
    return SearchSpaceError(
        f"params[{index}]: {name} must be {rule}, got {value!r}",
        "Use the search space from which the configurations were drawn",
    )
