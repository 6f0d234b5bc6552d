"""What a study assumed of fills and costs, in the report's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windtunnel.config import StudyFile

GIVEN = (
    "The instruments are those given; if they were chosen because they did well, every figure "
    "here flatters, buy and hold included."
)


def fills(study: StudyFile) -> str:
    """When decisions fill, and what bounds their size."""
    execution = study.execution
    told = [execution.fill.replace("_", " ")]
    if execution.participation is not None:
        told.append(
            f"at most {100 * execution.participation:g}% of the bar's volume, the rest is forgotten"
        )
    if execution.lot_size:
        told.append(f"positions rounded towards zero to multiples of {execution.lot_size:g} units")
    if execution.maintenance:
        told.append(
            f"all is sold when equity falls to {execution.maintenance:.1%} of the gross position"
        )
    return "; ".join(told)


def costs(study: StudyFile) -> str:
    """Everything that an order or a position is charged."""
    given = study.costs
    fee = f"fee {given.fee_bps:g} bps of the value traded"
    if given.fee_per_unit:
        fee += f" + {given.fee_per_unit:g} a unit"
    if given.minimum_fee:
        fee += f", at least {given.minimum_fee:g} an order"
    told = [fee, f"half spread {given.half_spread_bps:g} bps"]
    if given.impact_bps:
        told.append(
            f"market impact of {given.impact_bps:g} bps times the square root of the order's "
            "share of the bar's volume"
        )
    told.append(f"borrowing {given.borrow_apr:.1%} and financing {given.financing_apr:.1%} a year")
    return "; ".join(told)


def sizes(study: StudyFile) -> str:
    """How large a position is where each is sized by its volatility; empty otherwise."""
    aim, bars = study.policy.volatility_target, study.policy.volatility_bars
    if aim is None:
        return ""
    searched = ", or what the trial has" if "policy.volatility_target" in study.search else ""
    return (
        f"each position aims at a volatility of {aim:.1%} a year{searched}, measured over {bars} "
        "bars"
    )


def caveats(study: StudyFile) -> tuple[str, ...]:
    """What the figures leave out."""
    impact, capped = study.costs.impact_bps > 0, study.execution.participation is not None
    absent = "taxes and outages" if impact else "taxes, outages and market impact"
    simulated = f"Figures are simulated; {absent} are not in them, and real fills differ."
    if impact:
        size = (
            "Market impact is a model: its coefficient was given, and not measured on orders of "
            "this size."
        )
    elif capped:
        size = (
            "Fills take no more than the given share of a bar's volume, and that much at the bar's "
            "own price."
        )
    else:
        size = (
            "Fills are at the bar's own price whatever their size: the instruments are taken to "
            "be liquid for the capital used."
        )
    return simulated, size, GIVEN


def source(named: str, *, bars: int, instruments: int, fingerprint: str) -> str:
    """Where the bars came from, and which they were."""
    told = f"{bars:,} bars of {instruments} instruments, SHA-256 {fingerprint[:16]}"
    return f"{named}: {told}" if named else told
