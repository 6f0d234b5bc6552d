"""A version under watch: real features of real bars, fed bar by bar, changed on purpose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windtunnel.events import (
    AccountMarked,
    AlertRaised,
    AlertResolved,
    Event,
    EventBus,
    OrderFilled,
    OutcomesArrived,
    RoutesChanged,
    RowsScored,
)
from windtunnel.monitoring import monitor as monitoring
from windtunnel.monitoring.alerts.condition import Condition
from windtunnel.monitoring.alerts.standing import read_standing
from windtunnel.monitoring.bars import as_moment
from windtunnel.monitoring.burn_rate import Objective
from windtunnel.monitoring.latency import LatencyObserver
from windtunnel.monitoring.monitor import attach
from windtunnel.monitoring.settings import DecaySection, MonitorFile, StreamSection
from windtunnel.monitoring.watch import ModelWatch

SETTINGS = MonitorFile.model_validate(
    {"drift": {"window": 40, "stride": 20, "false_alarm_bars": 2000, "resamples": 300}}
)


@pytest.fixture(scope="module")
def stream(watched_bundle: Any, long_example: Any):
    """Timestamps, symbols, features and scores of 100 bars after the reference."""
    panel, values, _ = long_example
    rows = []
    for t in range(1000, 1100):
        here = np.flatnonzero(~np.isnan(values[t]).any(axis=1))
        features = values[t, here]
        symbols = tuple(panel.symbols[n] for n in here)
        rows.append((panel.timestamps[t], symbols, features, watched_bundle.score(features)))
    return rows


def fed(watch: ModelWatch, stream: Any, change=lambda features: features) -> list[Condition]:
    found: list[Condition] = []
    for stamp, symbols, features, scores in stream:
        found += watch.bar(as_moment(stamp), symbols, change(features), scores)
    return found


def test_drift_is_looked_for_every_stride(watched_bundle: Any, stream: Any) -> None:
    watch = ModelWatch(watched_bundle, 3, SETTINGS)
    drift = [found for found in fed(watch, stream) if found.signal == "drift"]
    assert [len(found.history) for found in drift] == [0, 1, 2, 3]
    assert [check.drifted for _, check in watch.checks] == [found.breached for found in drift]
    assert drift[0].subject == "example version 3"
    assert watch.unkept == ""


def test_a_broken_feed_is_found_and_its_feature_named(watched_bundle: Any, stream: Any) -> None:
    def in_percent(features: np.ndarray) -> np.ndarray:
        changed = features.copy()
        changed[:, 2] *= 100  # volatility_20, as if a feed gave percent
        return changed

    watch = ModelWatch(watched_bundle, 1, SETTINGS)
    drift = [found for found in fed(watch, stream, in_percent) if found.signal == "drift"]
    assert all(found.breached for found in drift)
    assert "volatility_20" in drift[-1].what
    assert watch.checks[-1][1].features[0] == "volatility_20"


def test_the_same_bar_counts_once(watched_bundle: Any, stream: Any) -> None:
    watch = ModelWatch(watched_bundle, 1, SETTINGS)
    twice = [row for row in stream for _ in range(2)]
    assert len(fed(watch, twice)) == len(fed(ModelWatch(watched_bundle, 1, SETTINGS), stream))


def test_a_bar_may_come_in_parts(watched_bundle: Any, stream: Any) -> None:
    whole, parts = (ModelWatch(watched_bundle, 1, SETTINGS) for _ in range(2))
    single = [
        (stamp, (symbol,), features[k : k + 1], scores[k : k + 1])
        for stamp, symbols, features, scores in stream
        for k, symbol in enumerate(symbols)
    ]
    expected, found = fed(whole, stream), fed(parts, single)
    assert [repr(each) for each in found] == [repr(each) for each in expected]
    assert not any(each.breached for each in found if each.signal == "missing_bars")
    assert parts._scores == whole._scores


def test_a_bar_that_lacks_an_instrument_is_judged_when_a_later_one_begins(
    watched_bundle: Any, stream: Any
) -> None:
    watch = ModelWatch(watched_bundle, 1, SETTINGS)
    absent = stream[0][1][0]
    lacking = [(at, names[1:], rows[1:], scores[1:]) for at, names, rows, scores in stream[:4]]
    counts = [
        [each.value for each in fed(watch, [bar]) if each.subject.endswith(absent)]
        for bar in lacking
    ]
    assert counts == [[], [1.0], [2.0], [3.0]]
    # What is still missing comes before it is judged: the bar lacks nothing.
    at, names, rows, scores = stream[3]
    found = fed(watch, [(at, names[:1], rows[:1], scores[:1])])
    assert [each.value for each in found if each.subject.endswith(absent)] == [0.0]
    assert watch.close() == []


def test_instruments_that_another_version_answers_for_are_not_missing(
    tmp_path: Path, watched_bundle: Any, stream: Any
) -> None:
    desk = Desk(tmp_path, watched_bundle)
    for bar, (stamp, symbols, features, scores) in enumerate(stream[:30]):
        for k, symbol in enumerate(symbols):
            version = 2 if k == bar % len(symbols) else 1  # of a live canary
            part = slice(k, k + 1)
            desk.bus.emit(
                RowsScored(
                    "example",
                    version,
                    features[part],
                    scores[part],
                    np.full(1, stamp),
                    (symbol,),
                )
            )
    assert desk.attached.queued.drain(60)
    watches = desk.attached.monitor.watches
    assert {version for _, version in watches} == {1, 2}
    assert desk.attached.close()
    assert [event for event in desk.alerts if event.rule == "instrument without bars"] == []


def test_outcomes_find_the_scores_of_their_bar(watched_bundle: Any, stream: Any) -> None:
    watch = ModelWatch(watched_bundle, 1, SETTINGS)
    fed(watch, stream)
    found: list[Condition] = []
    for stamp, symbols, _, _ in stream:
        found += watch.outcomes(as_moment(stamp), dict.fromkeys(symbols, 1.0))
    assert {condition.signal for condition in found} == {"ic", "calibration"}
    assert watch.skill is not None
    assert watch.skill.ic().count == len(stream) // 5  # the label's horizon is 5
    assert watch.outcomes(as_moment(stream[0][0]), {"A": 1.0}) == []  # told already


class Desk:
    def __init__(self, folder: Path, bundle: Any, settings: MonitorFile = SETTINGS, **more: Any):
        self.bus = EventBus()
        self.alerts: list[Event] = []
        self.bus.subscribe(self.alerts.append, AlertRaised, AlertResolved)
        self.now = datetime(2011, 1, 1, tzinfo=UTC)
        self.attached = attach(
            self.bus,
            lambda model, version: bundle,
            settings,
            folder,
            clock=lambda: self.now,
            **more,
        )

    def send(self, stream: Any, change=lambda features: features) -> None:
        for stamp, symbols, features, scores in stream:
            self.bus.emit(
                RowsScored(
                    "example", 1, change(features), scores, np.full(len(symbols), stamp), symbols
                )
            )
        assert self.attached.queued.drain(60)


def test_events_become_alerts_with_pictures(tmp_path: Path, watched_bundle: Any, stream) -> None:
    desk = Desk(tmp_path, watched_bundle)
    desk.send(stream, lambda features: features + np.float32(3.0))
    assert desk.attached.close()
    raised = [event for event in desk.alerts if isinstance(event, AlertRaised)]
    drift = [event for event in raised if event.rule == "features drift"]
    assert len(drift) == 1
    assert Path(drift[0].picture).read_text().startswith("<svg")
    assert drift[0].value > drift[0].threshold
    assert "windtunnel retrain" in drift[0].advice
    desk.send([])  # detached: nothing arrives
    counts = desk.attached.queued.counts
    assert (counts.failed, counts.dropped, counts.delivered) == (0, 0, len(stream))


def test_a_stream_that_changes_is_an_alert(tmp_path: Path, watched_bundle: Any, stream) -> None:
    pytest.importorskip("river")
    settings = SETTINGS.model_copy(update={"streams": StreamSection(false_alarm_bars=200)})
    desk = Desk(tmp_path, watched_bundle, settings)
    desk.send(stream, lambda features: features * np.float32(100.0))
    desk.attached.close()
    raised = [event for event in desk.alerts if isinstance(event, AlertRaised)]
    changes = [event for event in raised if event.rule == "stream has changed"]
    (changed,) = (event for event in changes if event.subject == "example version 1 features")
    assert changed.value > changed.threshold
    assert Path(changed.picture).read_text().startswith("<svg")


def test_stale_bars_and_outcomes_through_events(
    tmp_path: Path, watched_bundle: Any, stream
) -> None:
    desk = Desk(tmp_path, watched_bundle)
    desk.send(stream)
    stamp, symbols, _, _ = stream[0]
    desk.bus.emit(
        OutcomesArrived(
            "example", np.full(len(symbols), stamp), symbols, np.ones(len(symbols), np.float64)
        )
    )
    desk.bus.emit(OutcomesArrived("example", np.full(1, stamp), ("nobody",), np.ones(1)))
    assert desk.attached.queued.drain(60)
    desk.now = as_moment(stream[-1][0]) + timedelta(days=60)
    desk.attached._tick()
    desk.now += timedelta(minutes=1)
    desk.attached.monitor.tick(desk.now)
    assert [event.rule for event in desk.alerts if isinstance(event, AlertRaised)].count(
        "bars are stale"
    ) == 1
    assert desk.attached.queued.counts.failed == 0
    desk.attached.close()


def test_a_bar_ahead_of_time_is_told_of_and_blinds_nobody(
    tmp_path: Path, watched_bundle: Any, stream: Any
) -> None:
    desk = Desk(tmp_path, watched_bundle)
    _, *rest = stream[0]
    desk.send([(np.datetime64("2108-01-01", "us"), *rest)] * 3)
    (raised,) = desk.alerts
    assert isinstance(raised, AlertRaised)
    assert (raised.rule, raised.subject) == ("bars are ahead of time", "example version 1")
    assert "2108-01-01 00:00 UTC" in raised.what
    desk.send(stream, lambda features: features + np.float32(3.0))
    assert desk.attached.close()
    after = [(type(event), event.rule) for event in desk.alerts[1:]]
    assert (AlertResolved, "bars are ahead of time") in after
    assert (AlertRaised, "features drift") in after


def test_alerts_of_a_version_that_is_replaced_are_over(
    tmp_path: Path, watched_bundle: Any, stream: Any
) -> None:
    desk = Desk(tmp_path, watched_bundle)
    desk.send(stream[:60], lambda features: features + np.float32(3.0))
    begun = {(event.rule, event.subject) for event in desk.alerts}
    assert ("features drift", "example version 1") in begun
    desk.bus.emit(RoutesChanged("example", 1, 2, 0.1, "live", 1))
    desk.bus.emit(RoutesChanged("other", 2, None, 0.0, "", 1))
    assert desk.attached.queued.drain(60)
    assert len(desk.alerts) == len(begun)  # it still serves
    desk.bus.emit(RoutesChanged("example", 2, None, 0.0, "", 2))
    # Nor does what it answered on its way out begin one anew.
    desk.send(stream[60:], lambda features: features + np.float32(3.0))
    assert desk.attached.close()
    over = desk.alerts[len(begun) :]
    assert {(event.rule, event.subject) for event in over} == begun
    assert all(isinstance(event, AlertResolved) for event in over)
    assert not any(kept.raised for kept in read_standing(tmp_path / "alerts.json").values())


def test_an_account_that_falls_behind_and_dear_fills_are_alerts(
    tmp_path: Path, watched_bundle: Any, stream: Any
) -> None:
    desk = Desk(tmp_path, watched_bundle)
    random = np.random.default_rng(5)
    assumed = 1e4 * watched_bundle.manifest.account.costs["half_spread"]
    for k in range(260):
        at = as_moment(stream[0][0]) + timedelta(days=k)
        backtest = float(random.normal(0, 0.01))
        desk.bus.emit(AccountMarked("example", 1, at, backtest - 0.002, backtest))
        price = 100 * (1 + (assumed + random.normal(20, 5)) / 1e4)
        desk.bus.emit(OrderFilled("example", 1, at, "AAPL", 1, price, 100.0))
    assert desk.attached.queued.drain(60)
    desk.attached.close()
    raised = {event.rule: event for event in desk.alerts if isinstance(event, AlertRaised)}
    assert raised.keys() == {"account falls behind", "fills cost more"}
    assert raised["account falls behind"].value == pytest.approx(-0.002, abs=1e-4)
    assert raised["fills cost more"].threshold == pytest.approx(assumed)
    assert desk.attached.queued.counts.failed == 0


def test_account_and_fills_wait_for_as_many_values_as_the_file_says(watched_bundle: Any) -> None:
    settings = SETTINGS.model_copy(update={"decay": DecaySection(fewest=40)})
    watch = ModelWatch(watched_bundle, 1, settings)
    at = datetime(2020, 1, 1, tzinfo=UTC)
    lost = [watch.returns(at, -0.002, 0.0)[0].breached for _ in range(41)]
    dear = [watch.fill(at, 1, 101.0, 100.0)[0].breached for _ in range(41)]
    assert lost == dear == [False] * 39 + [True] * 2


def test_a_reference_too_short_for_its_memory_is_said_in_log_and_alert(
    tmp_path: Path,
    maker: Any,
    long_example: Any,
    stream: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from windtunnel.deployment.bundle import load_bundle

    panel, values, example = long_example
    defined = ~np.isnan(values[:200]).any(axis=2)
    short = load_bundle(
        maker.export_example(
            example,
            tmp_path / "short",
            reference=values[:200][defined],
            reference_bars=np.nonzero(defined)[0],
            symbols=panel.symbols,
        )
    )
    desk = Desk(tmp_path / "desk", short)
    desk.send(stream[:40], lambda features: features + np.float32(3.0))
    assert desk.attached.close()
    (raised,) = (event for event in desk.alerts if event.rule == "features drift")
    assert isinstance(raised, AlertRaised)
    assert "perhaps more often than once in 2000 bars, since the " in raised.what
    (logged,) = (each for each in caplog.messages if "more often than asked for" in each)
    assert "are needed, or more" in logged


def test_a_version_that_cannot_be_watched_is_said_once(
    tmp_path: Path, maker: Any, stream: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from windtunnel.deployment.bundle import load_bundle

    example = maker.make_example()
    few = load_bundle(
        maker.export_example(example, tmp_path / "few", reference=example.features[60:70, 0])
    )
    desk = Desk(tmp_path / "desk", few)
    desk.send(stream[:5])
    assert desk.attached.close()
    assert sum("cannot be watched" in record.message for record in caplog.records) == 1
    assert desk.attached.queued.counts.failed == 0


def test_a_slow_service_burns_its_objective(tmp_path: Path, watched_bundle: Any) -> None:
    from windtunnel.events import PredictionServed

    now = [0.0]
    latency = LatencyObserver([Objective("fast", 0.99, 0.05)], clock=lambda: now[0])
    desk = Desk(tmp_path, watched_bundle, latency=latency)
    for k in range(500):
        now[0] = float(k)
        latency(PredictionServed("example", 1, 1, 0.5))
    desk.attached._tick()
    desk.attached.close()
    (raised,) = desk.alerts
    assert isinstance(raised, AlertRaised)
    assert (raised.rule, raised.subject) == ("objective burns", "fast")
    assert "100.0 times the sustainable speed" in raised.what


def test_lost_events_are_told_of_once_a_minute() -> None:
    at = datetime(2020, 1, 1, tzinfo=UTC)
    assert monitoring._losing("monitor", 3, at).breached
    assert not monitoring._losing("monitor", 0, at).breached
