"""The sockets of the service: opened before anything else is done, or refused in words."""

from __future__ import annotations

import contextlib
import socket

from windtunnel.errors import ServiceError

_BACKLOG = 2048  # connections that may wait to be accepted


def listen(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of `host`, all on one port.

    Parameters
    ----------
    host : str
        Name or address; an empty one stands for all addresses of this machine.
    port : int
        0 takes a free one.

    Raises
    ------
    ServiceError
        There is no such port or host, or the port cannot be had.
    """
    if not 0 <= port <= 65535:
        raise ServiceError(
            f"port: must lie in [0, 65535], got {port}", "Name a free port, or 0 for any"
        )
    with contextlib.ExitStack() as opened:
        found: list[socket.socket] = []
        try:
            infos = socket.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, kind, protocol, _, address in dict.fromkeys(infos):
                each = opened.enter_context(socket.socket(family, kind, protocol))
                found.append(each)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                each.bind((address[0], port, *address[2:]))
                each.listen(_BACKLOG)
                port = each.getsockname()[1]
        except OSError as error:  # a name that nobody knows is one, too
            raise ServiceError(
                f"cannot listen on {host}, port {port}: {error.strerror or error}",
                "Choose another --host or --port, or end what holds the port",
            ) from None
        opened.pop_all()
    return found
