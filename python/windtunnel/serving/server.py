"""The process that serves: its sockets, deadlines, logs and its end."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from pathlib import Path

import uvicorn

from windtunnel.deployment.registry import Registry
from windtunnel.events import EventBus
from windtunnel.serving import signals
from windtunnel.serving.app import create_app
from windtunnel.serving.endpoint import AT_ONCE
from windtunnel.serving.logs import logging_config
from windtunnel.serving.protocol import READ_ONCE_MORE, deadlined
from windtunnel.serving.schemas import PREDICT
from windtunnel.serving.service import Service, sole_name
from windtunnel.serving.settings import Settings
from windtunnel.serving.sockets import listen
from windtunnel.serving.start import share_compilations

log = logging.getLogger(__name__)

# A thread that loads a version gives up the interpreter this soon to the one that answers.
_SWITCH_SECONDS = 0.001


def serve(
    registry: str | Path,
    name: str | None = None,
    alias: str = "champion",
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    settings: Settings | None = None,
    bus: EventBus | None = None,
    root_path: str = "",
    proxies: str = "127.0.0.1",
    log_level: str = "info",
) -> None:
    """Serve the version behind an alias over HTTP; returns after SIGTERM or SIGINT.

    On a signal the service says that it is not ready and asks clients to close their
    connections; then the port closes, and requests under way are answered to their end.

    Parameters
    ----------
    registry, name, alias, settings, bus
        See `windtunnel.serving.app.create_app`.
    host, port
        Where to listen; port 0 takes a free one.
    root_path : str
        Prefix of the paths that a proxy in front has.
    proxies : str
        Addresses, comma-separated, whose ``X-Forwarded-For`` is believed.
    log_level : str
        Least severe level that is logged.

    Raises
    ------
    RegistryError, BundleError
        There is nothing to serve: found before the port opens.
    ServiceError
        The port cannot be had, or there is no such host.
    """
    settings = Settings() if settings is None else settings
    store = Registry(registry)
    name = sole_name(store, name)
    store.resolve(name, alias)
    sockets = listen(host, port)
    share_compilations()
    logging.captureWarnings(True)  # a library's warning is a line of the log like any other
    app = create_app(registry, name, alias, settings=settings, bus=bus)
    sys.setswitchinterval(_SWITCH_SECONDS)
    config = uvicorn.Config(
        app,
        http=deadlined(
            settings.header_seconds,
            settings.body_seconds,
            settings.max_connections,
            path=PREDICT.encode(),
            at_once=app.predict.at_once,
            longest=min(AT_ONCE, settings.max_body_bytes),
        ),
        timeout_keep_alive=settings.keep_alive_seconds,  # type: ignore[arg-type] # any number
        ws_max_size=settings.max_body_bytes,
        ws_max_queue=8,
        ws_per_message_deflate=False,  # a small message may unfold into a large one
        access_log=False,
        log_config=logging_config(log_level),
        server_header=False,
        root_path=root_path,
        forwarded_allow_ips=proxies,
        timeout_graceful_shutdown=round(settings.drain_seconds),
    )
    with signals.end_quietly():
        DrainingServer(config, app.state.service, settings.linger_seconds).run(sockets)


class DrainingServer(uvicorn.Server):
    """A server that lets clients know before it closes their connections.

    A client that keeps its connection open may send a request at the very moment the
    connection is closed, and lose it. So answers ask for the connection to be closed for
    `linger` seconds while the port stays open, which also gives a balancer that watches
    ``/readyz`` time to look.
    """

    def __init__(self, config: uvicorn.Config, service: Service, linger: float) -> None:
        super().__init__(config)
        self._service = service
        self._linger = linger

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections, and say where."""
        await super().startup(sockets)
        for each in sockets or ():
            address, port = each.getsockname()[:2]
            shown = f"[{address}]" if ":" in address else address
            log.info("answering on http://%s:%d", shown, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Announce the end, then close."""
        self._service.draining = True
        if not self.force_exit:
            await asyncio.sleep(self._linger)
            # After a standstill, a request may have come that has not been read yet.
            await asyncio.sleep(READ_ONCE_MORE)
        await super().shutdown(sockets)
