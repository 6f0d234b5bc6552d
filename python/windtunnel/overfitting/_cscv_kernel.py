"""The compiled loop behind `pbo`: every split of the blocks from sums of blocks alone.

The blocks are halved into a low and a high group. For each subset of a group the sums of
returns and squared returns are tabled once, so a split costs one addition per trial and
sum. A split and its complement are done together: what is in sample for the one is out of
sample for the other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_FLAT = 1e-12  # variance below this share of the mean square is rounding
_TIE = 1e-9  # Sharpe ratios this close, relatively, are equal: copies at other leverage
_HUGE = 1e300  # orders a constant gain above, a constant loss below every Sharpe ratio


@njit(nogil=True, cache=True, error_model="numpy")
def block_sums(
    returns: Float64Array, centre: float, edges: Int64Array
) -> tuple[Float64Array, Float64Array]:
    """Sums of (r - centre) and of its square, each (blocks, C)."""
    blocks = edges.size - 1
    trials = returns.shape[1]
    first = np.zeros((blocks, trials))
    second = np.zeros((blocks, trials))
    for b in range(blocks):
        for t in range(edges[b], edges[b + 1]):
            for c in range(trials):
                x = returns[t, c] - centre
                first[b, c] += x
                second[b, c] += x * x
    return first, second


@njit(nogil=True, cache=True, error_model="numpy")
def subset_sums(sums: Float64Array) -> Float64Array:
    """(2**B, C): row m is the sum of the rows of `sums` whose bit is set in m."""
    blocks, trials = sums.shape
    table = np.zeros((1 << blocks, trials))
    for b in range(blocks):
        for m in range(1 << b):
            for c in range(trials):
                table[(1 << b) + m, c] = table[m, c] + sums[b, c]
    return table


@njit(nogil=True, cache=True, error_model="numpy")
def all_splits(
    masks: Int64Array,
    half: int,
    lengths: Int64Array,
    low1: Float64Array,
    low2: Float64Array,
    high1: Float64Array,
    high2: Float64Array,
    centre: float,
    noise: Float64Array,
    ranks: Float64Array,
    loss: BoolArray,
    tied: BoolArray,
    start: int,
    stop: int,
) -> None:
    """For masks[start:stop], rows (in sample = mask, in sample = complement) of the results.

    ranks (S, 2): average rank out of sample, 1 to C, of the trial that is best in sample;
    loss (S, 2): its Sharpe ratio there is below zero; tied (S, 2): all trials tie there.
    """
    trials = low1.shape[1]
    group = (1 << half) - 1
    inside = np.empty(trials)
    outside = np.empty(trials)
    for k in range(start, stop):
        low = masks[k] & group
        high = masks[k] >> half
        n_inside = lengths[masks[k]]
        n_outside = lengths[lengths.size - 1] - n_inside
        _performance(
            low1[low], low2[low], high1[high], high2[high], n_inside, centre, noise, inside
        )
        low = group - low
        high = group - high
        _performance(
            low1[low], low2[low], high1[high], high2[high], n_outside, centre, noise, outside
        )
        _judge(inside, outside, ranks[k], loss[k], tied[k], 0)
        _judge(outside, inside, ranks[k], loss[k], tied[k], 1)


@njit(nogil=True, cache=True, error_model="numpy")
def _performance(
    low1: Float64Array,
    low2: Float64Array,
    high1: Float64Array,
    high2: Float64Array,
    n: int,
    centre: float,
    noise: Float64Array,
    out: Float64Array,
) -> None:
    """sign(mean) mean**2 / variance: orders trials as their Sharpe ratios do, without roots."""
    inverse = 1.0 / n
    for c in range(out.size):
        s1 = low1[c] + high1[c]
        s2 = low2[c] + high2[c]
        shift = s1 * inverse
        mean = centre + shift
        variance = s2 * inverse - shift * shift
        flat = (variance <= _FLAT * s2 * inverse) | (variance <= noise[c] * noise[c])
        ratio = mean * abs(mean) / (1.0 if flat else variance)
        constant = 0.0 if abs(mean) <= noise[c] else (_HUGE if mean > 0.0 else -_HUGE)
        out[c] = constant if flat else ratio


@njit(nogil=True, cache=True, error_model="numpy")
def _judge(
    inside: Float64Array,
    outside: Float64Array,
    ranks: Float64Array,
    loss: BoolArray,
    tied: BoolArray,
    side: int,
) -> None:
    best = inside[0]
    for c in range(1, inside.size):
        best = max(best, inside[c])
    # Of several that are best in sample, the worst out of sample stands for them: the order
    # of the trials must not decide.
    least = best - _TIE * abs(best)
    value = np.inf
    for c in range(inside.size):
        value = min(value, outside[c] if inside[c] >= least else np.inf)
    slack = _TIE * abs(value)
    below = 0
    equal = 0
    for c in range(outside.size):
        below += 1 if outside[c] < value - slack else 0
        equal += 1 if abs(outside[c] - value) <= slack else 0
    ranks[side] = below + 0.5 * (equal + 1)
    loss[side] = value < 0.0
    tied[side] = equal == outside.size
