"""The monitor of a service: events in, alerts out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.events import (
    AccountMarked,
    Event,
    EventBus,
    OrderFilled,
    OutcomesArrived,
    RoutesChanged,
    RowsScored,
)
from windtunnel.monitoring import picture
from windtunnel.monitoring.alerts.condition import Condition, version_in
from windtunnel.monitoring.alerts.delivery import DEAD_LETTERS, Delivery, Line
from windtunnel.monitoring.alerts.manager import AlertManager
from windtunnel.monitoring.alerts.sinks import make_sink
from windtunnel.monitoring.bars import as_moment
from windtunnel.monitoring.drift.changes import stream_kind
from windtunnel.monitoring.latency import LatencyObserver
from windtunnel.monitoring.queued import QueuedObserver
from windtunnel.monitoring.settings import MonitorFile
from windtunnel.monitoring.watch import ModelWatch

if TYPE_CHECKING:
    from windtunnel.deployment.bundle import Bundle

log = logging.getLogger(__name__)

_STATE = "alerts.json"
_TICK = 60.0


class Monitor:
    """Watches every version that scores, and hands what it finds to the alert rules.

    Subscribe it behind a queue, `attach` does: calibrating a version's thresholds takes
    seconds. Rows without timestamps say nothing of bars and are passed over: see `wants`.
    When a service tells that a version serves no more, what stands on it is over.

    Parameters
    ----------
    load : callable
        Gives the bundle of a model's version.
    settings : MonitorFile
    manager : AlertManager
    clock : callable
        The time of day: bars that lie ahead of it are passed over.
    """

    raises_alerts: ClassVar[bool] = True  # no alert from a service then says that all is well
    kinds: ClassVar[tuple[type[Event], ...]] = (
        RowsScored,
        OutcomesArrived,
        AccountMarked,
        OrderFilled,
        RoutesChanged,
    )

    def __init__(
        self,
        load: Callable[[str, int], Bundle],
        settings: MonitorFile,
        manager: AlertManager,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._load, self._settings, self._manager = load, settings, manager
        self._clock = clock
        self.watches: dict[tuple[str, int], ModelWatch | None] = {}
        self._serving: dict[str, tuple[int | None, ...]] = {}  # by model, where it is known
        self._lock = threading.Lock()  # events and ticks come from two threads

    @staticmethod
    def wants(event: Event) -> bool:
        """Whether the monitor has any use for an event: its thread need not wake for others."""
        return not isinstance(event, RowsScored) or event.timestamps is not None

    def __call__(self, event: Event) -> None:
        """Take note of rows, outcomes, an account, its fills, or who serves."""
        with self._lock:
            if isinstance(event, RowsScored):
                self._rows(event)
            elif isinstance(event, OutcomesArrived):
                self._outcomes(event)
            elif isinstance(event, AccountMarked | OrderFilled):
                self._account(event)
            elif isinstance(event, RoutesChanged):
                self._routes(event)

    def tick(self, now: datetime) -> None:
        """Look at what time alone has to say."""
        with self._lock:
            newest: dict[str, ModelWatch] = {}
            for (model, _), watch in self.watches.items():
                last = watch.bars.last if watch is not None else None
                if watch is None or last is None:
                    continue
                before = newest.get(model)
                if before is None or before.bars.last is None or last >= before.bars.last:
                    newest[model] = watch
            # A version that serves no more gets no bars, which is no fault of the feed.
            self._manager.consider(
                condition for watch in newest.values() for condition in watch.tick(now)
            )

    def _rows(self, event: RowsScored) -> None:
        if event.timestamps is None or event.symbols is None:
            return
        watch = self._watch(event.model, event.version)
        if watch is None:
            return
        now = self._clock()
        others = [
            other
            for (model, _), other in self.watches.items()
            if model == event.model and other is not None and other is not watch
        ]
        for stamp in np.unique(event.timestamps):
            at, here = as_moment(stamp), np.flatnonzero(event.timestamps == stamp)
            symbols = tuple(event.symbols[k] for k in here)
            rows, scores = event.features[here], event.scores[here]
            found = watch.bar(at, symbols, rows, scores, now=now)
            self._consider(event.model, event.version, found)
            for other in others:
                other.bars.elsewhere(at, symbols)

    def _outcomes(self, event: OutcomesArrived) -> None:
        for (model, version), watch in self.watches.items():
            if model != event.model or watch is None:
                continue
            for stamp in np.unique(event.timestamps):
                here = np.flatnonzero(event.timestamps == stamp)
                outcomes = {event.symbols[k]: float(event.outcomes[k]) for k in here}
                self._consider(model, version, watch.outcomes(as_moment(stamp), outcomes))

    def _account(self, event: AccountMarked | OrderFilled) -> None:
        watch = self._watch(event.model, event.version)
        if watch is None:
            return
        if isinstance(event, AccountMarked):
            found = watch.returns(event.at, event.live, event.backtest)
        else:
            found = watch.fill(event.at, event.side, event.price, event.expected_price)
        self._consider(event.model, event.version, found)

    def _routes(self, event: RoutesChanged) -> None:
        model, serving = event.model, (event.champion, event.canary)
        self._serving[model] = serving

        def gone(subject: str) -> bool:
            version = version_in(subject, model)
            return version is not None and version not in serving

        self._manager.leave(gone, self._clock(), "the version serves no more")

    def _consider(self, model: str, version: int, found: list[Condition]) -> None:
        """Hand on what was found, unless the version has been replaced meanwhile."""
        if version in self._serving.get(model, (version,)):
            self._manager.consider(found)

    def _watch(self, model: str, version: int) -> ModelWatch | None:
        key = (model, version)
        if key not in self.watches:
            try:
                self.watches[key] = ModelWatch(self._load(model, version), version, self._settings)
            except WindtunnelError as error:
                self.watches[key] = None  # said once, not with every row
                log.warning("%s version %d cannot be watched: %s", model, version, error)
            watch = self.watches[key]
            if watch is not None and watch.unkept:
                log.warning(
                    "%s: false alarms of drift may come more often than asked for: %s",
                    watch.subject,
                    watch.unkept,
                )
        return self.watches[key]


class Attached:
    """A monitor at work on a bus; close it when the process ends."""

    def __init__(
        self,
        monitor: Monitor,
        queued: QueuedObserver,
        unsubscribe: Callable[[], None],
        tick: Callable[[], None],
    ) -> None:
        self.monitor, self.queued = monitor, queued
        self._unsubscribe, self._tick = unsubscribe, tick
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor ticks", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 5.0) -> bool:
        """Stop; whether all that was queued has been looked at."""
        self._unsubscribe()
        self._stop.set()
        self._thread.join(timeout)
        return self.queued.close(timeout)

    def _run(self) -> None:
        while not self._stop.wait(_TICK):
            try:
                self._tick()
            except Exception:
                log.exception("the monitor's clock stumbled and goes on")


def attach(
    bus: EventBus,
    load: Callable[[str, int], Bundle],
    settings: MonitorFile,
    folder: str | Path,
    *,
    latency: LatencyObserver | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Attached:
    """Let a monitor watch a bus, with its state, pictures and dead letters below `folder`.

    Parameters
    ----------
    bus : EventBus
    load : callable
        Gives the bundle of a model's version, for example `registry.load(registry.resolve(...))`.
    settings : MonitorFile
    folder : path
    latency : LatencyObserver, optional
        Whose objectives raise alerts; `PrometheusObserver.latency` of the service.
    clock : callable
        The time of day, for what is overdue or ahead of time.

    Raises
    ------
    MonitoringError
        A sink or the state of the alerts cannot be used, or river is asked for and missing.
    """
    stream_kind(settings.streams.kind)  # what is missing is found before anything is watched
    manager = make_manager(settings, Path(folder), emit=bus.emit)
    monitor = Monitor(load, settings, manager, clock)
    queued = QueuedObserver(monitor, capacity=100_000, name="monitor", wanted=monitor.wants)
    unsubscribe = bus.subscribe(queued, *Monitor.kinds)
    lost = 0

    def tick() -> None:
        nonlocal lost
        now, before = clock(), lost
        lost = queued.counts.dropped + queued.counts.failed
        monitor.tick(now)
        manager.consider([*_burning(latency, now), _losing(queued.name, lost - before, now)])

    return Attached(monitor, queued, unsubscribe, tick)


def make_manager(
    settings: MonitorFile,
    folder: Path,
    *,
    emit: Callable[[Event], None],
    deliver: bool = True,
    keep_state: bool = True,
    pictures: bool = True,
) -> AlertManager:
    """An alert manager by the settings, with what it writes below `folder`.

    `deliver` off sends nothing, as in a replay; `keep_state` off begins and ends with nothing
    standing; `pictures` off draws none.
    """
    lines = {
        section.name: Line(make_sink(section), section.attempts, section.timeout, section.backoff)
        for section in (settings.sink if deliver else ())
    }
    delivery = Delivery(lines, folder / DEAD_LETTERS)
    base = settings.pictures.link.rstrip("/")
    return AlertManager(
        settings.rule,
        deliver=delivery if lines else lambda *_: None,
        emit=emit,
        silences=settings.silence,
        draw=lambda condition: picture.draw(condition, folder / "pictures") if pictures else "",
        link=lambda path: f"{base}/{Path(path).name}" if base else path,
        state=folder / _STATE if keep_state else None,
    )


def _burning(latency: LatencyObserver | None, now: datetime) -> list[Condition]:
    if latency is None:
        return []
    found = []
    for objective, burns in latency.burns():
        worst = max(burns, key=lambda burn: min(burn.long, burn.short) / burn.window.rate)
        found.append(
            Condition(
                signal="latency",
                subject=objective.name,
                at=now,
                breached=any(burn.alert for burn in burns),
                value=min(worst.long, worst.short),
                threshold=worst.window.rate,
                what=f"predictions slower than {objective.seconds:g} s use up the allowance of "
                f"{1 - objective.target:.2%} at {worst.long:.1f} times the sustainable speed over "
                f"{worst.window.long / 3600:g} h, and {worst.short:.1f} times over "
                f"{worst.window.short / 60:g} min",
                advice="See whether a new version is slower (windtunnel_prediction_seconds by "
                "version) and roll it back, or add instances",
            )
        )
    return found


def _losing(name: str, lost: int, now: datetime) -> Condition:
    return Condition(
        signal="observer",
        subject=name,
        at=now,
        breached=lost > 0,
        value=float(lost),
        threshold=0.0,
        what=f"{lost} events were dropped or failed in the observer {name!r} in the last minute",
        advice="What it says of drift and skill has gaps. The log holds the first failure; drops "
        "mean that it cannot keep up",
    )
