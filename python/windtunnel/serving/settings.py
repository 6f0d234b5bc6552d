"""Limits and habits of the service, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from windtunnel.errors import ServiceError
from windtunnel.monitoring.canary_terms import Terms
from windtunnel.serving.tokens import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the service behaves; every limit answers with a status and a remedy.

    Attributes
    ----------
    tokens : Tokens
        Who may do what. Without tokens predictions are open and admin verbs are refused.
    max_body_bytes : int
        Longer bodies and WebSocket messages are refused with 413 (or closed with 1009).
    header_seconds, body_seconds : float
        Time for a client to send the head and the body of a request. A head that takes
        longer closes the connection, a body is answered with 408.
    keep_alive_seconds : float
        How long a silent connection is kept, twice that at most. Longer than a proxy keeps its
        own, or it sends a request on one that is being closed; nginx and others keep theirs for
        a minute.
    answer_seconds : float
        Time for computing one answer; beyond it the client gets 503.
    max_concurrent : int
        Requests under way at once; one more is answered with 503.
    max_connections : int
        Connections open at once; one more is closed.
    max_streams : int
        WebSocket streams open at once; one more is closed with 1013.
    requests_per_second : float or None
        Lasting rate of each client (its token, or its address without one); beyond it 429.
    burst : int
        Requests that a client may send at once within that rate.
    max_age_seconds : float or None
        Bars whose last timestamp is older than this are refused as stale, and so are bars
        from the future. None takes bars of any time.
    micro_batching : bool
        Score feature requests that arrive in the same turn of the event loop together.
    exact : bool
        Score with the bits of the exported program; a few rows then take some microseconds
        longer than with the kernel that agrees with it within 1e-5.
    access_log : bool
        Log a line for each request; costs about as much as a small model.
    reload_seconds : float
        How often the registry is asked whether an alias has moved; 0 never asks.
    judge : Terms or None
        Terms on which a canary is promoted or withdrawn by itself; None leaves it to people.
    judge_seconds : float
        How often the judge is asked.
    drain_seconds : float
        How long requests under way may go on after SIGTERM.
    linger_seconds : float
        After SIGTERM the service says that it is not ready, and asks clients to close their
        connections, for so long before the port closes.
    """

    tokens: Tokens = field(default_factory=Tokens)
    max_body_bytes: int = 8 * 2**20
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    keep_alive_seconds: float = 75.0
    answer_seconds: float = 30.0
    max_concurrent: int = 512
    max_connections: int = 4096
    max_streams: int = 256
    requests_per_second: float | None = None
    burst: int = 100
    max_age_seconds: float | None = None
    micro_batching: bool = False
    exact: bool = False
    access_log: bool = False
    reload_seconds: float = 1.0
    judge: Terms | None = None
    judge_seconds: float = 5.0
    drain_seconds: float = 30.0
    linger_seconds: float = 0.3

    def __post_init__(self) -> None:
        """Refuse limits that let nothing through.

        Raises
        ------
        ServiceError
            A number is not above zero where it has to be.
        """
        may_be_zero = ("reload_seconds", "linger_seconds")
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None or isinstance(value, bool | Tokens | Terms):
                continue
            # written so that NaN fails as well
            if not (value > 0 or (value == 0 and item.name in may_be_zero)):
                rule = "at least 0" if item.name in may_be_zero else "above 0"
                raise ServiceError(
                    f"{item.name}: must be {rule}, got {value!r}", "Leave it out for the default"
                )
