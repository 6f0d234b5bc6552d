"""Run the service in this process until it is told to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from windtunnel.deployment.registry import Registry
from windtunnel.serving.app import MAX_BODY_BYTES, create_app
from windtunnel.serving.service import sole_name


def serve(
    registry: str | Path,
    name: str | None = None,
    alias: str = "champion",
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    drain_seconds: int = 30,
    access_log: bool = False,
    log_level: str = "info",
) -> None:
    """Serve the version behind an alias over HTTP; returns after SIGTERM or SIGINT.

    On a signal the port closes at once and requests under way are answered to their end,
    for at most `drain_seconds`.

    Parameters
    ----------
    registry, name, alias, max_body_bytes
        See `windtunnel.serving.app.create_app`.
    host, port
        Where to listen; port 0 takes a free one.
    access_log : bool
        A line a request; costs about as much as a prediction.

    Raises
    ------
    RegistryError, BundleError
        There is nothing to serve: found before the port opens.
    """
    store = Registry(registry)
    store.resolve(sole_name(store, name), alias)
    config = uvicorn.Config(
        create_app(registry, name, alias, max_body_bytes=max_body_bytes),
        host=host,
        port=port,
        access_log=access_log,
        log_level=log_level,
        server_header=False,
        timeout_graceful_shutdown=drain_seconds,
    )
    with _signals_end_quietly():
        uvicorn.Server(config).run()


@contextlib.contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Uvicorn raises the signal again once it has drained; there is nothing left to stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: None) for number in caught]
    try:
        yield
    finally:
        for number, handler in zip(caught, before, strict=True):
            signal.signal(number, handler)
