"""Alert rules, silences and sinks as a TOML file says them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from windtunnel.config.section import Section
from windtunnel.monitoring.alerts.condition import SIGNALS, Condition
from windtunnel.monitoring.alerts.duration import Duration

SEVERITIES = ("info", "warning", "critical")
NAME = r"^[a-z0-9][a-z0-9 _-]{0,62}$"


class Rule(Section):
    """Which conditions become an alert, and how often somebody hears of it."""

    name: str = Field(pattern=NAME, description="Shown in messages and metrics.")
    on: str = Field(description="Signal: " + ", ".join(SIGNALS) + ".")
    subject: str = Field(default="*", description="Which subjects, as a pattern with * and ?.")
    severity: Literal["info", "warning", "critical"] = Field(
        default="warning", description="How grave it is; passed on to the sinks."
    )
    after: int = Field(
        default=1, ge=1, le=1000, description="Breaches in a row before the alert is raised."
    )
    resolve_after: int = Field(
        default=1, ge=1, le=1000, description="Checks in a row without breach that end it."
    )
    cooldown: Duration = Field(
        default=timedelta(hours=6),
        description="No second message about the same subject sooner, reminders included.",
    )
    remind: Duration | None = Field(
        default=None, description="Say again how it stands while it lasts; absent, never."
    )
    resolution: bool = Field(default=True, description="Send a message when it has ended.")
    sinks: tuple[str, ...] = Field(
        default=(), strict=False, description="Names of the sinks to use; all when absent."
    )

    @field_validator("on")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SIGNALS:
            raise ValueError(f"must be one of {', '.join(SIGNALS)}")
        return value

    def concerns(self, condition: Condition) -> bool:
        """Whether the rule is about this condition, breached or not."""
        return condition.signal == self.on and fnmatchcase(condition.subject, self.subject)


class Silence(Section):
    """A time in which alerts are kept on record but nobody is told."""

    why: str = Field(min_length=1, description="For those who wonder why it was quiet.")
    rule: str = Field(default="*", description="Which rules, as a pattern.")
    subject: str = Field(default="*", description="Which subjects, as a pattern.")
    start: datetime = Field(description="With a time zone.")
    end: datetime = Field(description="With a time zone; the first moment after it.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("start", "end"):
            if getattr(self, name).tzinfo is None:
                raise ValueError(f"{name} has no time zone; write it like 2026-01-31T08:00:00Z")
        if self.end <= self.start:
            raise ValueError("end must be after start")
        return self

    def covers(self, rule: str, subject: str, now: datetime) -> bool:
        """Whether an alert of this rule and subject is silenced at `now`."""
        return (
            self.start.astimezone(UTC) <= now < self.end.astimezone(UTC)
            and fnmatchcase(rule, self.rule)
            and fnmatchcase(subject, self.subject)
        )


class SinkSection(Section):
    """Where messages go."""

    name: str = Field(pattern=NAME, description="By which rules call it.")
    kind: Literal["webhook", "apprise"] = Field(
        description="'webhook' posts JSON; 'apprise' knows chat, mail and paging services by "
        "their URL and needs `pip install 'windtunnel[alerts]'`."
    )
    url: str = Field(
        min_length=1,
        description="Where to, or 'env:NAME' to read it from the environment, since such URLs "
        "are often secrets.",
    )
    attempts: int = Field(default=4, ge=1, le=20, description="Tries before it counts as failed.")
    timeout: float = Field(default=10.0, gt=0, le=300, description="Seconds a try may take.")
    backoff: float = Field(
        default=1.0, ge=0, le=60, description="Seconds before the second try; doubles each time."
    )
