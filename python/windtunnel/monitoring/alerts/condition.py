"""What a monitor found at one moment, alarming or not."""

from __future__ import annotations

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
        Whom it concerns, for example 'us_equities version 3' or 'us_equities SPY'.
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
