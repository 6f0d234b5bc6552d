"""What trading costs and when it happens: the `[costs]` and `[execution]` tables."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from windtunnel.config.section import Section


class CostsSection(Section):
    """What trading costs; never zero by default."""

    fee_bps: float = Field(default=1.0, ge=0, le=1000, description="Fee, basis points of value.")
    half_spread_bps: float = Field(
        default=2.0, ge=0, le=1000, description="Half the bid-ask spread, basis points of price."
    )
    borrow_apr: float = Field(
        default=0.01, ge=0, le=10, description="Yearly rate paid on short positions, as a fraction."
    )
    financing_apr: float = Field(
        default=0.03, ge=0, le=10, description="Yearly rate paid on negative cash, as a fraction."
    )
    fee_per_unit: float = Field(
        default=0.0, ge=0, le=1e6, description="Fee a unit traded, in the prices' currency."
    )
    minimum_fee: float = Field(
        default=0.0, ge=0, le=1e6, description="Least fee of an order, in the prices' currency."
    )
    impact_bps: float = Field(
        default=0.0,
        ge=0,
        le=10_000,
        description="Cost of an order as large as the bar's volume, basis points of value; grows "
        "with the square root of the share of the volume.",
    )


class ExecutionSection(Section):
    """When and from what capital orders fill."""

    fill: Literal["next_open", "next_close", "same_close"] = Field(
        default="next_open",
        description="Price at which a decision made at a bar's close fills. 'same_close' is "
        "optimistic and marked so wherever its result is shown.",
    )
    initial_cash: float = Field(
        default=100_000.0, gt=0, le=1e15, description="Starting capital, in the prices' currency."
    )
    maintenance: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Liquidate when equity falls to this fraction of gross position value, or "
        "to zero.",
    )
    participation: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="A fill takes at most this share of the bar's volume, the rest is forgotten; "
        "absent, orders fill whole.",
    )
    lot_size: float = Field(
        default=0.0,
        ge=0,
        le=1e9,
        description="Positions are rounded towards zero to multiples of it, in units; 0 is off.",
    )
