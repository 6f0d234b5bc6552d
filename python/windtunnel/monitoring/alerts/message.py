"""What a person is told: what, since when, how bad, what to do, and where the picture is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from windtunnel.monitoring.alerts.duration import in_words

# Beyond this many alerts of one rule a message lists the first ones and counts the rest.
_LISTED = 10


@dataclass(frozen=True)
class Notice:
    """One alert, as far as a message tells of it."""

    rule: str
    severity: str
    subject: str
    state: Literal["raised", "standing", "resolved"]
    what: str
    since: datetime
    now: datetime
    value: float
    threshold: float
    advice: str
    picture: str = ""

    def lines(self) -> list[str]:
        """The notice as lines of text."""
        lasting = in_words(self.now - self.since)
        if self.state == "resolved":
            return [f"{self.subject}: over after {lasting}. It was: {self.what}"]
        lines = [
            f"{self.subject}: {self.what}",
            f"  Since: {self.since:%Y-%m-%d %H:%M} UTC ({lasting})",
            f"  How bad: {self.value:.4g}, limit {self.threshold:.4g}",
            f"  What to do: {self.advice}",
        ]
        return [*lines, f"  Picture: {self.picture}"] if self.picture else lines

    def as_record(self) -> dict[str, Any]:
        """Plain values for JSON, times in ISO 8601."""
        times = {"since": self.since.isoformat(), "now": self.now.isoformat()}
        return asdict(self) | times


@dataclass(frozen=True)
class Message:
    """The notices of one rule and state that are sent together."""

    notices: tuple[Notice, ...]

    @property
    def title(self) -> str:
        """One line: severity, rule, state, how many."""
        first, number = self.notices[0], len(self.notices)
        many = f" ({number})" if number > 1 else f": {first.subject}"
        state = {"raised": "", "standing": "still ", "resolved": "resolved "}[first.state]
        return f"[{first.severity}] {state}{first.rule}{many}"

    @property
    def body(self) -> str:
        """The notices, one below the other."""
        lines = [line for notice in self.notices[:_LISTED] for line in notice.lines()]
        left = len(self.notices) - _LISTED
        return "\n".join([*lines, f"and {left} more"] if left > 0 else lines)

    def as_record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "title": self.title,
            "body": self.body,
            "notices": [notice.as_record() for notice in self.notices],
        }


def grouped(notices: Sequence[Notice]) -> list[Message]:
    """One message for the notices that share rule, severity and state, in their order."""
    groups: dict[tuple[str, str, str], list[Notice]] = {}
    for notice in notices:
        groups.setdefault((notice.rule, notice.severity, notice.state), []).append(notice)
    return [Message(tuple(group)) for group in groups.values()]
