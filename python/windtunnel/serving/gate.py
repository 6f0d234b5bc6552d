"""Who comes in: a name for the request, a token where one is needed, a limit on their number."""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from windtunnel.serving.refusal import Refusal
from windtunnel.serving.settings import Settings
from windtunnel.serving.tokens import Scope

_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_CLIENTS = 10_000  # remembered at most; the one that was silent longest is forgotten


@dataclass(frozen=True, slots=True)
class Visitor:
    """A request that was let in: `client` is its token's name or its address."""

    request_id: str
    client: str


class Gate:
    """Lets requests in, one by one, and counts those under way.

    Parameters
    ----------
    settings : Settings
    clock : callable
        Seconds that never go back, so that a clock that jumps grants or refuses nothing.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.under_way = 0
        # Whether `check` has anything to ask of a prediction.
        self.asks = settings.tokens.needed("predict") or settings.requests_per_second is not None
        self._settings = settings
        self._most = settings.max_concurrent
        self._clock = clock
        self._free_at: OrderedDict[str, float] = OrderedDict()
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def name(self, presented: bytes | None) -> str:
        """The client's own id for a request if it is harmless, or a new one."""
        if presented is not None and _SAFE_ID.fullmatch(presented):
            return presented.decode("ascii")
        return f"{self._prefix}-{next(self._numbers):x}"

    def check(self, headers: Mapping[bytes, bytes], address: str, scope: Scope) -> str:
        """Check token and rate; returns the client's name.

        Raises
        ------
        Refusal
            401, 403 or 429.
        """
        tokens = self._settings.tokens
        client = address
        if tokens.needed(scope):
            presented = headers.get(b"authorization")
            token = None if presented is None else tokens.find(presented)
            if token is None:
                raise _unauthorised(presented is not None)
            if scope not in token.scopes:
                raise Refusal(
                    "forbidden",
                    "authorization",
                    None,
                    f"the token {token.name} has no scope {scope}",
                    f"Use a token with the scope {scope}",
                    status=403,
                )
            client = token.name
        if self._settings.requests_per_second is not None:
            self._spend(client, self._settings.requests_per_second)
        return client

    def enter(self) -> None:
        """Count a request in; `leave` must follow.

        Raises
        ------
        Refusal
            503: as many as allowed are under way.
        """
        if self.under_way >= self._most:
            raise Refusal(
                "overloaded",
                None,
                None,
                f"{self.under_way} requests are under way, as many as allowed",
                "Try again in a second, or send several rows in one request",
                status=503,
                headers={"retry-after": "1"},
            )
        self.under_way += 1

    def leave(self) -> None:
        """Count a request out."""
        self.under_way -= 1

    def _spend(self, client: str, rate: float) -> None:
        """A leaky bucket in one number a client: when it will have drained (GCRA)."""
        now, times = self._clock(), self._free_at
        free_at = max(times.pop(client, now), now) + 1 / rate
        allowed = free_at - now <= self._settings.burst / rate + 1e-9
        times[client] = free_at if allowed else free_at - 1 / rate
        if len(times) > _CLIENTS:
            times.popitem(last=False)
        if not allowed:
            wait = max(1, round(free_at - now - self._settings.burst / rate + 0.5))
            raise Refusal(
                "rate",
                None,
                None,
                f"more than {rate:g} requests a second, beyond a burst of {self._settings.burst}",
                f"Wait {wait} s, or send several rows in one request",
                status=429,
                headers={"retry-after": str(wait)},
            )


def _unauthorised(presented: bool) -> Refusal:
    return Refusal(
        "unauthorised",
        "authorization",
        None,
        "the token is not known" if presented else "a token is needed",
        "Send the header 'Authorization: Bearer TOKEN'",
        status=401,
        headers={"www-authenticate": "Bearer"},
    )
