"""What trading costs, as fractions."""

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
    """Proportional costs of trading and of holding what one does not own.

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

    Raises
    ------
    BacktestError
        When one is negative or not finite, or when fee and half-spread together reach 1.
    """

    fee: float
    half_spread: float
    borrow_apr: float
    financing_apr: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise BacktestError(
                    f"costs.{field.name}: must be finite and at least 0, got {value!r}",
                    "Give a fraction, 0.0001 for one basis point",
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

    @classmethod
    def from_section(cls, section: CostsSection) -> Self:
        """Read a study file's costs, whose fee and half-spread are in basis points."""
        return cls(
            fee=section.fee_bps * _BASIS_POINT,
            half_spread=section.half_spread_bps * _BASIS_POINT,
            borrow_apr=section.borrow_apr,
            financing_apr=section.financing_apr,
        )
