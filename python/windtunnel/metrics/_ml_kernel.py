"""The compiled pass behind `ml_metrics`: everything that needs no ranks, then the ranks.

Ranks come from a radix sort of packed integers: the order-preserving bits of the float32
score above, the row below. Three passes of eleven bits sort a configuration's rows in
linear time, and equal scores end up side by side.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

WIDTH = 16
"""Configurations a tile: one cache line of float32 a row."""

DIRECTION = ("log_loss", "auc", "accuracy", "brier", "ic", "rank_ic", "calibration_error")
FORWARD_RETURN = ("mse", "accuracy", "ic", "rank_ic")

CLIP = 1e-7
BINS = 10

_ROW_BITS = 31
_ROW_MASK = (1 << _ROW_BITS) - 1
_DIGIT = 11


@njit(nogil=True, cache=True, error_model="numpy")
def measure(
    scores: Float32Array,
    rows: Int64Array,
    labels: Float64Array,
    label_order: Int64Array,
    direction: bool,
    out: Float64Array,
    first_bad: Int64Array,
    start: int,
    stop: int,
) -> None:
    """Fill out[:, start:stop] and first_bad (first unusable row of `rows`, or -1).

    scores (T*N, C); rows (M,) those with a label; labels (M,) of these; label_order (M,)
    sorts them.
    """
    count = rows.size
    tile = np.empty((WIDTH, count), dtype=np.float32)
    keys = np.empty(count, dtype=np.int64)
    spare = np.empty(count, dtype=np.int64)
    label_ranks = np.empty(count)
    for first in range(start, stop, WIDTH):
        width = min(WIDTH, stop - first)
        for m in range(count):
            for lane in range(width):
                tile[lane, m] = scores[rows[m], first + lane]
        for lane in range(width):
            s = tile[lane]
            column = out[:, first + lane]
            column[:] = np.nan
            first_bad[first + lane] = _first_bad(s, direction)
            if first_bad[first + lane] >= 0:
                continue
            if direction:
                _classification(s, labels, column)
                column[4] = _correlation(s, labels)
                known = _sorted_keys(s, keys, spare)
                column[1], column[5] = _rank_statistics(known, labels, True)
            else:
                _regression(s, labels, column)
                column[2] = _correlation(s, labels)
                _rank_labels(s, labels, label_order, label_ranks)
                known = _sorted_keys(s, keys, spare)
                _, column[3] = _rank_statistics(known, label_ranks, False)


@njit(nogil=True, cache=True, error_model="numpy")
def _first_bad(s: Float32Array, direction: bool) -> int:
    for m in range(s.size):
        if math.isinf(s[m]) or (direction and abs(s[m]) > 1.0 + 1e-6):
            return m
    return -1


@njit(nogil=True, cache=True, error_model="numpy")
def _half_right(product: float) -> float:
    if product > 0.0:
        return 1.0
    return 0.5 if product == 0.0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _classification(s: Float32Array, labels: Float64Array, out: Float64Array) -> None:
    n = 0
    loss = 0.0
    right = 0.0
    brier = 0.0
    surplus = np.zeros(BINS)
    for m in range(s.size):
        if math.isnan(s[m]):
            continue
        n += 1
        y = labels[m]
        p = min(max(0.5 + 0.5 * np.float64(s[m]), 0.0), 1.0)
        likelihood = p if y > 0.5 else 1.0 - p
        loss -= math.log(min(max(likelihood, CLIP), 1.0 - CLIP))
        right += _half_right(np.float64(s[m]) * (y - 0.5))
        brier += (p - y) * (p - y)
        surplus[min(int(p * BINS), BINS - 1)] += p - y
    if n > 0:
        out[0] = loss / n
        out[2] = right / n
        out[3] = brier / n
        out[6] = np.sum(np.abs(surplus)) / n


@njit(nogil=True, cache=True, error_model="numpy")
def _regression(s: Float32Array, labels: Float64Array, out: Float64Array) -> None:
    n = 0
    squares = 0.0
    right = 0.0
    for m in range(s.size):
        if math.isnan(s[m]):
            continue
        n += 1
        miss = np.float64(s[m]) - labels[m]
        squares += miss * miss
        right += _half_right(np.float64(s[m]) * labels[m])
    if n > 0:
        out[0] = squares / n
        out[1] = right / n


@njit(nogil=True, cache=True, error_model="numpy")
def _correlation(s: Float32Array, labels: Float64Array) -> float:
    n = 0
    sum_s = 0.0
    sum_y = 0.0
    low_s, high_s, low_y, high_y = np.inf, -np.inf, np.inf, -np.inf
    for m in range(s.size):
        x = np.float64(s[m])
        if math.isnan(x):
            continue
        y = labels[m]
        n += 1
        sum_s += x
        sum_y += y
        low_s, high_s = min(low_s, x), max(high_s, x)
        low_y, high_y = min(low_y, y), max(high_y, y)
    # Asking for the range is exact where a computed variance is only small.
    if n < 2 or low_s == high_s or low_y == high_y:
        return np.nan
    mean_s = sum_s / n
    mean_y = sum_y / n
    ss = 0.0
    yy = 0.0
    sy = 0.0
    for m in range(s.size):
        x = np.float64(s[m])
        if math.isnan(x):
            continue
        ss += (x - mean_s) * (x - mean_s)
        yy += (labels[m] - mean_y) * (labels[m] - mean_y)
        sy += (x - mean_s) * (labels[m] - mean_y)
    return sy / math.sqrt(ss) / math.sqrt(yy)


@njit(nogil=True, cache=True, error_model="numpy")
def _sorted_keys(s: Float32Array, keys: Int64Array, spare: Int64Array) -> Int64Array:
    """Packed (score, row) of the rows with a score, ascending by score."""
    bits = s.view(np.int32)
    n = 0
    for m in range(s.size):
        if math.isnan(s[m]):
            continue
        b = np.int64(bits[m]) if s[m] != 0.0 else np.int64(0)  # -0 equals +0
        # Sign and magnitude to two's complement, then to a positive number.
        ordered = (b ^ 0x7FFFFFFF if b < 0 else b) + 0x80000000
        keys[n] = (ordered << _ROW_BITS) | m
        n += 1
    source = keys
    target = spare
    buckets = 1 << _DIGIT
    counts = np.empty(buckets, dtype=np.int64)
    for shift in range(_ROW_BITS, _ROW_BITS + 32, _DIGIT):
        counts[:] = 0
        for i in range(n):
            counts[(source[i] >> shift) & (buckets - 1)] += 1
        before = 0
        for d in range(buckets):
            here = counts[d]
            counts[d] = before
            before += here
        for i in range(n):
            d = (source[i] >> shift) & (buckets - 1)
            target[counts[d]] = source[i]
            counts[d] += 1
        source, target = target, source
    return source[:n]


@njit(nogil=True, cache=True, error_model="numpy")
def _rank_labels(
    s: Float32Array, labels: Float64Array, label_order: Int64Array, ranks: Float64Array
) -> None:
    """Average ranks of the labels among the rows that have a score."""
    rank = 0
    i = 0
    while i < label_order.size:
        j = i
        tied = 0
        while j < label_order.size and labels[label_order[j]] == labels[label_order[i]]:
            if not math.isnan(s[label_order[j]]):
                tied += 1
            j += 1
        average = rank + 0.5 * (tied + 1)
        for k in range(i, j):
            ranks[label_order[k]] = average
        rank += tied
        i = j


@njit(nogil=True, cache=True, error_model="numpy")
def _rank_statistics(known: Int64Array, y: Float64Array, binary: bool) -> tuple[float, float]:
    """AUC (for binary y) and Pearson correlation of average score ranks with y.

    Ranks of a binary label are an affine map of the label, so the correlation with the
    label itself is the rank correlation.
    """
    n = known.size
    if n < 2:
        return np.nan, np.nan
    mean_y = 0.0
    for i in range(n):
        mean_y += y[known[i] & _ROW_MASK]
    mean_y /= n
    centre = 0.5 * (n + 1)
    positives = 0.0
    positive_ranks = 0.0
    rr = 0.0
    ry = 0.0
    yy = 0.0
    i = 0
    while i < n:
        j = i
        total = 0.0
        while j < n and known[j] >> _ROW_BITS == known[i] >> _ROW_BITS:
            value = y[known[j] & _ROW_MASK]
            total += value
            yy += (value - mean_y) * (value - mean_y)
            j += 1
        average = 0.5 * (i + 1 + j)
        positives += total
        positive_ranks += average * total
        rr += (j - i) * (average - centre) * (average - centre)
        ry += (average - centre) * (total - (j - i) * mean_y)
        i = j
    auc = np.nan
    negatives = n - positives
    if binary and positives > 0.0 and negatives > 0.0:
        auc = (positive_ranks - 0.5 * positives * (positives + 1.0)) / (positives * negatives)
    flat = rr == 0.0 or yy == 0.0 or (binary and (positives == 0.0 or negatives == 0.0))
    return auc, np.nan if flat else ry / math.sqrt(rr) / math.sqrt(yy)
