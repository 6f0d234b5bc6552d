"""What the account did against what the backtest promised: returns, and the price of trading."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime

from windtunnel.monitoring.alerts.condition import Condition
from windtunnel.monitoring.decay.confidence import AsymptoticSequence, Interval

_HISTORY = 500
# What rounding may make of a return, which is a ratio near one: far above 2e-16, and far below
# anything that costs.
_ROUNDING = 1e-12
# Returns and costs are skewed: fewer values do not show what the rare ones bring. Shortfalls
# that take this long to be sure of are found as soon as with fewer.
FEWEST = 250


class EquityWatch:
    """Live returns against those that the backtest gives on the same bars.

    The difference a bar is what execution, delays, fees and faults cost beyond the
    assumptions; the market itself cancels. Alarms when its mean is surely below
    -`tolerance`.

    Parameters
    ----------
    subject : str
    tolerance : float
        Shortfall a bar that is accepted, as a fraction of equity.
    alpha : float
        Chance, asymptotically, of ever alarming although the mean difference is at the
        tolerance. A small shortfall with rare large gains needs more bars for it to hold.
    fewest : int
        Bars before which nothing is said.
    """

    def __init__(
        self, subject: str, *, tolerance: float = 0.0, alpha: float = 0.05, fewest: int = FEWEST
    ) -> None:
        self.subject, self.tolerance = subject, tolerance
        self._difference = _sequence(alpha, fewest, _ROUNDING)
        self._gap = 0.0
        self._history: deque[tuple[datetime, float]] = deque(maxlen=_HISTORY)

    def add(self, at: datetime, live: float, backtest: float) -> None:
        """Take note of one bar's returns, simple and finite."""
        self._difference.add(live - backtest)
        self._gap += math.log1p(live) - math.log1p(backtest)
        self._history.append((at, self._gap))

    def difference(self) -> Interval:
        """Mean difference a bar."""
        return self._difference.interval()

    def condition(self, at: datetime) -> Condition:
        """What is to be said of the account."""
        found = self.difference()
        return Condition(
            signal="equity",
            subject=self.subject,
            at=at,
            breached=found.high < -self.tolerance,
            value=found.mean if math.isfinite(found.mean) else 0.0,
            threshold=-self.tolerance,
            what=f"the account is {math.expm1(self._gap):+.1%} against the backtest on the same "
            f"{found.count} bars, a mean of {1e4 * found.mean:.1f} basis points a bar, surely "
            f"below {1e4 * found.high:.1f}",
            advice="Compare fills with the backtest's, order by order: delays, partial fills, "
            "fees. Lower the exposure until it is understood",
            history=tuple(self._history),
        )


class SlippageWatch:
    """What a fill cost beyond the open that the backtest assumes, against the assumed half-spread.

    Parameters
    ----------
    subject : str
    assumed_bps : float
        Half-spread and impact that the study reckoned with, in basis points of price.
    alpha : float
        Chance, asymptotically, of ever alarming although fills cost what was assumed. Costs
        with rare large improvements need more fills for it to hold.
    fewest : int
        Fills before which nothing is said.
    """

    def __init__(
        self, subject: str, *, assumed_bps: float, alpha: float = 0.05, fewest: int = FEWEST
    ) -> None:
        self.subject, self.assumed_bps = subject, assumed_bps
        self._cost = _sequence(alpha, fewest, 1e4 * _ROUNDING)
        self._history: deque[tuple[datetime, float]] = deque(maxlen=_HISTORY)

    def add(self, at: datetime, side: int, price: float, expected_price: float) -> None:
        """Take note of a fill: side 1 bought, -1 sold; the price that the rule would have given."""
        self._cost.add(side * (price / expected_price - 1.0) * 1e4)
        self._history.append((at, self._cost.interval().mean))

    def cost(self) -> Interval:
        """Mean slippage in basis points."""
        return self._cost.interval()

    def condition(self, at: datetime) -> Condition:
        """What is to be said of the fills."""
        found = self.cost()
        return Condition(
            signal="slippage",
            subject=self.subject,
            at=at,
            breached=found.low > self.assumed_bps,
            value=found.mean if math.isfinite(found.mean) else 0.0,
            threshold=self.assumed_bps,
            what=f"fills cost {found.mean:.1f} basis points beyond the assumed price, surely more "
            f"than {found.low:.1f} ({found.count} fills); the study reckoned with "
            f"{self.assumed_bps:.1f}",
            advice="Study again with `costs.half_spread_bps` at the measured value, and see "
            "whether an edge is left; trade less or slower until then",
            history=tuple(self._history),
        )


def _sequence(alpha: float, fewest: int, resolution: float) -> AsymptoticSequence:
    """With `alpha` on the side that counts: an alarm is one-sided."""
    return AsymptoticSequence(min(2 * alpha, 0.5), fewest=fewest, resolution=resolution)
