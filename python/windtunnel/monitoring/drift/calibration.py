"""How far stationary data stray from their own past: the law of the statistics without drift."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.monitoring.drift import distances as marginal
from windtunnel.monitoring.drift.multivariate import Discriminant, squared_mmd
from windtunnel.monitoring.drift.reference import COUNTS, DriftReference

Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]

MARGINAL = len(marginal.STATISTICS)
_FLOOR = 1e-9  # a distance of zero has no logarithm
_SHRINK, _STRETCH = 2.0, 3.0


@dataclass(frozen=True)
class NullLaw:
    """The standardised statistics of B resampled windows, none of which drifted.

    Attributes
    ----------
    centre, spread : (S,) float64
        Mean and standard deviation of each statistic on its scale, S = 4 F + 2.
    highest : (B,) float64
        Largest standardised statistic of each resample, ascending.
    by_feature : (B, F) float64
        Largest of each feature's own, ascending in each column.
    stretches : float
        Independent stretches in the reference.
    """

    centre: Float64Array
    spread: Float64Array
    highest: Float64Array
    by_feature: Float64Array
    stretches: float

    def standardise(self, raw: Float64Array) -> Float64Array:
        """Statistics (..., S) on their scale, in deviations from what no drift gives."""
        return _sized((_scaled(raw) - self.centre) / self.spread)

    def threshold(self, level: float) -> float:
        """What the largest standardised statistic exceeds with chance `level` at most.

        A reference of few independent stretches knows little of its own extremes. So the
        level is divided by 1 + 2 times the relative standard error of a share `level` among
        that many stretches, and the distance from the mean is stretched by 1 plus three over
        their square root. The two constants were chosen by simulation, see docs/drift.md:
        with them AR(1) up to 0.97 keeps the interval that is promised on a reference of 1,500
        bars, and GARCH(1, 1) of persistence 0.98 about does.
        """
        error = math.sqrt((1.0 - level) / (level * self.stretches))
        quantile = float(np.quantile(self.highest, 1.0 - level / (1.0 + _SHRINK * error)))
        middle = float(self.highest.mean())
        return middle + (quantile - middle) * self._stretch

    def feature_p_values(self, standard: Float64Array) -> Float64Array:
        """A p-value (F,) for each feature's largest standardised statistic (F,)."""
        middle = self.by_feature.mean(axis=0)
        shrunk = middle + (standard - middle) / self._stretch
        resamples = len(self.by_feature)
        reached = np.array(
            [
                resamples - np.searchsorted(self.by_feature[:, f], value, side="left")
                for f, value in enumerate(shrunk)
            ]
        )
        return np.asarray((1.0 + reached) / (1.0 + resamples))

    @property
    def _stretch(self) -> float:
        return 1.0 + _STRETCH / math.sqrt(self.stretches)


class Comparison:
    """Computes all statistics of a window against a reference, or of resamples of both."""

    def __init__(self, reference: DriftReference, *, seed: int = 0) -> None:
        self.reference = reference
        self._discriminant = Discriminant(reference.embedded, seed=seed)
        self._counts = self._count(np.arange(reference.bars))
        self._mean = reference.embedded.mean(axis=0, dtype=np.float64)

    def window(self, rows: Float64Array, first_row: Int64Array) -> Float64Array:
        """Statistics (S,) of a window of rows (n, F); bar t begins at row first_row[t].

        The order is psi, ks, wasserstein and magnitude of the first feature, of the second and
        so on, then the multivariate ones.
        """
        reference = self.reference
        bars = np.arange(len(first_row) - 1)
        counts = np.empty_like(self._counts)
        marginal.count_cells(
            reference.cells_of(rows), reference.sizes_of(rows), first_row, bars, counts
        )
        embedded = reference.embedding(rows)
        middle = first_row[len(bars) // 2]
        return self._statistics(
            self._counts, counts, embedded[:middle], embedded[middle:], self._mean
        )

    def null(self, window: int, resamples: int, seed: int) -> NullLaw:
        """The law of the statistics of `window` bars when nothing drifts.

        Reference and window are both drawn anew from the reference's bars by the stationary
        bootstrap of Politis and Romano (1994), all instruments and features of a bar
        together: the window's own way of straying and the reference's error both count.
        """
        reference = self.reference
        random = np.random.default_rng(seed)
        raw = np.empty((resamples, MARGINAL * len(reference.names) + 2))
        sums = np.add.reduceat(
            reference.embedded.astype(np.float64), reference.first_row[:-1], axis=0
        )
        rows = np.diff(reference.first_row).astype(np.float64)
        for b in range(resamples):
            again = stationary_indices(random, reference.bars, reference.bars, reference.block)
            drawn = stationary_indices(random, window, reference.bars, reference.block)
            weight = np.bincount(again, minlength=reference.bars).astype(np.float64)
            mean = weight @ sums / (weight @ rows)
            half = window // 2
            raw[b] = self._statistics(
                self._count(again),
                self._count(drawn),
                self._embedded(drawn[:half]),
                self._embedded(drawn[half:]),
                mean,
            )
        scaled = _scaled(raw)
        centre, spread = scaled.mean(axis=0), scaled.std(axis=0)
        spread = np.maximum(spread, 1e-6)
        standard = _sized((scaled - centre) / spread)
        by_feature = standard[:, :-2].reshape(resamples, -1, MARGINAL).max(axis=2)
        return NullLaw(
            centre,
            spread,
            np.sort(standard.max(axis=1)),
            np.sort(by_feature, axis=0),
            reference.stretches,
        )

    def _count(self, bars: Int64Array) -> Float64Array:
        reference = self.reference
        counts = np.empty((len(reference.names), COUNTS))
        marginal.count_cells(reference.cells, reference.sizes, reference.first_row, bars, counts)
        return counts

    def _embedded(self, bars: Int64Array) -> Float32Array:
        first = self.reference.first_row
        rows = bars
        if len(self.reference.embedded) != self.reference.bars:
            rows = np.concatenate([np.arange(first[bar], first[bar + 1]) for bar in bars])
        return np.take(self.reference.embedded, rows, axis=0)

    def _statistics(
        self,
        ours: Float64Array,
        theirs: Float64Array,
        first: Float32Array,
        second: Float32Array,
        mean: Float64Array,
    ) -> Float64Array:
        reference = self.reference
        out = np.empty((len(reference.names), MARGINAL))
        marginal.distances(ours, theirs, reference.widths, reference.groups, out)
        both = len(first) + len(second)
        total = first.sum(axis=0, dtype=np.float64) + second.sum(axis=0, dtype=np.float64)
        return np.append(
            out.ravel(),
            [squared_mmd(total / both, mean), self._discriminant.auc(first, second, mean)],
        )


def stationary_indices(
    random: np.random.Generator, length: int, bars: int, block: float
) -> Int64Array:
    """Draw `length` bar numbers in blocks of geometric length of mean `block`, circularly."""
    begins = random.random(length) < 1.0 / block
    begins[0] = True
    starts = random.integers(0, bars, int(begins.sum()))
    number = np.cumsum(begins) - 1
    since = np.arange(length) - np.flatnonzero(begins)[number]
    return np.asarray((starts[number] + since) % bars, dtype=np.int64)


def _scaled(raw: Float64Array) -> Float64Array:
    """Distances as logarithms, which are about normal; magnitudes and the AUC as they are."""
    scaled = raw.copy()
    for k in range(MARGINAL - 1):
        scaled[..., k:-2:MARGINAL] = np.log(raw[..., k:-2:MARGINAL] + _FLOOR)
    scaled[..., -2] = np.log(raw[..., -2] + _FLOOR)
    return scaled


def _sized(standard: Float64Array) -> Float64Array:
    """Only far values of the distances count; a magnitude may be too small as well."""
    magnitudes = standard[..., MARGINAL - 1 : -2 : MARGINAL]
    np.abs(magnitudes, out=magnitudes)
    return standard
