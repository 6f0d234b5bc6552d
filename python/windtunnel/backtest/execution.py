"""When and how far orders fill, from what capital, and when an account is liquidated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, get_args

from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    from windtunnel.config.study import ExecutionSection

Fill = Literal["next_open", "next_close", "same_close"]


@dataclass(frozen=True)
class Execution:
    """Timing and size of fills, initial capital and the liquidation level.

    Attributes
    ----------
    fill : {'next_open', 'next_close', 'same_close'}
        Price that a decision made with bar t's close gets: the open or close of bar t + 1, or
        the very close of bar t. The last knows a price before it can be traded at: optimistic.
    initial_cash : float
        Starting capital, in the prices' currency; above zero.
    maintenance : float
        In [0, 1). The account is liquidated when its equity at a close falls to this fraction
        of gross position value, or to zero.
    participation : float, optional
        In (0, 1]. A fill takes at most this share of the bar's volume; the rest of the order is
        forgotten and counted. Absent: orders fill whole, whatever the volume.
    lot_size : float
        Positions are rounded towards zero to a whole multiple of it, in units; 0 leaves them as
        they are.

    Raises
    ------
    BacktestError
        When a value lies outside its range.
    """

    fill: Fill = "next_open"
    initial_cash: float = 100_000.0
    maintenance: float = 0.0
    participation: float | None = None
    lot_size: float = 0.0

    def __post_init__(self) -> None:
        if self.fill not in get_args(Fill):
            raise BacktestError(
                f"execution.fill: must be one of {', '.join(get_args(Fill))}, got {self.fill!r}"
            )
        if not (math.isfinite(self.initial_cash) and self.initial_cash > 0):
            raise BacktestError(
                f"execution.initial_cash: must be finite and above 0, got {self.initial_cash!r}"
            )
        if not 0 <= self.maintenance < 1:
            raise BacktestError(
                f"execution.maintenance: must lie in [0, 1), got {self.maintenance!r}"
            )
        if self.participation is not None and not 0 < self.participation <= 1:
            raise BacktestError(
                f"execution.participation: must lie in (0, 1], got {self.participation!r}",
                "Leave it out to fill orders whole",
            )
        if not (math.isfinite(self.lot_size) and self.lot_size >= 0):
            raise BacktestError(
                f"execution.lot_size: must be finite and at least 0, got {self.lot_size!r}"
            )

    @property
    def optimistic(self) -> bool:
        """Whether fills use a price that was known only when the decision was made."""
        return self.fill == "same_close"

    @classmethod
    def from_section(cls, section: ExecutionSection) -> Self:
        """Read a study file's execution table."""
        return cls(
            fill=section.fill,
            initial_cash=section.initial_cash,
            maintenance=section.maintenance,
            participation=section.participation,
            lot_size=section.lot_size,
        )
