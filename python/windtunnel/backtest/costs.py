"""What trading and holding cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    from windtunnel.config.study import CostsSection

_BASIS_POINT = 1e-4


@dataclass(frozen=True)
class Costs:
    """Costs of trading and of holding what one does not own.

    An order of q units worth v costs max(v * fee + q * fee_per_unit, minimum_fee)
    + v * half_spread + v * impact * sqrt(q / volume of the bar).

    Attributes
    ----------
    fee : float
        Fraction of the traded value.
    half_spread : float
        Half the bid-ask spread as a fraction of the traded value; charged as a cost, the fill
        price itself is not changed.
    borrow_apr : float
        Yearly rate on the value of short positions, as a fraction.
    financing_apr : float
        Yearly rate on negative cash, as a fraction.
    fee_per_unit : float
        Currency a unit traded, added to the proportional fee.
    minimum_fee : float
        Currency an order: the least that both fees together come to.
    impact : float
        Fraction of the traded value that an order as large as the bar's volume would cost; grows
        with the square root of the share. The volume is that of the bar of the fill.

    Raises
    ------
    BacktestError
        When one is negative or not finite, or when fee and half-spread together reach 1.
    """

    fee: float
    half_spread: float
    borrow_apr: float
    financing_apr: float
    fee_per_unit: float = 0.0
    minimum_fee: float = 0.0
    impact: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise BacktestError(
                    f"costs.{field.name}: must be finite and at least 0, got {value!r}",
                    "Give a fraction, 0.0001 for one basis point; fee_per_unit and minimum_fee "
                    "are amounts of currency",
                )
        if self.trading_rate >= 1:
            raise BacktestError(
                f"costs: fee + half_spread must be below 1, got {self.trading_rate:g}",
                "Give fractions of the traded value, not basis points",
            )

    @property
    def trading_rate(self) -> float:
        """Cost of a trade as a fraction of its value."""
        return self.fee + self.half_spread

    @property
    def proportional(self) -> bool:
        """Whether a trade costs its rate and nothing else."""
        return self.fee_per_unit == self.minimum_fee == self.impact == 0

    @property
    def of_holding(self) -> Self:
        """What holding costs, with trades for free."""
        return type(self)(0.0, 0.0, self.borrow_apr, self.financing_apr)

    @classmethod
    def from_section(cls, section: CostsSection) -> Self:
        """Read a study file's costs, whose fee and half-spread are in basis points."""
        return cls(
            fee=section.fee_bps * _BASIS_POINT,
            half_spread=section.half_spread_bps * _BASIS_POINT,
            borrow_apr=section.borrow_apr,
            financing_apr=section.financing_apr,
            fee_per_unit=section.fee_per_unit,
            minimum_fee=section.minimum_fee,
            impact=section.impact_bps * _BASIS_POINT,
        )
