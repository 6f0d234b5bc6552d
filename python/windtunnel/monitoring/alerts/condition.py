"""What a monitor found at one moment, alarming or not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

# What conditions are about; rules name these.
SIGNALS = (
    "drift",
    "stream_drift",
    "missing_bars",
    "stale_bars",
    "future_bars",
    "latency",
    "calibration",
    "ic",
    "equity",
    "slippage",
    "observer",
)


@dataclass(frozen=True)
class Condition:
    """One finding of one monitor.

    Attributes
    ----------
    signal : str
        One of `SIGNALS`.
    subject : str
        Whom it concerns, for example 'us_equities version 3', 'us_equities version 3 SPY' or,
        where it is no version's affair, 'us_equities'.
    at : datetime
        With a time zone; in a replay the bar's.
    breached : bool
    value, threshold : float
        How bad, and from where on it is; in the signal's own unit.
    what : str
        One sentence, figures included.
    advice : str
        What to do about it.
    history : tuple of (datetime, float)
        Earlier values of the same figure for the picture, oldest first.
    """

    signal: str
    subject: str
    at: datetime
    breached: bool
    value: float
    threshold: float
    what: str
    advice: str
    history: tuple[tuple[datetime, float], ...] = ()


def subject_of(model: str, version: int) -> str:
    """How conditions name a version; what they say of a part of it begins with the same."""
    return f"{model} version {version}"


def version_in(subject: str, model: str) -> int | None:
    """The version of `model` that a subject names, or a part of; None if it names none."""
    found = re.match(rf"{re.escape(model)} version (\d+)(?: |$)", subject)
    return None if found is None else int(found[1])
