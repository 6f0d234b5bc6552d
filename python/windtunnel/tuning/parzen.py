"""Adaptive Parzen estimators: mixtures of products of truncated normal and categorical kernels.

References
----------
J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl, "Algorithms for Hyper-Parameter Optimization",
NeurIPS 2011, section 4: widths by the distance to the neighbours, and a prior component.
S. Falkner, A. Klein, F. Hutter, "BOHB", ICML 2018, section 3: products over all dimensions.
S. Watanabe, "Tree-structured Parzen estimator: understanding its algorithm components and
their roles", 2023, for the clipping of widths and the weights of old observations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from windtunnel.tuning._parzen_kernel import mixture_log_density

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windtunnel.tuning.axes import Axis

Float64Array = npt.NDArray[np.float64]

PRIOR_WEIGHT = 1.0
# Observations of full weight; older ones fade linearly.
RECENT = 25
_LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)
# Probabilities below it cannot be told apart from it when their logarithm is taken.
_LEAST = 1e-300


@dataclass(frozen=True, eq=False)
class Mixture:
    """A fitted density over the axes of a search.

    Made by `fit`; the last component is the prior. An observation that lacks an axis (a
    dimension that was not active) is uniform along it.
    """

    axes: tuple[Axis, ...]
    weights: Float64Array
    centre: Float64Array
    width: Float64Array
    log_height: Float64Array
    tables: Float64Array

    def log_density(self, points: Float64Array) -> Float64Array:
        """Logarithm of the density (M,) at points (M, P), always finite.

        An axis on which a point is NaN is left out.
        """
        smooth = np.array([axis.continuous for axis in self.axes], bool)
        levels = np.where(np.isnan(points[:, ~smooth]), -1, points[:, ~smooth]).astype(np.int64)
        counts = [axis.levels for axis in self.axes if not axis.continuous]
        return mixture_log_density(
            np.ascontiguousarray(points[:, smooth]),
            levels,
            np.log(self.weights),
            self.centre,
            1.0 / self.width,
            self.log_height,
            self.tables,
            np.cumsum([0, *counts], dtype=np.int64)[:-1],
        )

    def sample(self, rng: np.random.Generator, count: int) -> Float64Array:
        """Draw points (count, P), with a coordinate on every axis."""
        chosen = rng.choice(len(self.weights), size=count, p=self.weights)
        points = np.empty((count, len(self.axes)))
        smooth = row = 0
        for place, axis in enumerate(self.axes):
            u = rng.random(count)
            if axis.continuous:
                centre, width = self.centre[smooth, chosen], self.width[smooth, chosen]
                absent = ~np.isfinite(width)
                sigma = np.where(absent, 1.0, width)
                low, high = ndtr((0.0 - centre) / sigma), ndtr((1.0 - centre) / sigma)
                drawn = np.clip(centre + sigma * ndtri(low + u * (high - low)), 0.0, 1.0)
                points[:, place] = np.where(absent, u, drawn)
                smooth += 1
            else:
                odds = np.exp(self.tables[row : row + axis.levels, chosen])
                cumulative = np.cumsum(odds, axis=0)
                points[:, place] = np.minimum(
                    (cumulative < u * cumulative[-1]).sum(axis=0), axis.levels - 1
                )
                row += axis.levels
        return points


def fit(axes: Sequence[Axis], points: Float64Array) -> Mixture:
    """Fit a mixture to observations (n, P), oldest first; NaN where an axis was not active."""
    count = len(points)
    weights = np.append(_weights(count), PRIOR_WEIGHT)
    smooth = [place for place, axis in enumerate(axes) if axis.continuous]
    centre, width, log_height = (np.empty((len(smooth), count + 1)) for _ in range(3))
    for row, place in enumerate(smooth):
        centre[row], width[row] = _kernels(points[:, place])
        log_height[row] = _log_height(centre[row], width[row])
    tables = [
        _table(axis, points[:, place]) for place, axis in enumerate(axes) if not axis.continuous
    ]
    return Mixture(
        tuple(axes),
        weights / weights.sum(),
        centre,
        width,
        log_height,
        np.ascontiguousarray(np.concatenate(tables)) if tables else np.empty((0, count + 1)),
    )


def _weights(count: int) -> Float64Array:
    if count <= RECENT:
        return np.ones(count)
    return np.append(np.linspace(1.0 / count, 1.0, count - RECENT), np.ones(RECENT))


def _kernels(observed: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Centres and widths of the kernels on [0, 1], the prior last; infinitely wide where absent.

    A kernel reaches to the farther of its two neighbours, and is no narrower than a share of
    the range that falls with the number of observations.
    """
    present = np.isfinite(observed)
    mu = observed[present]
    order = np.argsort(mu, kind="stable")
    gaps = np.diff(np.concatenate([[0.0], mu[order], [1.0]]))
    reach = np.empty(len(mu))
    # At the ends the gap to the border says nothing of how densely observations lie.
    inner = gaps[1:-1]
    if len(mu) > 1:
        reach[order] = np.maximum(np.append(inner[0], inner), np.append(inner, inner[-1]))
    else:
        reach[order] = np.maximum(gaps[:-1], gaps[1:])
    least = 1.0 / min(100.0, 2.0 + len(mu))
    centre, width = np.full(len(observed), 0.5), np.full(len(observed), np.inf)
    centre[present], width[present] = mu, np.clip(reach, least, 1.0)
    return np.append(centre, 0.5), np.append(width, 1.0)


def _log_height(centre: Float64Array, width: Float64Array) -> Float64Array:
    """Logarithm of a truncated normal density at its centre; 0 for the uniform."""
    absent = ~np.isfinite(width)
    sigma = np.where(absent, 1.0, width)
    inside = ndtr((1.0 - centre) / sigma) - ndtr((0.0 - centre) / sigma)
    return np.where(absent, 0.0, -np.log(sigma * inside) - _LOG_ROOT_2PI)


def _table(axis: Axis, observed: Float64Array) -> Float64Array:
    """Logarithm of each kernel's probability of each level, (levels, n + 1)."""
    present = np.isfinite(observed)
    if axis.edges is None:
        share = PRIOR_WEIGHT / (len(observed) + 1)
        odds = np.full((axis.levels, len(observed) + 1), share)
        odds[observed[present].astype(np.int64), np.flatnonzero(present)] += 1.0
    else:
        middles = (axis.edges[1:] + axis.edges[:-1]) / 2
        placed = observed.copy()
        placed[present] = middles[observed[present].astype(np.int64)]
        centre, width = _kernels(placed)
        cuts = ndtr((axis.edges[:, None] - centre) / width)
        odds = np.maximum(np.diff(cuts, axis=0), _LEAST)
        odds[:, :-1][:, ~present] = np.diff(axis.edges)[:, None]
    logarithm: Float64Array = np.log(odds / odds.sum(axis=0))
    return logarithm
