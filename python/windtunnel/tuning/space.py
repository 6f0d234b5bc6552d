"""The search space: as Optuna's distributions, and as the unit cube in which distance has meaning.

Dimensions are always taken in alphabetical order: two study files that differ only in the
order of their lines are the same study and must draw the same configurations.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from windtunnel.config.search import (
    Choice,
    Dimension,
    FloatRange,
    Params,
    Value,
    is_active,
    parents_first,
)
from windtunnel.errors import SearchSpaceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from optuna.distributions import BaseDistribution

# How far outside its range a value may lie by rounding, as a fraction of the range.
ROUNDING = 1e-9
# Where a configuration that lacks a dimension stands along it: as far from one end as the other.
ABSENT = 0.5


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
        IntDistribution,
    )

    distributions: dict[str, BaseDistribution] = {}
    for name, dimension in _ordered(search):
        if isinstance(dimension, FloatRange):
            distributions[name] = FloatDistribution(
                low=dimension.low, high=dimension.high, log=dimension.log
            )
        elif isinstance(dimension, Choice):
            distributions[name] = CategoricalDistribution(tuple(dict.fromkeys(dimension.choices)))
        else:
            distributions[name] = IntDistribution(
                low=dimension.low, high=dimension.last, step=dimension.step, log=dimension.log
            )
    return distributions


def active_names(search: Mapping[str, Dimension], params: Params) -> list[str]:
    """Dimensions that a configuration with these values has, in alphabetical order.

    `params` may hold values of dimensions that it has not: a `when` looks only at dimensions
    that are themselves active.
    """
    found: dict[str, Value | None] = {}
    for name in parents_first(search):
        if is_active(search[name], found):
            found[name] = params.get(name)
    return sorted(found)


def unit_cube(
    search: Mapping[str, Dimension], params: Sequence[Mapping[str, Value | None]]
) -> npt.NDArray[np.float64]:
    """Place configurations in the unit cube, so that the distance between two has meaning.

    Parameters
    ----------
    search : mapping of str to FloatRange, IntRange or Choice
    params : C mappings
        Each with a value for every dimension that it has; None, or nothing, for one that it
        lacks by the dimension's `when`. Other keys are ignored.

    Returns
    -------
    (C, P) float64 in [0, 1]
        Columns in alphabetical order of the dimensions. A range is scaled from its low to
        its high end, by logarithm where it is searched so; choices are spread evenly in
        order of their value. A dimension that a configuration lacks stands at one half.

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


def _position(
    name: str, dimension: Dimension, index: int, values: Mapping[str, Value | None]
) -> float:
    """Place one value within its dimension, from 0 to 1."""
    given = values.get(name)
    if given is None:
        if dimension.when and not is_active(dimension, values):
            return ABSENT
        raise SearchSpaceError(
            f"params[{index}]: has no value for search dimension {name!r}",
            "Give every configuration a value for each dimension of the search",
        )
    if isinstance(dimension, Choice):
        ranks = sorted(set(dimension.choices))
        if given not in ranks:
            raise _outside(name, index, given, f"one of {ranks}")
        return ranks.index(given) / max(len(ranks) - 1, 1)
    value = float(given)
    low, high = float(dimension.low), float(dimension.high)
    rule = f"within [{low:g}, {high:g}]"
    if dimension.log:
        if not value > 0:
            raise _outside(name, index, value, rule)
        low, high, value = math.log(low), math.log(high), math.log(value)
    share = (value - low) / (high - low)
    if not -ROUNDING <= share <= 1 + ROUNDING:  # also refuses NaN
        raise _outside(name, index, given, rule)
    return min(max(share, 0.0), 1.0)


def _outside(name: str, index: int, value: Value, rule: str) -> SearchSpaceError:
    return SearchSpaceError(
        f"params[{index}]: {name} must be {rule}, got {value!r}",
        "Use the search space from which the configurations were drawn",
    )
