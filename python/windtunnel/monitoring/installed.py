"""Observers that other packages bring, found by entry point.

A package adds one by naming a factory in its pyproject.toml::

    [project.entry-points."windtunnel.observers"]
    desk = "my_package.watch:make_observer"

The factory takes no argument and returns a callable of one event, or a coroutine function.
Its attribute `kinds`, a tuple of event classes, limits what it is given.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points

from windtunnel.events import Event, EventBus
from windtunnel.monitoring.queued import QueuedObserver

log = logging.getLogger(__name__)

GROUP = "windtunnel.observers"


def attach_installed(
    bus: EventBus, *, leave_out: Collection[str] = (), capacity: int = 4096
) -> tuple[QueuedObserver, ...]:
    """Subscribe every installed observer, each behind a queue of its own.

    One that cannot be loaded is logged and left out: what a stranger's package does must not
    keep a service from starting.

    Parameters
    ----------
    bus : EventBus
    leave_out : collection of str
        Names of entry points that are not wanted.
    capacity : int
        Length of each queue.

    Returns
    -------
    tuple of QueuedObserver
        To be closed when the process ends.
    """
    attached = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if point.name in leave_out:
            continue
        queued = _load(point, capacity)
        if queued is not None:
            observer, kinds = queued
            bus.subscribe(observer, *kinds)
            attached.append(observer)
    return tuple(attached)


def _load(
    point: EntryPoint, capacity: int
) -> tuple[QueuedObserver, tuple[type[Event], ...]] | None:
    try:
        observer = point.load()()
        kinds = _check(observer)
    except (Exception, SystemExit):
        log.exception("observer %r of %s could not be loaded", point.name, point.value)
        return None
    return QueuedObserver(observer, capacity=capacity, name=point.name), kinds


def _check(observer: object) -> tuple[type[Event], ...]:
    """The kinds that `observer` asks for; TypeError when it cannot be one."""
    if not callable(observer):
        raise TypeError(f"the factory must return a callable, got {type(observer).__name__}")
    kinds = tuple(getattr(observer, "kinds", ()))
    if not all(isinstance(kind, type) and issubclass(kind, Event) for kind in kinds):
        raise TypeError(f"kinds must be event classes, got {kinds!r}")
    return kinds
