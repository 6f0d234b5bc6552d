"""Durations as people write them: '90s', '30m', '6h', '2d'."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FORM = re.compile(r"(\d+)\s*([smhd])")


def parse_duration(text: object) -> timedelta:
    """Read a duration.

    Raises
    ------
    ValueError
        It is not a whole number with s, m, h or d behind it.
    """
    if isinstance(text, timedelta):
        return text
    found = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError("must be a number with s, m, h or d, for example '6h'")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    Field(json_schema_extra={"type": "string", "pattern": r"^\d+\s*[smhd]$"}),
]


def in_words(duration: timedelta) -> str:
    """For messages: '3 days', '5 hours', '12 minutes', 'a moment'."""
    seconds = duration.total_seconds()
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "a moment"
