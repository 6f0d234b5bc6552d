"""Tail quantiles and the mean beyond, by selection among the few values that can matter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Float64Array = npt.NDArray[np.float64]

TAIL = 0.05
TAIL_RATIO = 10  # rows of the results that are filled here
CVAR = 11


@njit(nogil=True, cache=True, error_model="numpy")
def lane_tails(r: Float64Array, scratch: Float64Array, out: Float64Array) -> None:
    """Tail ratio and CVaR of returns r (T,); `scratch` holds 2 T values."""
    n = r.size
    bound = _sampled_bound(r, 1.0)
    m = 0
    for t in range(n):
        scratch[m] = r[t]
        m += 1 if r[t] <= bound else 0
    if m < _rank(n) + 2:
        # The sample misled: select among all of them.
        m = n
        scratch[:n] = r
    low, below = lower_tail(scratch, m, n)
    bound = _sampled_bound(r, -1.0)
    m = 0
    for t in range(n):
        scratch[m] = -r[t]
        m += 1 if -r[t] <= bound else 0
    if m < _rank(n) + 2:
        m = n
        scratch[:n] = -r
    high, _ = lower_tail(scratch, m, n)
    fill_tails(low, below, high, out)


@njit(nogil=True, cache=True, error_model="numpy")
def fill_tails(low: float, below: float, high: float, out: Float64Array) -> None:
    """Fill the tail ratio (undefined over a quantile of zero) and CVaR."""
    if low != 0.0:
        out[TAIL_RATIO] = abs(high) / abs(low)
    out[CVAR] = below


@njit(nogil=True, cache=True, error_model="numpy")
def _rank(n: int) -> int:
    return int((n - 1) * TAIL)


@njit(nogil=True, cache=True, error_model="numpy")
def lower_tail(a: Float64Array, m: int, n: int) -> tuple[float, float]:
    """Linear 5 % quantile of n values, and the mean of those that are no larger.

    a[:m] are the m smallest of them in any order, m >= min(n, rank + 2); the array has room
    for 2 m values and keeps these m.
    """
    position = (n - 1) * TAIL
    k = int(position)
    value = _smallest(a, m, k)
    no_larger = 0
    following = np.inf
    for t in range(m):
        x = a[t]
        no_larger += 1 if x <= value else 0
        following = x if (x > value) & (x < following) else following
    if no_larger > k + 1 or k + 1 >= n:
        following = value
    quantile = value + (position - k) * (following - value)
    # Four sums: one would wait for itself.
    s0 = 0.0
    s1 = 0.0
    s2 = 0.0
    s3 = 0.0
    count = 0
    for t in range(0, m - 3, 4):
        s0 += a[t] if a[t] <= quantile else 0.0
        s1 += a[t + 1] if a[t + 1] <= quantile else 0.0
        s2 += a[t + 2] if a[t + 2] <= quantile else 0.0
        s3 += a[t + 3] if a[t + 3] <= quantile else 0.0
    for t in range(m - m % 4, m):
        s0 += a[t] if a[t] <= quantile else 0.0
    for t in range(m):
        count += 1 if a[t] <= quantile else 0
    return quantile, (s0 + s1 + s2 + s3) / count


@njit(nogil=True, cache=True, error_model="numpy")
def _smallest(a: Float64Array, m: int, k: int) -> float:
    """The value of rank k (from 0) among a[:m], which stay; a[m : 2 m] is overwritten.

    Quickselect without branches on the values: what is below the pivot moves to the front,
    what is above to the back of the room behind, each written whether it counts or not.
    """
    start = 0
    stop = m
    to = m
    while True:
        x = a[start]
        y = a[(start + stop) // 2]
        z = a[stop - 1]
        pivot = max(min(x, y), min(max(x, y), z))
        below = 0
        for t in range(start, stop):
            below += 1 if a[t] < pivot else 0
        at = to
        if below > k:
            for t in range(start, stop):
                x = a[t]
                a[at] = x
                at += 1 if x < pivot else 0
        else:
            for t in range(start, stop):
                x = a[t]
                a[at] = x
                at += 1 if x > pivot else 0
            not_above = (stop - start) - (at - to)
            if k < not_above:
                return float(pivot)
            k -= not_above
        # From now on in place: what is written never overtakes what is read.
        start = to
        stop = at


@njit(nogil=True, cache=True, error_model="numpy")
def _sampled_bound(r: Float64Array, sign: float) -> float:
    """A value very likely above the 5 % quantile of sign * r, yet below most of the data.

    The 14th smallest of 128 spread over the series: three standard deviations of the
    binomial above its mean, 6.4. Selecting below it moves a ninth of the data only.
    """
    if r.size < 512:
        return np.inf
    sample = np.empty(256)
    for i in range(128):
        sample[i] = sign * r[i * r.size // 128]
    return _smallest(sample, 128, 13)
