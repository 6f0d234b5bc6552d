"""A port that cannot be had is told in words before anything is loaded."""

from __future__ import annotations

import socket

import pytest

from windtunnel.errors import ServiceError
from windtunnel.serving.server import serve
from windtunnel.serving.sockets import listen


def close(sockets):
    for each in sockets:
        each.close()


def test_a_free_port_is_the_same_for_every_address_of_a_host():
    sockets = listen("localhost", 0)
    try:
        ports = {each.getsockname()[1] for each in sockets}
        assert len(ports) == 1
        assert ports != {0}
        socket.create_connection(("127.0.0.1", ports.pop()), timeout=5).close()
    finally:
        close(sockets)


def test_a_port_that_is_held_is_refused_and_free_again_afterwards(registry_path):
    sockets = listen("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    try:
        with pytest.raises(ServiceError, match=rf"127\.0\.0\.1, port {port}: .*another --host"):
            serve(registry_path, port=port)
    finally:
        close(sockets)
    close(listen("127.0.0.1", port))


@pytest.mark.parametrize(
    ("host", "port", "told"),
    [
        ("127.0.0.1", 99999, "port: must lie in"),
        ("127.0.0.1", -1, "port: must lie in"),
        ("no host of that name", 0, "cannot listen on no host of that name"),
        ("192.0.2.1", 0, "cannot listen on 192.0.2.1"),  # of nobody, see RFC 5737
    ],
)
def test_a_place_that_cannot_be_is_refused(host, port, told):
    with pytest.raises(ServiceError, match=told) as refused:
        listen(host, port)
    assert refused.value.exit_code == 13
