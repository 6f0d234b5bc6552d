"""Which version answers a request: the champion, or a canary for its share of them."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Literal, TypeAlias

from windtunnel.serving.predictor import Predictor

Mode: TypeAlias = Literal["split", "shadow"]


@dataclass(frozen=True, slots=True)
class Routes:
    """The versions in service, and how requests are shared among them.

    Replaced as a whole, never changed: a request reads it once and is answered by one
    version from start to end.

    Attributes
    ----------
    champion : Predictor
    canary : Predictor or None
    weight : float
        Share of requests, from 0 to 1, that the canary answers in the mode ``split``, and
        that it answers besides the champion in the mode ``shadow``.
    mode : "split" or "shadow"
        A shadow's answers are compared and never sent.
    generation : int
        Of the registry's aliases, from which these routes were made.
    """

    champion: Predictor
    canary: Predictor | None = None
    weight: float = 0.0
    mode: Mode = "split"
    generation: int = 0

    def pick(self, key: bytes | None) -> Predictor:
        """The version that answers a request.

        Parameters
        ----------
        key : bytes, optional
            Requests with the same key go to the same version, as long as the canary stays
            the same; raising the weight moves keys to the canary and none back. Without a
            key each request is drawn by itself.
        """
        if self.canary is not None and self.mode == "split" and self.drawn(key):
            return self.canary
        return self.champion

    def shadow(self, key: bytes | None) -> Predictor | None:
        """The version that also answers, unseen by the client."""
        if self.canary is not None and self.mode == "shadow" and self.drawn(key):
            return self.canary
        return None

    def drawn(self, key: bytes | None) -> bool:
        """Whether a request falls to the canary's share."""
        if self.weight <= 0 or self.canary is None:
            return False
        if key is None:
            return random.random() < self.weight  # noqa: S311 - a share, not a secret
        return _place(key, self.canary.version) < self.weight


def _place(key: bytes, version: int) -> float:
    """Where a key lies in [0, 1) with respect to a canary: another canary, other clients."""
    digest = hashlib.sha256(b"%d:%b" % (version, key)).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
