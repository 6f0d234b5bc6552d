"""Probability of backtest overfitting by combinatorially symmetric cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.metrics.lanes import over_lanes
from windtunnel.overfitting._cscv_kernel import all_splits, block_sums, subset_sums
from windtunnel.overfitting._returns import check_returns, rounding

Float64Array = npt.NDArray[np.float64]

_SPLITS_PER_RANGE = 64


@dataclass(frozen=True)
class BacktestOverfitting:
    """Result of `pbo`.

    Attributes
    ----------
    pbo : float
        Share of splits in which the trial that is best in sample lies in the lower half
        out of sample (logit <= 0). About one half for trials without skill, near 0 when
        the choice carries over. NaN when degenerate; `reason` then says why.
    splits : int
        Number of splits, C(blocks, blocks / 2).
    blocks : int
        Blocks of time.
    logits : (splits,) float64
        log(w / (1 - w)) with w = rank / (C + 1), rank 1 the worst and averaged over ties.
        Empty when degenerate.
    probability_of_loss : float
        Share of splits in which the chosen trial's Sharpe ratio out of sample is below
        zero. NaN when degenerate.
    reason : str
        Empty, or why there is no figure.
    """

    pbo: float
    splits: int
    blocks: int
    logits: Float64Array
    probability_of_loss: float
    reason: str = ""


def pbo(returns: Float64Array, blocks: int = 16) -> BacktestOverfitting:
    """Ask how often choosing the best trial on one half of time fails on the other half.

    Bailey, Borwein, Lopez de Prado and Zhu (2017), The Probability of Backtest
    Overfitting, section 3. Performance is the Sharpe ratio (risk-free rate 0).

    Parameters
    ----------
    returns : (T, C) float64
        Simple returns of all trials on the same bars, out of sample of their training.
        Leaving out unsuccessful trials makes the figure worthless.
    blocks : int
        Even number of blocks of time, 2 to 20; 16 give 12,870 splits. T need not divide
        evenly: block lengths then differ by one bar.

    Returns
    -------
    BacktestOverfitting
        The probability, the logits, the probability of loss.

    Raises
    ------
    MetricError
        NaN or infinite returns, a wrong shape, fewer than two trials, an odd or
        out-of-range number of blocks, or fewer than two bars a block.

    Notes
    -----
    Columns are not demeaned or standardised: that would make every gain in one half a
    loss in the other and force the probability to 1. One common constant is taken off all
    returns to keep digits, and given back to the means.

    A trial without variation in a half (no trades) counts there as Sharpe ratio 0, or
    above (below) all others if it gains (loses) the same in every bar. Sharpe ratios
    whose squares agree in nine digits tie, so one strategy at several leverages is one
    strategy. Of several that tie as best in sample, the worst out of sample is taken as
    the choice. When all trials tie in all splits the result is degenerate: there was
    nothing to choose.
    """
    if isinstance(blocks, bool) or not 2 <= blocks <= 20 or blocks % 2:
        raise MetricError(f"blocks: must be even, 2 to 20, got {blocks}", "16 is usual")
    values = check_returns(returns, trials=2, bars=2 * blocks)
    bars, trials = values.shape
    half = blocks // 2
    edges = np.arange(blocks + 1, dtype=np.int64) * bars // blocks
    centre = float(values.mean())
    first, second = block_sums(values, centre, edges)
    low1, low2 = subset_sums(first[:half]), subset_sums(second[:half])
    high1, high2 = subset_sums(first[half:]), subset_sums(second[half:])
    lengths = subset_sums(np.diff(edges).astype(np.float64)[:, None])[:, 0].astype(np.int64)
    # Half of the splits, those with the first block in sample; the others complement them.
    masks = np.array(
        [1 + sum(1 << b for b in rest) for rest in combinations(range(1, blocks), half - 1)],
        dtype=np.int64,
    )
    ranks = np.empty((len(masks), 2))
    loss = np.empty((len(masks), 2), dtype=np.bool_)
    tied = np.empty((len(masks), 2), dtype=np.bool_)
    noise = rounding(values)

    def part(start: int, stop: int) -> None:
        all_splits(
            masks,
            half,
            lengths,
            low1,
            low2,
            high1,
            high2,
            centre,
            noise,
            ranks,
            loss,
            tied,
            start,
            stop,
        )

    over_lanes(part, len(masks), width=_SPLITS_PER_RANGE)
    splits = ranks.size
    if tied.all():
        return BacktestOverfitting(
            np.nan,
            splits,
            blocks,
            np.empty(0),
            np.nan,
            "all trials perform the same in every split: there is nothing to choose between",
        )
    w = ranks.ravel() / (trials + 1)
    logits = np.log(w / (1.0 - w))
    # Compare ranks, not logits: exactly the middle rank must count, whatever log rounds to.
    failed = ranks.ravel() * 2 <= trials + 1
    return BacktestOverfitting(float(failed.mean()), splits, blocks, logits, float(loss.mean()))
