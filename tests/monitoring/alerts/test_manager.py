"""The life of an alert by the rules, against a plain statement of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import MonitoringError
from windtunnel.events import AlertRaised, AlertResolved, Event
from windtunnel.monitoring.alerts.condition import Condition, version_in
from windtunnel.monitoring.alerts.manager import AlertManager
from windtunnel.monitoring.alerts.message import Message
from windtunnel.monitoring.alerts.rules import Rule, Silence
from windtunnel.monitoring.alerts.standing import read_standing

START = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def condition(hours: float, *, breached: bool = True, subject: str = "m version 1") -> Condition:
    return Condition(
        "drift",
        subject,
        START + hours * HOUR,
        breached,
        value=2.5,
        threshold=2.0,
        what="the features have drifted",
        advice="study again",
    )


class Desk:
    """A manager, what it sent and what it emitted."""

    def __init__(self, *rules: Rule, silences=(), state: Path | None = None) -> None:
        self.sent: list[tuple[Message, tuple[str, ...]]] = []
        self.events: list[Event] = []
        self.manager = AlertManager(
            rules,
            deliver=lambda message, sinks: self.sent.append((message, sinks)),
            emit=self.events.append,
            silences=silences,
            draw=lambda found: f"pictures/{found.signal}.svg",
            link=lambda path: f"https://desk.example/{path}",
            state=state,
        )

    @property
    def states(self) -> list[str]:
        return [message.notices[0].state for message, _ in self.sent]


def test_a_message_says_what_since_when_how_bad_what_to_do_and_where() -> None:
    desk = Desk(Rule(name="drift", on="drift", severity="critical", after=2, sinks=("chat",)))
    desk.manager.consider([condition(0)])
    assert desk.sent == []
    desk.manager.consider([condition(3)])
    ((message, sinks),) = desk.sent
    assert sinks == ("chat",)
    assert message.title == "[critical] drift: m version 1"
    assert message.body.splitlines() == [
        "m version 1: the features have drifted",
        "  Since: 2020-01-01 00:00 UTC (3 hours)",
        "  How bad: 2.5, limit 2",
        "  What to do: study again",
        "  Picture: https://desk.example/pictures/drift.svg",
    ]
    (event,) = desk.events
    assert event == AlertRaised(
        "drift",
        "critical",
        "m version 1",
        "the features have drifted",
        "2020-01-01T00:00:00Z",
        2.5,
        2.0,
        "study again",
        "pictures/drift.svg",
    )


def test_it_is_told_once_and_then_that_it_is_over() -> None:
    desk = Desk(Rule(name="drift", on="drift", resolve_after=2))
    for hours, breached in [(0, True), (1, True), (2, False), (3, True), (4, False), (5, False)]:
        desk.manager.consider([condition(hours, breached=breached)])
    assert desk.states == ["raised", "resolved"]
    assert desk.sent[1][0].body == (
        "m version 1: over after 5 hours. It was: the features have drifted"
    )
    assert isinstance(desk.events[-1], AlertResolved)
    assert desk.events[-1].until == "2020-01-01T05:00:00Z"
    assert desk.manager.standing() == {}


def test_a_cooldown_withholds_messages_but_no_event() -> None:
    desk = Desk(Rule(name="drift", on="drift", cooldown="6h"))  # type: ignore[arg-type]
    for hours in range(8):
        desk.manager.consider([condition(hours, breached=hours % 2 == 0)])
    # Raised at 0, 2, 4 and 6; told at 0 and 6, and that those two are over.
    assert desk.states == ["raised", "resolved", "raised", "resolved"]
    assert [desk.sent[k][0].notices[0].now.hour for k in (0, 2)] == [0, 6]
    assert sum(isinstance(event, AlertRaised) for event in desk.events) == 4


@pytest.mark.parametrize("jump", [-24 * 365, 24 * 365])
def test_a_clock_that_jumps_keeps_no_alert_back(jump: int) -> None:
    rule = Rule(name="drift", on="drift", cooldown="6h", remind="3h")  # type: ignore[arg-type]
    desk = Desk(rule)
    desk.manager.consider([condition(jump)])  # told by a clock that is a year off
    desk.manager.consider([condition(0, breached=False)])
    desk.manager.consider([condition(1)])
    assert desk.states == ["raised", "resolved", "raised"]
    desk.manager.consider([condition(1 + jump)])  # it is off once more while the alert stands
    desk.manager.consider([condition(2)])
    assert desk.states[3:] == ["standing", "standing"]


def test_reminders_come_while_it_lasts() -> None:
    rule = Rule(name="drift", on="drift", remind="3h", cooldown="2h")  # type: ignore[arg-type]
    desk = Desk(rule)
    for hours in range(8):
        desk.manager.consider([condition(hours)])
    assert desk.states == ["raised", "standing", "standing"]
    assert desk.sent[1][0].title == "[warning] still drift: m version 1"


def test_subjects_of_one_rule_are_sent_together_and_rules_apart() -> None:
    desk = Desk(Rule(name="all", on="drift"), Rule(name="one", on="drift", subject="*SPY"))
    desk.manager.consider([condition(0, subject=f"m {symbol}") for symbol in ("QQQ", "SPY", "IWM")])
    assert [message.title for message, _ in desk.sent] == [
        "[warning] all (3)",
        "[warning] one: m SPY",
    ]
    assert desk.sent[0][0].body.count("How bad") == 3


def test_a_long_group_is_cut_short() -> None:
    desk = Desk(Rule(name="all", on="drift"))
    desk.manager.consider([condition(0, subject=f"m {k}") for k in range(14)])
    ((message, _),) = desk.sent
    assert message.body.count("How bad") == 10
    assert message.body.endswith("and 4 more")
    assert len(message.as_record()["notices"]) == 14


def test_a_silence_is_kept_on_record_and_nobody_is_told() -> None:
    silence = Silence(why="holiday", subject="m*", start=START, end=START + 5 * HOUR)
    desk = Desk(Rule(name="drift", on="drift"), silences=[silence])
    desk.manager.consider([condition(1)])
    desk.manager.consider([condition(2, breached=False)])
    assert desk.sent == []
    assert len(desk.events) == 2
    desk.manager.consider([condition(5)])
    assert desk.states == ["raised"]


def test_what_stands_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    rule = Rule(name="drift", on="drift")
    Desk(rule, state=path).manager.consider([condition(0)])
    desk = Desk(rule, state=path)
    assert list(desk.manager.standing()) == [("drift", "m version 1")]
    desk.manager.consider([condition(1)])
    assert desk.sent == []
    desk.manager.consider([condition(30, breached=False)])
    assert desk.states == ["resolved"]
    path.write_text("{}")
    with pytest.raises(MonitoringError, match=r"alerts\.json"):
        Desk(rule, state=path)


def test_what_is_watched_no_more_is_over(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    rule = Rule(name="drift", on="drift", after=2, resolve_after=3)
    desk = Desk(rule, state=path)
    subjects = ("m version 1", "m version 1 A", "m version 2")
    for hours in (0, 1):
        desk.manager.consider([condition(hours, subject=subject) for subject in subjects])
    desk.manager.consider([condition(1, subject="m version 1 B")])  # not raised yet
    desk = Desk(rule, state=path)  # by another process
    at = START + 5 * HOUR
    desk.manager.leave(lambda subject: version_in(subject, "m") == 1, at, "it serves no more")
    over = [event for event in desk.events if isinstance(event, AlertResolved)]
    assert [(event.subject, event.until) for event in over] == [
        ("m version 1", "2020-01-01T05:00:00Z"),
        ("m version 1 A", "2020-01-01T05:00:00Z"),
    ]
    ((message, _),) = desk.sent
    assert "over after 5 hours. It was: the features have drifted" in message.body
    assert "It is over since it serves no more" in message.body
    assert list(read_standing(path)) == [("drift", "m version 2")]
    assert list(desk.manager.standing()) == [("drift", "m version 2")]
    # Should it come back, it begins anew.
    desk.manager.consider([condition(6, subject="m version 1 B")])
    assert len(desk.manager.standing()) == 1


def test_no_state_and_nothing_that_stands_are_two_things(tmp_path: Path) -> None:
    path = tmp_path / "monitoring" / "alerts.json"
    with pytest.raises(MonitoringError, match=r"alerts\.json' cannot be read: No such file"):
        read_standing(path)
    Desk(Rule(name="drift", on="drift"), state=path)
    assert read_standing(path) == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"standing": ["x"]}', '{"standing": [{}]}', "\x00"])
def test_a_damaged_state_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    path.write_text(text)
    with pytest.raises(MonitoringError, match=r"alerts\.json' cannot be read"):
        read_standing(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MonitoringError, match=r"alerts\.json' cannot be written"):
        Desk(Rule(name="drift", on="drift"), state=tmp_path / "file" / "alerts.json")


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_events_alternate_and_follow_the_runs(
    breaches: list[bool], after: int, resolve_after: int
) -> None:
    desk = Desk(Rule(name="r", on="drift", after=after, resolve_after=resolve_after))
    for hours, breached in enumerate(breaches):
        desk.manager.consider([condition(hours, breached=breached)])
    expected, standing, run = [], False, 0
    for k, breached in enumerate(breaches):  # the rule, said plainly
        run = run + 1 if k and breaches[k - 1] == breached else 1
        if not standing and breached and run >= after:
            standing = True
            expected.append(AlertRaised)
        elif standing and not breached and run >= resolve_after:
            standing = False
            expected.append(AlertResolved)
    assert [type(event) for event in desk.events] == expected
    assert bool(desk.manager.standing()) == standing
