"""Change points in a stream of numbers by ADWIN or Page-Hinkley, with calibrated sensitivity.

The detectors are river's. Their own guarantees are for independent values; on an
autocorrelated series their defaults alarm again and again. Here the parameter is chosen so that
block resamples of the reference keep the promised interval.
"""

from __future__ import annotations

import importlib
import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.drift.calibration import stationary_indices
from windtunnel.monitoring.drift.promise import block_within, too_short
from windtunnel.overfitting.block_length import MIN_BARS, stationary_block_length

Float64Array = npt.NDArray[np.float64]

_FARTHEST = 5.0  # deviations that a value counts for at most: one wild value is no change
_STEPS = 14  # of the bisection over the logarithm of the parameter
_PAST = 500
_INTERVALS = 20  # promised intervals in the resampled stream
# Few independent stretches know little of their own extremes: see `NullLaw.threshold`.
_CAUTION = 8.0


class StreamDetector:
    """Watches one series for a change of its mean, each value five deviations off at most.

    Parameters
    ----------
    reference : (T,) float64
        The series without change, oldest first, T >= 100; NaN is left out.
    kind : {'adwin', 'page_hinkley'}
        ADWIN (Bifet and Gavalda 2007) finds changes of any speed and keeps a window of what
        holds now; Page-Hinkley (Page 1954) sums deviations and is quickest for abrupt ones.
    false_alarm_bars : int
        Values between two false alarms, on average and at least, where `unkept` is empty.
    seed : int

    Raises
    ------
    MonitoringError
        river is not installed, or the reference is too short or does not vary.

    Attributes
    ----------
    unkept : str
        Why the interval may not hold; empty if it does.
    """

    def __init__(
        self,
        reference: npt.NDArray[np.floating],
        *,
        kind: Literal["adwin", "page_hinkley"] = "adwin",
        false_alarm_bars: int = 1260,
        seed: int = 0,
    ) -> None:
        known = np.asarray(reference, np.float64)
        known = known[~np.isnan(known)]
        if len(known) < 5 * MIN_BARS or np.ptp(known) == 0:
            raise MonitoringError(
                f"reference: must hold {5 * MIN_BARS} values that vary, got {len(known)}",
                "Give a longer series",
            )
        self.kind = kind
        self._centre, self._spread = float(known.mean()), float(known.std())
        standard = np.clip((known - self._centre) / self._spread, -_FARTHEST, _FARTHEST)
        memory = 2.0 * stationary_block_length(standard)
        self.unkept = too_short(memory, len(standard))
        block = block_within(memory, len(standard))
        self.parameter = _calibrate(kind, standard, block, false_alarm_bars, seed)
        self._detector = _make(kind, self.parameter)
        # Both compare a stream with its own past: begin with that of the reference.
        for value in standard[-_PAST:].tolist():
            self._detector.update(value)

    def update(self, value: float) -> bool:
        """Take note of a value; whether the mean has just been found to have changed."""
        if math.isnan(value):
            return False
        standard = (value - self._centre) / self._spread
        self._detector.update(min(max(standard, -_FARTHEST), _FARTHEST))
        return bool(self._detector.drift_detected)


def _make(kind: str, parameter: float) -> Any:
    try:
        drift: Any = importlib.import_module("river.drift")  # an extra, and 1.7 s
    except ModuleNotFoundError:
        raise MonitoringError(
            "stream detectors need river, which is not installed",
            "Install it with `pip install 'windtunnel[drift]'`",
        ) from None
    if kind == "adwin":
        return drift.ADWIN(delta=math.exp(-parameter), clock=1)
    return drift.PageHinkley(min_instances=30, delta=0.05, threshold=parameter, mode="both")


def _calibrate(
    kind: str, standard: Float64Array, block: float, false_alarm_bars: int, seed: int
) -> float:
    """Find the least -ln delta (ADWIN) or threshold (Page-Hinkley) that keeps the promise."""
    stretches = len(standard) / block
    random = np.random.default_rng(seed)
    length = _INTERVALS * false_alarm_bars
    stream = standard[stationary_indices(random, length, len(standard), block)].tolist()
    allowed = _INTERVALS / (1.0 + _CAUTION / math.sqrt(stretches))

    def alarms(parameter: float) -> int:
        detector = _make(kind, parameter)
        count = 0
        for value in stream:
            detector.update(value)
            count += detector.drift_detected
        return count

    low, high = math.log(0.5), math.log(2000.0)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if alarms(math.exp(middle)) > allowed:
            low = middle
        else:
            high = middle
    return math.exp(high)
