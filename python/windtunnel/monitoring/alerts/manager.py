"""When an alert begins, when it is spoken of again, and when it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from windtunnel.errors import MonitoringError
from windtunnel.events import AlertRaised, AlertResolved, Event
from windtunnel.monitoring.alerts.condition import Condition
from windtunnel.monitoring.alerts.message import Message, Notice, grouped
from windtunnel.monitoring.alerts.rules import Rule, Silence
from windtunnel.monitoring.alerts.standing import (
    Standing,
    Table,
    in_iso,
    read_standing,
    write_standing,
)


class AlertManager:
    """Turns conditions into events and messages by the rules.

    All times are the conditions' own, so that a replay over years says what monitoring would
    have said then. Every alert becomes an event, `AlertRaised` and later `AlertResolved`,
    silenced or not; a silence and a cooldown withhold messages alone. Safe to use from several
    threads.

    Parameters
    ----------
    rules : sequence of Rule
    deliver : callable
        Gets a message and the names of the sinks it is for, none of them meaning all.
    emit : callable
        Gets the events.
    silences : sequence of Silence
    draw : callable, optional
        Makes the picture of a condition and returns its path; '' for none. The event gets
        the path.
    link : callable, optional
        Turns that path into the link that the message shows.
    state : Path, optional
        File in which what stands outlives the process. It is there from the beginning: where
        there is none, no monitor is at work, which is not the same as no alert.

    Raises
    ------
    MonitoringError
        The file cannot be read, or not be written.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        deliver: Callable[[Message, tuple[str, ...]], None],
        emit: Callable[[Event], None] = lambda _: None,
        silences: Sequence[Silence] = (),
        draw: Callable[[Condition], str] = lambda _: "",
        link: Callable[[str], str] = lambda path: path,
        state: Path | None = None,
    ) -> None:
        self._rules = tuple(rules)
        self._deliver, self._emit = deliver, emit
        self._draw, self._link = draw, link
        self._silences = tuple(silences)
        self._path = state
        self._lock = threading.Lock()
        self._standing: Table = {}
        if state is not None and state.exists():
            self._standing = read_standing(state)
        elif state is not None:
            _begin(state)

    def consider(self, conditions: Iterable[Condition]) -> None:
        """Take note of conditions of one moment; what they lead to is sent together, by rule."""
        with self._lock:
            notices = [
                (rule, self._step(rule, condition))
                for condition in conditions
                for rule in self._rules
                if rule.concerns(condition)
            ]
            if notices and self._path is not None:
                write_standing(self._path, self._standing)
        self._send(notices)

    def leave(self, gone: Callable[[str], bool], at: datetime, why: str) -> None:
        """Forget subjects that are watched no more; what stands on them is over.

        Parameters
        ----------
        gone : callable
            Whether a subject is one of them.
        at : datetime
        why : str
            For those who are told that an alert is over, after 'since '.
        """
        notices: list[tuple[Rule, Notice | None]] = []
        rules = {rule.name: rule for rule in self._rules}
        with self._lock:
            left = [key for key in self._standing if gone(key[1])]
            for name, subject in left:
                kept, rule = self._standing[name, subject], rules.get(name)
                if rule is not None and kept.raised:
                    kept.what = f"{kept.what}. It is over since {why}"
                    over = Condition(
                        signal=rule.on,
                        subject=subject,
                        at=at,
                        breached=False,
                        value=kept.value,
                        threshold=kept.threshold,
                        what=kept.what,
                        advice=kept.advice,
                    )
                    notices.append((rule, self._resolve(rule, kept, over)))
                del self._standing[name, subject]
            if left and self._path is not None:
                write_standing(self._path, self._standing)
        self._send(notices)

    def _send(self, notices: Iterable[tuple[Rule, Notice | None]]) -> None:
        """Sending may take a while and needs no lock: one message a rule and state."""
        found: dict[tuple[str, ...], list[Notice]] = {}
        for rule, notice in notices:
            if notice is not None:
                found.setdefault(rule.sinks, []).append(notice)
        for sinks, several in found.items():
            for message in grouped(several):
                self._deliver(message, sinks)

    def standing(self) -> dict[tuple[str, str], Standing]:
        """The alerts that are raised now, by rule and subject."""
        return {key: kept for key, kept in self._standing.items() if kept.raised}

    def _step(self, rule: Rule, condition: Condition) -> Notice | None:
        kept = self._standing.setdefault((rule.name, condition.subject), Standing())
        now = condition.at
        if condition.breached:
            kept.clear = 0
            kept.breaches += 1
            if kept.since is None:
                kept.since = now
            kept.what, kept.advice = condition.what, condition.advice
            kept.value, kept.threshold = condition.value, condition.threshold
            if not kept.raised and kept.breaches >= rule.after:
                return self._raise(rule, kept, condition)
            due = rule.remind is not None and not _within(
                max(rule.remind, rule.cooldown), kept.told, now
            )
            if kept.raised and due:
                return self._tell(rule, kept, condition, "standing")
            return None
        kept.breaches = 0
        if not kept.raised:
            kept.since = None
            return None
        kept.clear += 1
        return self._resolve(rule, kept, condition) if kept.clear >= rule.resolve_after else None

    def _raise(self, rule: Rule, kept: Standing, condition: Condition) -> Notice | None:
        kept.raised, kept.told_of_this = True, False
        kept.picture = self._draw(condition)
        self._emit(
            AlertRaised(
                rule=rule.name,
                severity=rule.severity,
                subject=condition.subject,
                what=condition.what,
                since=in_iso(kept.since or condition.at),
                value=condition.value,
                threshold=condition.threshold,
                advice=condition.advice,
                picture=kept.picture,
            )
        )
        if _within(rule.cooldown, kept.told, condition.at):
            return None
        return self._tell(rule, kept, condition, "raised")

    def _resolve(self, rule: Rule, kept: Standing, condition: Condition) -> Notice | None:
        since, told = kept.since or condition.at, kept.told_of_this
        self._emit(
            AlertResolved(
                rule=rule.name,
                severity=rule.severity,
                subject=condition.subject,
                what=kept.what,
                since=in_iso(since),
                until=in_iso(condition.at),
            )
        )
        notice = None
        # Who heard that it began hears that it is over, whatever the cooldown.
        if rule.resolution and told and not self._silenced(rule, condition):
            notice = self._notice(rule, kept, condition, "resolved")
        kept.raised = kept.told_of_this = False
        kept.since, kept.clear = None, 0
        return notice

    def _silenced(self, rule: Rule, condition: Condition) -> bool:
        return any(
            silence.covers(rule.name, condition.subject, condition.at) for silence in self._silences
        )

    def _tell(
        self, rule: Rule, kept: Standing, condition: Condition, state: Literal["raised", "standing"]
    ) -> Notice | None:
        if self._silenced(rule, condition):
            return None
        kept.told, kept.told_of_this = condition.at, True
        return self._notice(rule, kept, condition, state)

    def _notice(
        self,
        rule: Rule,
        kept: Standing,
        condition: Condition,
        state: Literal["raised", "standing", "resolved"],
    ) -> Notice:
        return Notice(
            rule=rule.name,
            severity=rule.severity,
            subject=condition.subject,
            state=state,
            what=kept.what,
            since=kept.since or condition.at,
            now=condition.at,
            value=kept.value,
            threshold=kept.threshold,
            advice=kept.advice,
            picture=self._link(kept.picture) if kept.picture else "",
        )


def _within(span: timedelta, told: datetime | None, now: datetime) -> bool:
    """Whether somebody was told less than `span` ago.

    A moment that lies ahead was written by a clock that ran fast, and must not keep alerts
    back until it comes.
    """
    return told is not None and timedelta(0) <= now - told < span


def _begin(path: Path) -> None:
    try:
        write_standing(path, {})
    except OSError as error:
        raise MonitoringError(
            f"alert state {str(path)!r} cannot be written: {error.strerror}",
            "Give a folder that the monitor may write to",
        ) from None
