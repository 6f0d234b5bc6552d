"""Quantiles of a stream without keeping it: a histogram whose buckets grow geometrically."""

from __future__ import annotations

import math
from typing import Any, Self

from windtunnel.errors import MonitoringError


class QuantileSketch:
    """DDSketch of Masson, Rim and Lee (2019), with buckets between two fixed bounds.

    Bucket i holds values in (gamma**(i-1), gamma**i] with gamma = (1 + a) / (1 - a); the value
    2 gamma**i / (gamma + 1) that stands for it is within the share a of every value in it
    (their Lemma 2). Bounds are fixed instead of collapsing buckets, so that an addition is one
    logarithm and one increment, and two sketches of the same shape merge by addition.

    Not safe to add to from several threads; `windtunnel.monitoring.latency` holds a lock.

    Parameters
    ----------
    accuracy : float
        Largest relative error of a quantile, a above; between 0 and 1.
    low, high : float
        Values below `low` count as `low`, above `high` as `high`.

    Raises
    ------
    MonitoringError
        A parameter is out of range.
    """

    __slots__ = ("_counts", "_first", "_scale", "accuracy", "count", "high", "low", "total")

    def __init__(self, accuracy: float = 0.01, low: float = 1e-6, high: float = 1e3) -> None:
        if not 0 < accuracy < 1:
            raise MonitoringError(
                f"accuracy: must be between 0 and 1, got {accuracy}", "Change accuracy"
            )
        if not 0 < low < high < math.inf:
            raise MonitoringError(
                f"low and high: must be 0 < low < high, got {low} and {high}", "Change the bounds"
            )
        self.accuracy, self.low, self.high = accuracy, low, high
        self._scale = 1.0 / math.log((1 + accuracy) / (1 - accuracy))
        self._first = math.ceil(math.log(low) * self._scale)
        last = math.ceil(math.log(high) * self._scale)
        self._counts = [0] * (last - self._first + 1)
        self.count = 0
        self.total = 0.0

    def add(self, value: float) -> None:
        """Take note of a value; NaN raises ValueError, what is beyond a bound is clamped."""
        inside = self.low if value < self.low else self.high if value > self.high else value
        self._counts[math.ceil(math.log(inside) * self._scale) - self._first] += 1
        self.count += 1
        self.total += value

    def quantile(self, share: float) -> float:
        """The value below which `share` of the values lie; NaN when there is none.

        The value of rank floor(share (n - 1)), counted from 0, within the accuracy.
        """
        if not 0 <= share <= 1:
            raise MonitoringError(f"share: must be between 0 and 1, got {share}", "Change share")
        if self.count == 0:
            return math.nan
        rank = math.floor(share * (self.count - 1))
        seen = 0
        for index, number in enumerate(self._counts):
            seen += number
            if seen > rank:
                gamma = (1 + self.accuracy) / (1 - self.accuracy)
                return 2.0 * gamma ** (index + self._first) / (gamma + 1)
        raise AssertionError("counts do not add up")  # pragma: no cover

    def merge(self, other: Self) -> None:
        """Add the values of another sketch.

        Raises
        ------
        MonitoringError
            It has another accuracy or other bounds.
        """
        mine, theirs = ((s.accuracy, s.low, s.high) for s in (self, other))
        if mine != theirs:
            raise MonitoringError(
                f"sketch: has (accuracy, low, high) = {theirs}, this one {mine}",
                "Merge sketches of one shape",
            )
        self._counts = [a + b for a, b in zip(self._counts, other._counts, strict=True)]
        self.count += other.count
        self.total += other.total

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` builds an equal sketch; empty buckets left out."""
        return {
            "accuracy": self.accuracy,
            "low": self.low,
            "high": self.high,
            "total": self.total,
            "counts": {str(i): number for i, number in enumerate(self._counts) if number},
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        """The sketch that `to_json` wrote down."""
        sketch = cls(kept["accuracy"], kept["low"], kept["high"])
        for index, number in kept["counts"].items():
            sketch._counts[int(index)] = number
        sketch.count = sum(sketch._counts)
        sketch.total = kept["total"]
        return sketch
