"""Monitor files: what is wrong is named, what is left out has its default."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.alerts.condition import SIGNALS
from windtunnel.monitoring.settings import DEFAULT_RULES, MonitorFile, load_monitor_file

FULL = """
[drift]
window = 40
stride = 10
false_alarm_bars = 500

[bars]
stale_after = "3d"

[[objective]]
name = "fast"
target = 0.999
seconds = 0.05

[[rule]]
name = "drift"
on = "drift"
severity = "critical"
cooldown = "1d"
remind = "7d"
sinks = ["desk"]

[[silence]]
why = "exchange holiday"
rule = "drift"
start = 2026-12-24T00:00:00Z
end = 2026-12-27T00:00:00Z

[[sink]]
name = "desk"
kind = "webhook"
url = "env:DESK_WEBHOOK"
"""


def load(tmp_path: Path, text: str) -> MonitorFile:
    path = tmp_path / "monitor.toml"
    path.write_text(text)
    return load_monitor_file(path)


def test_a_full_file(tmp_path: Path) -> None:
    found = load(tmp_path, FULL)
    assert found.drift.settings().level == 10 / 500
    assert found.bars.stale_after == timedelta(days=3)
    (rule,) = found.rule
    assert (rule.cooldown, rule.remind) == (timedelta(days=1), timedelta(days=7))
    (silence,) = found.silence
    assert silence.covers("drift", "m", datetime(2026, 12, 25, tzinfo=UTC))
    assert not silence.covers("drift", "m", datetime(2026, 12, 27, tzinfo=UTC))
    assert found.objective[0].objective().target == 0.999


def test_without_a_file_there_is_a_rule_for_what_can_be_found() -> None:
    found = load_monitor_file(None)
    assert found.rule == DEFAULT_RULES
    assert {rule.on for rule in found.rule} <= set(SIGNALS)
    assert MonitorFile.model_validate({}) == found


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("[drift]", "[drifts]"), "drifts"),
        (('on = "drift"', 'on = "drifting"'), "rule.0.on.*must be one of.*drifting"),
        (('"1d"', '"soon"'), r"rule\.0\.cooldown.*6h.*soon"),
        (('["desk"]', '["disk"]'), "no sink 'disk'"),
        (("window = 40", 'window = "40"'), "drift.window"),
        (("2026-12-27T00:00:00Z", "2026-12-23T00:00:00Z"), "end must be after start"),
        (("2026-12-24T00:00:00Z", "2026-12-24T00:00:00"), "no time zone"),
        (("false_alarm_bars = 500", "false_alarm_bars = 15"), "two strides"),
        (("[[sink]]", '[[sink]]\nname = "desk"\nkind = "webhook"\nurl = "x"\n[[sink]]'), "twice"),
        (("[[rule]]", "[rule"), "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], named: str) -> None:
    with pytest.raises(MonitoringError, match=named):
        load(tmp_path, FULL.replace(*change, 1))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MonitoringError, match=r"gone\.toml"):
        load_monitor_file(tmp_path / "gone.toml")
