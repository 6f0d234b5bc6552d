"""Prefer a plateau to a peak: judge a configuration by its neighbourhood."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError

Float64Array = npt.NDArray[np.float64]

_ROWS = 256  # rows of the distance matrix held at once


def plateau(points: Float64Array, objective: Float64Array, neighbours: int) -> Float64Array:
    """Mean objective over each configuration's nearest neighbours, itself included.

    A lucky spike is pulled down by its surroundings, a broad optimum is not. Distances
    are Euclidean in the unit cube of the search space.

    Parameters
    ----------
    points : (C, P) float64
        Configurations in the unit cube.
    objective : (C,) float64
        Larger is better. A configuration with NaN (failed) is nobody's neighbour.
    neighbours : int
        How many to average, itself included, at least 1. Fewer when fewer are defined;
        more when several lie at the same distance as the last: all of those count, so
        that the order of the configurations does not matter.

    Returns
    -------
    (C,) float64
        NaN where the objective is NaN.

    Raises
    ------
    MetricError
        Shapes that do not agree, a point outside the unit cube or NaN, an infinite
        objective, neighbours below 1.
    """
    if np.ndim(points) != 2 or np.shape(objective) != (len(points),):
        raise MetricError(
            f"points and objective: must be (C, P) and (C,), got {np.shape(points)} and "
            f"{np.shape(objective)}",
            "Give one row of points for each objective",
        )
    if neighbours < 1:
        raise MetricError(f"neighbours: must be 1 or more, got {neighbours}", "8 is usual")
    cube = np.asarray(points, dtype=np.float64)
    values = np.asarray(objective, dtype=np.float64)
    inside = (cube >= -1e-9) & (cube <= 1.0 + 1e-9)
    if not inside.all():
        c, p = np.argwhere(~inside)[0]
        raise MetricError(
            f"points: coordinate {p} of configuration {c} is {cube[c, p]}, outside [0, 1]",
            "Scale the search space to the unit cube",
        )
    if np.isinf(values).any():
        c = int(np.argmax(np.isinf(values)))
        raise MetricError(
            f"objective: configuration {c} is {values[c]}", "Use NaN for failed configurations"
        )
    result = np.full(len(values), np.nan)
    defined = np.flatnonzero(~np.isnan(values))
    known, height = cube[defined], values[defined]
    count = min(neighbours, len(defined))
    for start in range(0, len(defined), _ROWS):
        rows = slice(start, start + _ROWS)
        distance = np.zeros((len(known[rows]), len(known)))
        for axis in known.T:
            distance += (axis[rows, None] - axis) ** 2
        last = np.partition(distance, count - 1, axis=1)[:, count - 1 : count]
        near = distance <= last * (1.0 + 1e-12)
        result[defined[rows]] = (near @ height) / near.sum(axis=1)
    return result
