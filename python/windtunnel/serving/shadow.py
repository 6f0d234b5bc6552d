"""A canary's answers that nobody gets: computed beside the champion's and compared with them.

One thread works through them, behind a bounded queue, so that a slow canary costs the
champion's clients nothing but the processor that it runs on. What does not fit is dropped
and counted.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from windtunnel.data.panel import Float32Array
from windtunnel.deployment.manifest import Policy
from windtunnel.events import EventBus, ShadowAnswered
from windtunnel.monitoring.queued import QueueCounts
from windtunnel.serving.answer import Answer
from windtunnel.serving.predictor import Predictor

log = logging.getLogger(__name__)


class Shadows:
    """Asks canaries again what champions have answered.

    Parameters
    ----------
    bus : EventBus
        Gets a `ShadowAnswered` for each comparison, from another thread.
    capacity : int
        Answers that may wait.
    """

    name = "shadow"

    def __init__(self, bus: EventBus, capacity: int = 256) -> None:
        self._bus = bus
        self._capacity = capacity
        self._waiting = self._compared = self._failed = self._dropped = 0
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "shadow")

    def submit(self, champion: Predictor, canary: Predictor, given: Answer, seconds: float) -> None:
        """Let `canary` answer what `champion` answered with `given` in `seconds`."""
        with self._lock:
            if self._waiting >= self._capacity:
                self._dropped += 1
                return
            self._waiting += 1
        self._thread.submit(self._work, champion, canary, given, seconds)

    @property
    def counts(self) -> QueueCounts:
        """What became of answers: a share that is dropped is not compared."""
        return QueueCounts(self._compared, self._failed, self._dropped, self._waiting)

    def close(self) -> None:
        """Forget what waits, and wait for what is under way."""
        self._thread.shutdown(cancel_futures=True)

    def _work(self, champion: Predictor, canary: Predictor, given: Answer, seconds: float) -> None:
        with self._lock:
            self._waiting -= 1
        start = time.thread_time()
        rows, differing, failed = 0, float("nan"), False
        try:
            rows, differing = compare(champion, canary, given)
        except Exception:  # a canary's fault is what is looked for
            failed = True
            log.exception("canary %d failed on a shadow request", canary.version)
        self._failed += failed
        self._compared += not failed
        spent = time.thread_time() - start
        self._bus.emit(
            ShadowAnswered(
                champion.name,
                champion.version,
                canary.version,
                rows,
                differing,
                seconds,
                spent,
                failed,
            )
        )


def compare(champion: Predictor, canary: Predictor, given: Answer) -> tuple[int, float]:
    """How many decisions both made, and the share of them that differ.

    Bars are decided on anew, state included, and the signs of exposures compared. Features
    are scored anew, and what each policy would do from flat compared; a canary that reads
    other features, or knows not all instruments, cannot answer and counts as failed.
    """
    if given.decisions is not None and given.again is not None:
        again = given.again(canary)
        if again.symbols != given.decisions.symbols:
            raise ValueError("the canary decides on other instruments than bars were sent of")
        mine, theirs = given.decisions.exposures, again.exposures
        both = ~(np.isnan(mine) | np.isnan(theirs))
        rows = int(both.sum())
        different = int((np.sign(mine) != np.sign(theirs))[both].sum())
        return rows, different / rows if rows else 0.0
    if canary.names != champion.names:
        raise ValueError("the canary reads other features than were sent")
    features = given.scored.features
    mine = _from_flat(given.scored.scores, champion.bundle.manifest.policy)
    theirs = _from_flat(canary.score(features), canary.bundle.manifest.policy)
    return len(mine), float(np.mean(mine != theirs))


def _from_flat(scores: Float32Array, policy: Policy) -> npt.NDArray[np.float64]:
    """The side that a policy would take without a position."""
    wide = scores.astype(np.float64)
    side = np.maximum(np.sign(wide), 0.0) if policy.long_only else np.sign(wide)
    return np.where(np.abs(wide) >= policy.enter, side, 0.0)
