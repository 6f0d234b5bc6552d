"""All that listens to a service: a monitor by its file, and what other packages have installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from windtunnel.deployment.registry import Registry
from windtunnel.events import EventBus
from windtunnel.monitoring.installed import attach_installed
from windtunnel.monitoring.latency import LatencyObserver
from windtunnel.monitoring.monitor import attach
from windtunnel.monitoring.settings import MonitorFile


@contextmanager
def listened_to(
    registry: str | Path, settings: MonitorFile | None, folder: str | Path
) -> Iterator[EventBus]:
    """A bus for a service, with its observers at work until the block ends.

    Parameters
    ----------
    registry : path
        From which the monitor loads the versions that score.
    settings : MonitorFile, optional
        Without one there is no monitor; installed observers there are in any case.
    folder : path
        For the monitor's state, pictures and dead letters.

    Raises
    ------
    MonitoringError
        A sink or the state of the alerts cannot be used: found before anything is served.
    """
    bus = EventBus()
    installed = attach_installed(bus)
    attached = None
    if settings is not None:
        latency = LatencyObserver([each.objective() for each in settings.objective])
        bus.subscribe(latency, *LatencyObserver.kinds)
        reader = Registry(registry)
        attached = attach(
            bus,
            lambda model, version: reader.load(reader.resolve(model, version)),
            settings,
            folder,
            latency=latency,
        )
    try:
        yield bus
    finally:
        if attached is not None:
            attached.close()
        for queued in installed:
            queued.close()
