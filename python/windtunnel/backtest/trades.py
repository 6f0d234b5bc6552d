"""The trade log: every fill with its reason, and what it did to the position."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    import polars as pl

    from windtunnel.data.panel import Panel

Float64Array: TypeAlias = npt.NDArray[np.float64]
Int64Array: TypeAlias = npt.NDArray[np.int64]

# By code, as the compiled core numbers them.
REASONS = ("decision", "loss", "profit", "trailing", "time", "liquidation")


@dataclass(frozen=True)
class TradeLog:
    """K fills, by configuration and within one in the order in which they happened.

    Attributes
    ----------
    configuration, bar, instrument : (K,) int64
        Whose fill, when, and in what.
    reason : (K,) int64
        Index into `REASONS`.
    change : (K,) float64
        Units bought; negative when sold.
    units : (K,) float64
        Units held afterwards.
    price, cost : (K,) float64
        Currency a unit, and currency taken from cash besides change * price.
    """

    configuration: Int64Array
    bar: Int64Array
    instrument: Int64Array
    reason: Int64Array
    change: Float64Array
    units: Float64Array
    price: Float64Array
    cost: Float64Array

    def __len__(self) -> int:
        return len(self.bar)

    def of(self, configuration: int) -> TradeLog:
        """The fills of one configuration."""
        own = self.configuration == configuration
        return TradeLog(**{field.name: getattr(self, field.name)[own] for field in fields(self)})

    def require_one(self) -> None:
        """Refuse a log of several configurations.

        Raises
        ------
        BacktestError
            It is one.
        """
        several = np.unique(self.configuration)
        if len(several) > 1:
            raise BacktestError(
                f"log: holds fills of {len(several)} configurations, {several[0]} to {several[-1]}",
                "Give those of one: log.of(0)",
            )

    @property
    def effect(self) -> list[str]:
        """What each fill did: 'open', 'increase', 'reduce', 'close', 'turn' or 'none'."""
        # Liquidations and closes leave exactly 0; units that were there follow from the change.
        return [
            _effect(float(after - change) if after != change else 0.0, float(after), float(change))
            for after, change in zip(self.units, self.change, strict=True)
        ]

    def table(self, panel: Panel) -> pl.DataFrame:
        """One row a fill, with timestamps, symbols and words in place of numbers.

        Raises
        ------
        BacktestError
            The panel ends before the last fill.
        """
        import polars as pl  # noqa: PLC0415 - results are read without tables too

        if len(self) and self.bar.max() >= panel.bars:
            raise BacktestError(
                f"panel: has {panel.bars} bars, and a fill is at bar {self.bar.max()}",
                "Give the panel of the whole history: fills of a stream count bars from its first",
            )
        return pl.DataFrame(
            {
                "configuration": self.configuration,
                "timestamp": panel.timestamps[self.bar],
                "symbol": [panel.symbols[n] for n in self.instrument],
                "reason": [REASONS[code] for code in self.reason],
                "effect": self.effect,
                "change": self.change,
                "units": self.units,
                "price": self.price,
                "cost": self.cost,
            }
        )


def _effect(before: float, after: float, change: float) -> str:
    if change == 0:
        return "none"
    if after == 0:
        return "close"
    if before == 0:
        return "open"
    if (before > 0) != (after > 0):
        return "turn"
    return "increase" if abs(after) > abs(before) else "reduce"
