"""Means of all trials in all resamples, shared by the tests of the best trial."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.metrics.lanes import over_lanes
from windtunnel.overfitting._counts_kernel import draw_counts
from windtunnel.overfitting._returns import check_returns, varies
from windtunnel.overfitting.block_length import MIN_BARS, common_block_length

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_COLUMNS = 512  # trials a tile: what is held at once is (B, 512)
# Of a resample in which a trial hardly moved, in variances of the sample: above rounding.
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class Resampled:
    """Trials against a benchmark, ready to be resampled.

    `excess` holds the M trials that vary, (T, M), their means taken off; `mean` these means;
    `deviation` the long-run standard deviation of one return (omega); `moving` (C,) which
    trials they are; `block` the mean block length.
    """

    excess: Float64Array
    mean: Float64Array
    deviation: Float64Array
    moving: BoolArray
    block: float
    resamples: int
    seed: int

    @property
    def root(self) -> float:
        """Square root of the number of bars."""
        return math.sqrt(len(self.excess))

    @property
    def trials(self) -> int:
        """Trials that vary."""
        return int(self.excess.shape[1])

    def tiles(self, order: npt.NDArray[np.intp]) -> Iterator[tuple[slice, Float64Array]]:
        """Yield slices of `order` and sqrt(T) (bootstrap mean - mean) of these trials, (B, m)."""
        counts = self._counts()
        for columns in _tiles(len(order)):
            yield columns, counts @ self.excess[:, order[columns]] * self.root

    def studentised_tiles(
        self, order: npt.NDArray[np.intp]
    ) -> Iterator[tuple[slice, Float64Array, Float64Array]]:
        """Yield slices of `order`, these means in deviations, and what these became, (B, m).

        The deviations are those of the sample; what they have become in each resample is told as a
        multiple of them.

        A mean that skewed returns raise comes with a small deviation, and one that they lower with
        a large one: only a deviation taken anew in each resample moves with the mean as that of
        the sample has. It is that of single bars; how they depend on one another is taken from
        the sample.
        """
        counts = self._counts()
        for columns in _tiles(len(order)):
            chosen = order[columns]
            excess = self.excess[:, chosen]
            mean = counts @ excess
            square = excess * excess
            variance = (counts @ square - mean * mean) / square.mean(axis=0)
            scale = np.sqrt(np.maximum(variance, _LEAST_VARIANCE))
            yield columns, mean * (self.root / self.deviation[chosen]), scale

    def _counts(self) -> Float64Array:
        """(B, T) share of each resample that a bar has."""
        counts = np.zeros((self.resamples, len(self.excess)))

        def part(start: int, stop: int) -> None:
            draw_counts(self.seed, self.block, counts, start, stop)

        over_lanes(part, self.resamples, width=16)
        counts /= len(self.excess)
        return counts


def _tiles(trials: int) -> Iterator[slice]:
    for first in range(0, trials, _COLUMNS):
        yield slice(first, min(first + _COLUMNS, trials))


def prepare(
    returns: Float64Array,
    benchmark: Float64Array | None,
    resamples: int,
    seed: int,
    block_length: float | None,
) -> Resampled:
    """Check the arguments that the tests share and measure the trials."""
    values = check_returns(returns, trials=1, bars=MIN_BARS)
    bars = len(values)
    if benchmark is not None:
        if np.shape(benchmark) != (bars,):
            raise MetricError(
                f"benchmark: must be ({bars},) as the returns, got shape {np.shape(benchmark)}",
                "Give the benchmark's return for each bar",
            )
        series = check_returns(np.asarray(benchmark)[:, None], trials=1, bars=MIN_BARS)
        values = values - series
    if resamples < 100:
        raise MetricError(f"resamples: must be 100 or more, got {resamples}", "1000 is usual")
    if not 0 <= seed < 2**63:
        raise MetricError(f"seed: must be 0 to 2**63 - 1, got {seed}", "Give a seed in that range")
    block = common_block_length(values) if block_length is None else float(block_length)
    if not 1 <= block <= bars:
        raise MetricError(
            f"block_length: must be 1 to {bars} bars, got {block}", "Leave it out to have it chosen"
        )
    moving = varies(values)
    excess = values[:, moving]
    mean = excess.mean(axis=0)
    excess = excess - mean
    return Resampled(
        excess, mean, long_run_deviation(excess, block), moving, block, resamples, seed
    )


def long_run_deviation(centred: Float64Array, block: float) -> Float64Array:
    """sqrt(T) times the standard deviation of the bootstrap mean, exactly, for each column.

    Hansen (2005), page 372: omega**2 = g(0) + 2 sum k(T, i) g(i) with the kernel
    k(T, i) = (1 - i/T) (1 - q)**i + (i/T) (1 - q)**(T - i), q = 1 / block, due to Politis
    and Romano (1994), Lemma 1. By the discrete Fourier transform: the sum over the circular
    autocovariances weighs the periodogram with the (positive) transform of the kernel.
    """
    bars = len(centred)
    lag = np.arange(bars)
    stay = 1.0 - 1.0 / block
    kernel = (1.0 - lag / bars) * stay**lag
    # Lag i and lag T - i are the same on a circle.
    kernel[1:] += kernel[1:][::-1].copy()
    weight = np.fft.rfft(kernel).real
    weight[1 : (bars + 1) // 2] *= 2.0  # frequencies that rfft holds once stand for two
    variance = np.empty(centred.shape[1])
    for first in range(0, centred.shape[1], _COLUMNS):
        columns = slice(first, first + _COLUMNS)
        wave = np.fft.rfft(np.ascontiguousarray(centred[:, columns].T), axis=1)
        variance[columns] = (wave.real**2 + wave.imag**2) @ weight
    return np.asarray(np.sqrt(variance) / bars, dtype=np.float64)
