"""How long a score says something: its correlation with returns over longer horizons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.metrics.ml import ml_metrics

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decay:
    """Result of `ic_decay` for H horizons and P parts.

    Attributes
    ----------
    horizons : tuple of H int
        Bars between the two opens of the return.
    rank_ic : (H,) float64
        Spearman correlation over all rows; NaN where score or return does not vary.
    by_part : (H, P) float64
        The same within each part of the bars: how far it scatters.
    rows : (H,) int64
        Rows with a score and a return.
    """

    horizons: tuple[int, ...]
    rank_ic: Float64Array
    by_part: Float64Array
    rows: npt.NDArray[np.int64]


def ic_decay(
    scores: npt.NDArray[np.floating],
    opens: Float64Array,
    *,
    horizons: Sequence[int],
    parts: Sequence[tuple[int, int]],
) -> Decay:
    """Rank correlation of scores with the return from the next open to the open h bars later.

    The return of bar t is opens[t + 1 + h] / opens[t + 1] - 1, as the study's labels; rows
    pool bars and instruments.

    Parameters
    ----------
    scores : (T, N) float
        NaN is no opinion.
    opens : (T2, N) float64, T2 >= T
        Opening prices from the first bar of the scores on, NaN where there is no bar. Rows
        whose return would run past its end are left out: end it before a sealed holdout.
    horizons : sequence of H int
        Bars, each at least 1.
    parts : sequence of P (start, stop)
        Half-open ranges of the scores' bars, such as folds.

    Raises
    ------
    MetricError
        Shapes do not agree, or a horizon is below 1.
    """
    if np.ndim(scores) != 2:
        raise MetricError(
            f"scores: must be (T, N), got {np.shape(scores)}", "Give those of one configuration"
        )
    bars, instruments = np.shape(scores)
    if np.ndim(opens) != 2 or opens.shape[1] != instruments or len(opens) < bars:
        raise MetricError(
            f"opens: must be (T2, {instruments}) with T2 >= {bars}, got {np.shape(opens)}",
            "Give opens from the first bar of the scores on",
        )
    if any(horizon < 1 for horizon in horizons):
        raise MetricError(f"horizons: must be 1 or more, got {list(horizons)}", "Change horizons")
    cube = np.ascontiguousarray(scores, dtype=np.float32)[:, :, None]
    pooled, parted, rows = [], [], []
    for horizon in horizons:
        reached = max(0, min(bars, len(opens) - 1 - horizon))
        gain = np.full((bars, instruments), np.nan)
        begin = opens[1 : 1 + reached]
        gain[:reached] = opens[1 + horizon : 1 + horizon + reached] / begin - 1.0
        pooled.append(_rank_ic(cube, gain))
        parted.append([_rank_ic(cube[start:stop], gain[start:stop]) for start, stop in parts])
        rows.append(int((~np.isnan(gain) & ~np.isnan(cube[:, :, 0])).sum()))
    return Decay(
        tuple(horizons),
        np.array(pooled),
        np.array(parted, dtype=np.float64).reshape(len(pooled), len(parts)),
        np.array(rows, dtype=np.int64),
    )


def _rank_ic(scores: npt.NDArray[np.float32], gain: Float64Array) -> float:
    measured = ml_metrics(
        np.ascontiguousarray(scores), np.ascontiguousarray(gain, dtype=np.float32), "forward_return"
    )
    return float(measured["rank_ic"][0])
