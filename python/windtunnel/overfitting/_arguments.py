"""Checks that the statistics of the Sharpe ratio share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError

Float64Array = npt.NDArray[np.float64]


def broadcast(
    nan_policy: str,
    sharpe: npt.ArrayLike,
    observations: npt.ArrayLike,
    skewness: npt.ArrayLike,
    kurtosis: npt.ArrayLike,
    benchmark: npt.ArrayLike = 0.0,
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array, Float64Array]:
    """Check and broadcast; a NaN passes only under "propagate"."""
    if nan_policy not in {"raise", "propagate"}:
        raise MetricError(
            f"nan_policy: must be 'raise' or 'propagate', got {nan_policy!r}", "Use one of the two"
        )
    names = ("sharpe", "observations", "skewness", "kurtosis", "benchmark")
    given = (sharpe, observations, skewness, kurtosis, benchmark)
    try:
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in given))
    except ValueError as error:
        shapes = ", ".join(
            f"{name} {np.shape(value)}" for name, value in zip(names, given, strict=True)
        )
        raise MetricError(
            f"arguments must be numbers that broadcast together, got {shapes}",
            "Give scalars, or one value for each configuration",
        ) from error
    for name, array in zip(names, arrays, strict=True):
        bad = np.isinf(array) if nan_policy == "propagate" else ~np.isfinite(array)
        if bad.any():
            raise MetricError(
                f"{name}: must be finite, got {array[bad][0]}",
                "Leave undefined trials out, or pass nan_policy='propagate'",
            )
    sr, t, g3, g4, sr0 = arrays
    if (t < 2).any():
        raise MetricError(
            f"observations: must be 2 or more, got {t[t < 2][0]:g}", "Give a longer record"
        )
    # Two-point returns reach the bound exactly; rounding may put them just below it.
    impossible = g4 < (1.0 + g3**2) * (1.0 - 1e-9)
    if impossible.any():
        raise MetricError(
            f"kurtosis: must be at least 1 + skewness**2, got {g4[impossible][0]:g} with skewness "
            f"{g3[impossible][0]:g}",
            "Give raw kurtosis (normal = 3), not excess",
        )
    return sr, t, g3, g4, sr0
