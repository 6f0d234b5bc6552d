"""Which version answers a request: the champion, or a canary for its share of them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from windtunnel.deployment.state import Canary, State
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Routes:
    """The versions in service, and how requests are shared among them.

    Replaced as a whole, never changed: a request reads it once and is answered by one
    version from start to end.

    Attributes
    ----------
    champion : Predictor
    canary : Predictor or None
    share : windtunnel.deployment.state.Canary or None
        The canary's share of requests, its mode, and whether keys stick.
    state : windtunnel.deployment.state.State or None
        That of the registry from which these routes were made.
    """

    champion: Predictor
    canary: Predictor | None = None
    share: Canary | None = None
    state: State | None = None

    def pick(self, key: bytes | None, draw: float | None = None) -> Predictor:
        """The version that answers a request.

        Parameters
        ----------
        key : bytes, optional
            With sticky keys, requests with the same key go to the same version for as long
            as the canary runs; a larger weight moves keys to it and none back.
        draw : float, optional
            From [0, 1), in place of one drawn here: a stream draws once.
        """
        if self.canary is not None and self._takes("live", key, draw):
            return self.canary
        return self.champion

    def stand_in(self, picked: Predictor, error: Exception) -> Predictor:
        """The champion, to answer what a canary did not; its clients lose nothing by the trial.

        Raises
        ------
        Exception
            `error`, when the champion itself was picked, or no time is left for another try.
        """
        if picked is self.champion or (isinstance(error, Refusal) and error.status >= 500):
            raise error
        return self.champion

    def shadow(self, key: bytes | None, draw: float | None = None) -> Predictor | None:
        """The version that also answers, unseen by the client; parameters as for `pick`."""
        return self.canary if self._takes("shadow", key, draw) else None

    def _takes(self, mode: str, key: bytes | None, draw: float | None = None) -> bool:
        share = self.share
        if share is None or share.mode != mode:
            return False
        if share.sticky and key is not None:
            return share.takes(key)
        return share.takes_draw(random.random() if draw is None else draw)  # noqa: S311 - no secret
