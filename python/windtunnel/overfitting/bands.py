"""How far an equity curve could have ended elsewhere, by the stationary bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.metrics.lanes import over_lanes
from windtunnel.overfitting import stationary_block_length
from windtunnel.overfitting._band_kernel import resample_growth

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EquityBand:
    """Result of `equity_band`.

    Attributes
    ----------
    bars : (M,) int64
        The bars at which the band is known, in order, the last one included.
    low, high : (M,) float64
        Equity, in the currency of `initial`; at each bar on its own, `confidence` of the
        resampled curves lie between them.
    confidence : float
    block_length : float
        Mean block length in bars.
    resamples : int
    """

    bars: npt.NDArray[np.int64]
    low: Float64Array
    high: Float64Array
    confidence: float
    block_length: float
    resamples: int


def equity_band(
    returns: Float64Array,
    *,
    initial: float,
    confidence: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
    block_length: float | None = None,
    points: int = 400,
) -> EquityBand:
    """Pointwise percentile band of equity under redrawn blocks of its own returns.

    Stationary bootstrap of Politis and Romano (1994). The same arguments give the same band
    on any number of threads. The mean of the returns is kept: the band says how much of the
    curve is the order and choice of days, and knows nothing of the trials among which the
    curve was chosen. A path that loses everything stays at zero.

    Parameters
    ----------
    returns : (T,) float64
        Simple returns per bar, T >= 20.
    initial : float
        Capital before the first bar, above zero.
    confidence : float
        Share of the resampled curves inside at each bar, between 0 and 1.
    resamples : int
        How many, at least 100.
    seed : int
        Non-negative, below 2**63.
    block_length : float, optional
        Mean block length in bars, 1 to T; `stationary_block_length` when absent.
    points : int
        At most this many bars are kept, evenly spread, at least 2.

    Raises
    ------
    MetricError
        NaN or infinite returns, a wrong shape, T < 20, or an argument out of range.
    """
    # Checks the returns, too.
    automatic = stationary_block_length(returns)
    values = np.ascontiguousarray(returns, dtype=np.float64)
    bars = len(values)
    block = automatic if block_length is None else float(block_length)
    for passed, name, rule, value in (
        (np.isfinite(initial) and initial > 0, "initial", "finite and above zero", initial),
        (0 < confidence < 1, "confidence", "between 0 and 1", confidence),
        (resamples >= 100, "resamples", "100 or more", resamples),
        (0 <= seed < 2**63, "seed", "between 0 and 2**63 - 1", seed),
        (1 <= block <= bars, "block_length", f"between 1 and {bars} bars", block),
        (points >= 2, "points", "2 or more", points),
    ):
        if not passed:
            raise MetricError(f"{name}: must be {rule}, got {value}", f"Change {name}")
    at = np.unique(np.linspace(0, bars - 1, min(points, bars)).round().astype(np.int64))
    growth = np.empty((resamples, len(at)))

    def part(start: int, stop: int) -> None:
        resample_growth(values, at, seed, block, growth, start, stop)

    over_lanes(part, resamples, width=32)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(growth, [tail, 1.0 - tail], axis=0) * initial
    return EquityBand(at, low, high, confidence, block, resamples)
