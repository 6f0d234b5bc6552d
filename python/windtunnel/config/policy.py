"""The study file's table `[policy]`: how a score becomes a target exposure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from windtunnel.config.section import Section

# What a search may vary without changing an array shape.
POLICY_SEARCHABLE = ("enter", "exit", "leverage", "volatility_target")
# Of these, what means nothing where the score is the exposure itself.
THRESHOLDED = ("policy.enter", "policy.exit", "policy.volatility_target")


class PolicySection(Section):
    """How a score becomes a target exposure."""

    direction: Literal["long_only", "long_short"] = Field(
        default="long_only", description="Whether negative signals become short positions."
    )
    enter: float = Field(
        default=0.02, ge=0, description="Open a position when |score| reaches this. Searchable."
    )
    exit: float = Field(
        default=0.0,
        ge=0,
        description="Close it when |score| falls below this or changes sign; the lower of `exit` "
        "and `enter` is in force. Searchable.",
    )
    leverage: float = Field(
        default=1.0,
        gt=0,
        le=20,
        description="Gross exposure as a fraction of equity when every instrument has a signal; "
        "shared equally over the instruments listed at that bar. Searchable.",
    )
    volatility_target: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="Yearly volatility that a position aims at, as a fraction of the equity that "
        "stands behind it: 0.1 is 10 %. The leverage of an instrument is then this over its own "
        "volatility, and at most `leverage`; there is no decision while that is unknown. Every "
        "position has `leverage` when absent. Searchable where it is given.",
    )
    volatility_bars: int = Field(
        default=60,
        ge=2,
        le=10_000,
        description="Log returns over which an instrument's volatility is measured, the last one "
        "that of the bar decided on.",
    )
    rebalance_band: float = Field(
        default=0.02,
        ge=0,
        lt=1,
        description="No order while the exposure is within this fraction of equity of its target.",
    )
