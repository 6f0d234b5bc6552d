"""An answer as it goes to the wire, and the errors that every layer of the service may give."""

from __future__ import annotations

from typing import NamedTuple

from windtunnel.serving.headers import PROBLEM_HEADERS, HeaderBlock
from windtunnel.serving.refusal import Refusal


class Reply(NamedTuple):
    """An answer.

    Attributes
    ----------
    status : int
    block : HeaderBlock
        The headers that it shares with others of its kind.
    own : list of (name, value)
        The headers of its own, its length among them.
    body : bytes
    """

    status: int
    block: HeaderBlock
    own: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All headers."""
        return [*self.block.pairs, *self.own]


def problem(refusal: Refusal, request_id: str) -> Reply:
    """A refusal as an answer."""
    body = refusal.body()
    return Reply(
        refusal.status,
        PROBLEM_HEADERS,
        [
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            *((name.encode(), value.encode()) for name, value in refusal.headers.items()),
        ],
        body,
    )


def internal_error() -> Refusal:
    """What a client is told of a fault that is not its own."""
    return Refusal(
        "internal",
        None,
        None,
        "the service failed on this request",
        "Tell the operator the request id; the service's log has more",
        status=500,
    )


def too_large(limit: int) -> Refusal:
    """What a client is told of a body beyond the limit.

    The connection is closed: what is still on its way would be read as the next request.
    """
    return Refusal(
        "too_large",
        "body",
        None,
        f"is larger than {limit} bytes",
        "Send columns instead of objects, float32 instead of JSON, or fewer rows",
        status=413,
        headers={"connection": "close"},
    )


def too_slow(seconds: float) -> Refusal:
    """What a client is told whose body did not arrive in time."""
    return Refusal(
        "timeout",
        "body",
        None,
        f"did not arrive within {seconds:g} s",
        "Send it faster, or less of it",
        status=408,
        headers={"connection": "close"},
    )
