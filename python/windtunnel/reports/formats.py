"""Numbers and times as text for the page: one look for each unit, a dash for what is missing.

All functions return text that is safe inside HTML.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Literal, TypeAlias

from markupsafe import Markup, escape

from windtunnel.reports.data import Number

Unit: TypeAlias = Literal["percent", "ratio", "probability", "count", "bars", "money", "plain"]

MINUS = "\N{MINUS SIGN}"
UNDEFINED = "not defined for these data"


def present(value: Number) -> bool:
    """Whether there is a finite number to show."""
    return value is not None and math.isfinite(value)


def missing(reason: str = UNDEFINED) -> Markup:
    """An en dash that carries the reason as tooltip and as text for screen readers."""
    return Markup(
        '<span class="missing" role="img" title="{0}" aria-label="missing: {0}">\N{EN DASH}</span>'
    ).format(reason)


def number(value: Number, unit: Unit = "plain", reason: str = UNDEFINED) -> Markup:
    """`value` in the look of its unit; fractions of `percent` are multiplied by 100."""
    if value is None or not math.isfinite(value):
        return missing(reason)
    return escape(bare(float(value), unit))


def bare(value: float, unit: Unit) -> str:
    """The text of a finite number, with a true minus sign and no negative zero."""
    if unit == "percent":
        text = f"{100 * value:,.1f}%" if abs(value) < 1e5 else f"{100 * value:.2e}%"
    elif unit == "ratio":
        text = f"{value:,.2f}"
    elif unit == "probability":
        # 1.000 and 0.000 would claim certainty that no finite sample gives
        text = f"{value:.3f}"
        if 0 < value < 5e-4:
            text = "< 0.001"
        elif 0.9995 <= value < 1:
            text = "> 0.999"
    elif unit in ("count", "bars", "money"):
        text = f"{value:,.0f}"
    else:
        text = f"{value:,.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.4g}"
    if text.startswith("-"):
        digits = text[1:]
        return MINUS + digits if any(mark in "123456789" for mark in digits) else digits
    return text


def moment(value: datetime, *, dates_only: bool) -> Markup:
    """A time as ISO date, with hours and minutes unless all bars lie on midnight."""
    return escape(value.strftime("%Y-%m-%d" if dates_only else "%Y-%m-%d %H:%M"))
