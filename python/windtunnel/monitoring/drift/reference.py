"""The rows that a model was trained on, prepared to be compared with and resampled from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.drift.embedding import Embedding
from windtunnel.monitoring.drift.promise import block_within, too_short
from windtunnel.overfitting.block_length import MIN_BARS, stationary_block_length

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

CELLS = 120  # of equal reference mass, a feature
SIZES = 3  # how far a value lies below and above the outermost edges, and its magnitude
COUNTS = CELLS + SIZES  # what is counted: rows by cell, then the sums of their sizes
# In standard deviations: a few wild values must not decide for a window.
_FARTHEST = 3.0
_LARGEST = 100.0
# A window compared with fewer bars than these can be called anything.
FEWEST_BARS = 100


@dataclass(frozen=True)
class DriftReference:
    """R rows of F features over T bars, made by `build_reference`.

    Attributes
    ----------
    names : tuple of F str
    ordered : bool
        Whether the bars follow one another in time. If not, nothing is known of their
        dependence.
    first_row : (T + 1,) int64
        Rows of bar t are first_row[t] to first_row[t + 1] - 1.
    edges : (F, CELLS - 1) float64
        Quantiles that cut each feature into cells, not falling.
    widths : (F, CELLS - 1) float64
        Distance from one edge to the next in units of the feature's standard deviation.
    cells : (R, F) uint8
        The cell of each value.
    centre, spread : (F,) float64
        Medians, and standard deviations, 1 for a constant feature.
    sizes : (R, F, SIZES) float32
        How far each value lies below the lowest and above the highest edge, at most 3; and its
        magnitude ln(1 + |x - centre|), |x - centre| at most 100. Distances in `spread`.
    groups : (F, CELLS) int64
        The decile of the reference to which a cell belongs, for the stability index.
    embedding : Embedding
    embedded : (R, D) float32
    memory : float
        Mean length of blocks that hold the dependence of the bars, in bars.
    """

    names: tuple[str, ...]
    ordered: bool
    first_row: Int64Array
    edges: Float64Array
    widths: Float64Array
    centre: Float64Array
    spread: Float64Array
    sizes: npt.NDArray[np.float32]
    cells: npt.NDArray[np.uint8]
    groups: Int64Array
    embedding: Embedding
    embedded: npt.NDArray[np.float32]
    memory: float

    @property
    def bars(self) -> int:
        """Number of bars, T."""
        return len(self.first_row) - 1

    @property
    def block(self) -> float:
        """Mean length of the blocks in which the bars are drawn anew."""
        return block_within(self.memory, self.bars)

    @property
    def unkept(self) -> str:
        """Why the promised interval between false alarms may not hold; empty if it does."""
        if not self.ordered:
            return "the bars of the training rows were not exported"
        return too_short(self.memory, self.bars)

    @property
    def stretches(self) -> float:
        """About how many independent stretches the bars hold: T / block."""
        return self.bars / self.block

    def cells_of(self, rows: Float64Array) -> npt.NDArray[np.uint8]:
        """The cells (n, F) of rows (n, F): cell i holds edge i - 1 < x <= edge i."""
        return _cells(rows, self.edges)

    def sizes_of(self, rows: Float64Array) -> npt.NDArray[np.float32]:
        """The sizes (n, F, SIZES) of rows (n, F)."""
        return _sizes(rows, self.edges, self.centre, self.spread)


def build_reference(
    rows: npt.NDArray[np.floating],
    names: tuple[str, ...],
    bars: npt.NDArray[np.integer] | None = None,
    *,
    seed: int = 0,
) -> DriftReference:
    """Prepare rows (R, F) for comparison.

    Parameters
    ----------
    rows : (R, F) float
        Raw features, oldest first. A row with a NaN is left out, as the model gives no
        score for it.
    names : tuple of F str
    bars : (R,) int, optional
        Number of the bar of each row, not falling. Without it each row is a bar of its own.
    seed : int
        Of the random features of the embedding.

    Raises
    ------
    MonitoringError
        Shapes do not fit, the bars fall, a value is infinite, or there are fewer than 100 bars.
    """
    values = np.asarray(rows, np.float64)
    if values.ndim != 2 or values.shape[1] != len(names):
        raise MonitoringError(
            f"reference rows: must be (R, features={len(names)}), got {values.shape}",
            "Give raw features in the order of their names",
        )
    number = np.arange(len(values)) if bars is None else np.asarray(bars, np.int64)
    if number.shape != values.shape[:1] or (np.diff(number) < 0).any():
        raise MonitoringError(
            f"reference bars: must be {len(values)} numbers that do not fall",
            "Sort the rows by bar",
        )
    defined = ~np.isnan(values).any(axis=1)
    values, number = values[defined], number[defined]
    if np.isinf(values).any():
        raise MonitoringError("reference rows: hold an infinite value", "Leave those rows out")
    if not len(values):
        raise MonitoringError("reference rows: every row holds a NaN", "Give defined features")
    first_row = np.append(np.flatnonzero(np.diff(number, prepend=number[0] - 1)), len(values))
    if len(first_row) - 1 < FEWEST_BARS:
        raise MonitoringError(
            f"reference: holds {len(first_row) - 1} bars without NaN, fewer than {FEWEST_BARS}",
            "Export the model again from a longer training slice",
        )
    edges = np.quantile(values, np.arange(1, CELLS) / CELLS, axis=0, method="inverted_cdf").T
    spread = values.std(axis=0)
    spread[spread == 0.0] = 1.0
    centre = np.median(values, axis=0)
    widths = np.diff(edges, axis=1, append=edges[:, -1:]) / spread[:, None]
    cells = _cells(values, edges)
    embedding = Embedding.fit(values, seed=seed)
    return DriftReference(
        names=names,
        ordered=bars is not None,
        first_row=first_row.astype(np.int64),
        edges=np.ascontiguousarray(edges),
        widths=np.ascontiguousarray(widths),
        centre=centre,
        spread=spread,
        sizes=_sizes(values, edges, centre, spread),
        cells=cells,
        groups=_deciles(cells),
        embedding=embedding,
        embedded=embedding(values),
        memory=_memory(values, first_row),
    )


def _cells(rows: Float64Array, edges: Float64Array) -> npt.NDArray[np.uint8]:
    columns = [np.searchsorted(own, rows[:, f], side="left") for f, own in enumerate(edges)]
    return np.stack(columns, axis=1).astype(np.uint8)


def _sizes(
    rows: Float64Array, edges: Float64Array, centre: Float64Array, spread: Float64Array
) -> npt.NDArray[np.float32]:
    out = np.empty((*rows.shape, SIZES), np.float32)
    out[..., 0] = np.clip((edges[:, 0] - rows) / spread, 0.0, _FARTHEST)
    out[..., 1] = np.clip((rows - edges[:, -1]) / spread, 0.0, _FARTHEST)
    out[..., 2] = np.log1p(np.minimum(np.abs(rows - centre) / spread, _LARGEST))
    return out


def _deciles(cells: npt.NDArray[np.uint8]) -> Int64Array:
    """The decile of each cell by the share of the reference below its middle."""
    groups = np.empty((cells.shape[1], CELLS), np.int64)
    for f in range(cells.shape[1]):
        share = np.bincount(cells[:, f], minlength=CELLS) / len(cells)
        middle = np.cumsum(share) - share / 2
        groups[f] = np.minimum((middle * 10).astype(np.int64), 9)
    return groups


def _memory(values: Float64Array, first_row: Int64Array) -> float:
    """Twice the longest Politis-White length of any feature's bar means, level and size alike.

    Clusters of volatility show in the size alone. Twice, because the rule is made for the
    variance of a mean and a window's extremes depend on more.
    """
    counts = np.diff(first_row)
    bars = len(counts)
    centred = values - np.median(values, axis=0)
    longest = 1.0
    for series in (centred, np.abs(centred)):
        means = np.add.reduceat(series, first_row[:-1], axis=0) / counts[:, None]
        for f in range(means.shape[1]):
            if bars >= MIN_BARS and np.ptp(means[:, f]) > 0:
                longest = max(longest, stationary_block_length(np.ascontiguousarray(means[:, f])))
    return 2.0 * longest
