"""Changes that a stream shows at once: of the score, and of how far features lie from training."""

from __future__ import annotations

import importlib.util
from collections import deque
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.alerts.condition import Condition
from windtunnel.monitoring.drift.promise import how_often
from windtunnel.monitoring.drift.streams import StreamDetector

Float64Array = npt.NDArray[np.float64]

SERIES = ("score", "features")
_HISTORY = 500
_STANDS = 20  # bars for which a change is spoken of
_RIDGE = 1e-3


class ChangeWatch:
    """Two numbers a bar, each watched by a detector of changes of the mean.

    The first is the mean score of the bar's instruments. The second is how far their features
    lie from those of training: the mean of ln(1 + d / F), d the squared Mahalanobis distance
    (1936) with the reference's mean and covariance; it moves when the features' means or
    their spread do, or a correlation is lost, and the logarithm keeps a wild value from
    deciding alone. Each detector is calibrated for twice the interval, so that both together
    keep it.

    Parameters
    ----------
    subject : str
    rows : (R, F) float
        Features of the training rows, oldest first, without NaN.
    scores : (R,) float
    bars : (R,) int
        Number of the bar of each row, not falling.
    kind : {'adwin', 'page_hinkley'}
    false_alarm_bars : int
        Bars between two false alarms of either, on average and at least.
    seed : int

    Raises
    ------
    MonitoringError
        river is not installed, or the reference is too short.
    """

    def __init__(
        self,
        subject: str,
        rows: npt.NDArray[np.floating],
        scores: npt.NDArray[np.floating],
        bars: npt.NDArray[np.integer],
        *,
        kind: Literal["adwin", "page_hinkley"] = "page_hinkley",
        false_alarm_bars: int = 1260,
        seed: int = 0,
    ) -> None:
        self.subject, self.false_alarm_bars = subject, false_alarm_bars
        wide = np.asarray(rows, np.float64)
        self._centre = wide.mean(axis=0)
        covariance = np.atleast_2d(np.cov(wide, rowvar=False))
        ridge = _RIDGE * np.diag(covariance) + 1e-12 * np.trace(covariance) + 1e-300
        self._inverse = np.linalg.inv(covariance + np.diag(ridge))
        first = np.flatnonzero(np.diff(bars, prepend=bars[0] - 1))
        count = np.diff(first, append=len(wide))
        series = {
            "score": np.add.reduceat(np.asarray(scores, np.float64), first) / count,
            "features": np.add.reduceat(self._far(wide), first) / count,
        }
        self._typical = {name: float(values.mean()) for name, values in series.items()}
        self._detectors = {
            name: StreamDetector(
                values,
                kind=kind,
                false_alarm_bars=len(SERIES) * false_alarm_bars,
                seed=seed,
            )
            for name, values in series.items()
            if np.ptp(values) > 0  # a model of one opinion has no score to watch
        }
        self._since: dict[str, int] = dict.fromkeys(self._detectors, _STANDS)
        self._history: dict[str, deque[tuple[datetime, float]]] = {
            name: deque(maxlen=_HISTORY) for name in self._detectors
        }

    def bar(
        self, at: datetime, rows: npt.NDArray[np.floating], scores: npt.NDArray[np.floating]
    ) -> list[Condition]:
        """Take note of one bar: features (n, F) and scores (n,) without NaN, n >= 1."""
        now = {
            "score": float(np.mean(scores, dtype=np.float64)),
            "features": float(self._far(np.asarray(rows, np.float64)).mean()),
        }
        return [self._look(name, at, now[name]) for name in self._detectors]

    def _look(self, name: str, at: datetime, value: float) -> Condition:
        history = self._history[name]
        changed = self._detectors[name].update(value)
        self._since[name] = 0 if changed else self._since[name] + 1
        before = tuple(history)
        history.append((at, value))
        recent = [old for _, old in list(history)[-_STANDS:]]
        mean = sum(recent) / len(recent)
        which = "mean score" if name == "score" else "distance of the features from training"
        return Condition(
            signal="stream_drift",
            subject=f"{self.subject} {name}",
            at=at,
            breached=self._since[name] < _STANDS,
            value=mean,
            threshold=self._typical[name],
            what=f"the {which} has changed: {mean:.4g} over the last {len(recent)} bars, "
            f"{self._typical[name]:.4g} in training; without a change this is said "
            f"{how_often(self.false_alarm_bars, self._detectors[name].unkept)}",
            advice="Look at what the drift of the features says: a feed that changed is mended, a "
            "market that changed calls for `windtunnel retrain`",
            history=before,
        )

    def _far(self, rows: Float64Array) -> Float64Array:
        gap = rows - self._centre
        squared = np.einsum("nf,fg,ng->n", gap, self._inverse, gap)
        return np.asarray(np.log1p(squared / gap.shape[1]))


def stream_kind(
    wanted: Literal["auto", "adwin", "page_hinkley", "off"],
) -> Literal["adwin", "page_hinkley"] | None:
    """The detector that is to be used here; None for none.

    'auto' takes Page-Hinkley's where river is installed.

    Raises
    ------
    MonitoringError
        A detector is asked for by name and river is not installed.
    """
    if wanted == "off":
        return None
    installed = importlib.util.find_spec("river") is not None
    if wanted == "auto":
        return "page_hinkley" if installed else None
    if not installed:
        raise MonitoringError(
            f"streams.kind: {wanted!r} needs river, which is not installed",
            "Install it with `pip install 'windtunnel[drift]'`, or set streams.kind = 'auto'",
        )
    return wanted
