"""A test that may be looked at after every observation: betting against a hypothesis.

The wealth of a gambler who bets fairly against a true hypothesis is a non-negative
supermartingale, so by Ville's inequality the chance that it ever exceeds 1 / alpha is at
most alpha, however often one looks and whenever one stops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError

Float64Array = npt.NDArray[np.float64]

# Shares of the largest bet that cannot ruin, a factor of 1.6 apart: small ones find small
# differences, large ones find large differences quickly.
_SHARES = 0.95 / 1.6 ** np.arange(14)


class BettingProcess:
    """Evidence against "the mean is at most `bound`", for observations in [-1, 1].

    The capital process of Waudby-Smith and Ramdas (2024), "Estimating means of bounded random
    variables by betting", JRSS B 86(1), equation 20, for one side, with the mixture over fixed
    bets in place of one adaptive bet: a mean of martingales is a martingale, and there is
    nothing to tune. The hypothesis is that of each observation given the past, so that a
    drift of the level that both sides share does no harm.

    Parameters
    ----------
    bound : float
        In (-1, 1).

    Attributes
    ----------
    count : int
        Observations so far.
    total : float
        Their sum.
    highest : float
        Largest wealth so far: the evidence does not fade when later observations disagree.
    """

    def __init__(self, bound: float) -> None:
        if not -1.0 < bound < 1.0:
            raise MetricError(
                f"bound: must lie in (-1, 1), got {bound!r}", "Give a difference of two shares"
            )
        self.bound = bound
        self.count = 0
        self.total = 0.0
        self.highest = 1.0
        self._bets = _SHARES / (1.0 + bound)
        self._log_wealth = np.zeros(len(self._bets))

    def update(self, observations: Sequence[float] | Float64Array) -> float:
        """Take in observations, in their order; return the largest wealth so far.

        Raises
        ------
        MetricError
            One is NaN or outside [-1, 1]; none of them is taken in.
        """
        x = np.asarray(observations, dtype=np.float64)
        if x.size == 0:
            return self.highest
        if not (np.abs(x) <= 1.0).all():
            raise MetricError(
                f"observations: must lie in [-1, 1], got {x[~(np.abs(x) <= 1.0)][0]!r}",
                "Scale them to that range",
            )
        steps = np.log1p(np.multiply.outer(x - self.bound, self._bets))
        paths = self._log_wealth + np.cumsum(steps, axis=0)
        self._log_wealth = paths[-1]
        # log of the mean wealth over the bets, the largest of each row taken out first
        peaks = paths.max(axis=1)
        mixed = peaks + np.log(np.exp(paths - peaks[:, None]).mean(axis=1))
        self.highest = max(self.highest, math.exp(min(float(mixed.max()), 700.0)))
        self.count += x.size
        self.total += float(x.sum())
        return self.highest

    @property
    def mean(self) -> float:
        """Mean of the observations; NaN before the first."""
        return self.total / self.count if self.count else math.nan

    def to_record(self) -> dict[str, Any]:
        """Everything needed to go on after a restart, as JSON values."""
        return {
            "bound": self.bound,
            "count": self.count,
            "total": self.total,
            "highest": self.highest,
            "log_wealth": self._log_wealth.tolist(),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Rebuild a process from what `to_record` gave."""
        process = cls(record["bound"])
        process.count = int(record["count"])
        process.total = float(record["total"])
        process.highest = float(record["highest"])
        process._log_wealth = np.array(record["log_wealth"], np.float64)
        return process
