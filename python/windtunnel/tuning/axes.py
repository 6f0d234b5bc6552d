"""Dimensions of a search as coordinates in which densities are fitted.

A real-valued dimension becomes the interval [0, 1], by logarithm where it is searched so. One
with few values becomes its levels 0, 1, ... ; those that have an order also keep the edges of
their cells in [0, 1], over which a density is integrated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.distributions import BaseDistribution

Float64Array = npt.NDArray[np.float64]

# A stepped range of more values is taken as continuous, and rounded when it is drawn from.
MOST_LEVELS = 256


@dataclass(frozen=True, eq=False)
class Axis:
    """One dimension.

    Attributes
    ----------
    distribution : BaseDistribution
        Optuna's description of it.
    levels : int
        Number of values, 0 for a continuous dimension.
    edges : (levels + 1,) float64 or None
        Cells of ordered levels in [0, 1].
    """

    distribution: BaseDistribution
    levels: int
    edges: Float64Array | None

    @property
    def continuous(self) -> bool:
        """Whether coordinates are real numbers in [0, 1]."""
        return self.levels == 0

    def coordinates(self, values: Sequence[Any]) -> Float64Array:
        """Coordinates (n,) of external values."""
        kind = self.distribution
        if isinstance(kind, CategoricalDistribution):
            return np.array([kind.to_internal_repr(value) for value in values], np.float64)
        plain = np.array(values, np.float64)
        if self.levels:
            low, step = _grid(kind)
            return np.rint((plain - low) / step)
        low, high = _ends(kind)
        if _log(kind):
            return (np.log(plain) - low) / (high - low)
        return (plain - low) / (high - low)

    def value(self, coordinate: float) -> Any:
        """The external value at a coordinate, within the range and on its grid."""
        kind = self.distribution
        if isinstance(kind, CategoricalDistribution):
            return kind.choices[int(coordinate)]
        if self.levels:
            low, step = _grid(kind)
            found = low + int(coordinate) * step
        else:
            low, high = _ends(kind)
            found = low + coordinate * (high - low)
            if _log(kind):
                found = math.exp(found)
            first, step = _grid(kind)
            if step:
                found = first + round((found - first) / step) * step
        found = min(max(found, kind.low), kind.high)  # type: ignore[attr-defined]
        return round(found) if isinstance(kind, IntDistribution) else float(found)


def axis(distribution: BaseDistribution) -> Axis:
    """Describe an Optuna distribution as an axis."""
    if isinstance(distribution, CategoricalDistribution):
        return Axis(distribution, len(distribution.choices), None)
    low, step = _grid(distribution)
    if not step:
        return Axis(distribution, 1 if distribution.single() else 0, np.array([0.0, 1.0]))
    levels = round((distribution.high - low) / step) + 1  # type: ignore[attr-defined]
    if levels > MOST_LEVELS:
        return Axis(distribution, 0, None)
    cuts = low + step * (np.arange(levels + 1) - 0.5)
    if _log(distribution):
        cuts = np.log(cuts)
    return Axis(distribution, levels, (cuts - cuts[0]) / (cuts[-1] - cuts[0]))


def _grid(kind: BaseDistribution) -> tuple[float, float]:
    """The smallest value and the step between values, 0 where there is none."""
    if isinstance(kind, (FloatDistribution, IntDistribution)):
        return kind.low, kind.step or 0.0
    raise TypeError(f"{type(kind).__name__} has no grid")


def _log(kind: BaseDistribution) -> bool:
    return isinstance(kind, (FloatDistribution, IntDistribution)) and kind.log


def _ends(kind: BaseDistribution) -> tuple[float, float]:
    """Ends of the interval that becomes [0, 1]: half a step wider than a stepped range."""
    low, step = _grid(kind)
    low, high = low - step / 2, kind.high + step / 2  # type: ignore[attr-defined]
    return (math.log(low), math.log(high)) if _log(kind) else (low, high)
