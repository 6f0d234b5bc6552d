"""Decides whether a window has drifted, at a stated interval between false alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.drift.calibration import Comparison
from windtunnel.monitoring.drift.discovery import adjusted_p_values
from windtunnel.monitoring.drift.distances import STATISTICS as MARGINAL
from windtunnel.monitoring.drift.multivariate import STATISTICS as JOINT
from windtunnel.monitoring.drift.reference import DriftReference

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DriftSettings:
    """How drift is looked for.

    Attributes
    ----------
    window : int
        Bars that are compared with the reference.
    stride : int
        Bars from one check to the next.
    false_alarm_bars : int
        Bars between the beginnings of two alarms although nothing drifted, on average and at
        least, where `DriftReference.unkept` is empty. An alarm lasts while check after check
        alarms: windows overlap.
    false_discovery_rate : float
        Share of the features named in an alarm that may be named wrongly.
    resamples : int
        Of the calibration.
    seed : int
    """

    window: int = 60
    stride: int = 20
    false_alarm_bars: int = 1260
    false_discovery_rate: float = 0.1
    resamples: int = 1500
    seed: int = 0

    def __post_init__(self) -> None:
        rules = {
            "window": (self.window >= 10, "10 bars or more"),
            "stride": (self.stride >= 1, "1 bar or more"),
            "false_alarm_bars": (
                self.false_alarm_bars >= 2 * self.stride,
                f"at least two strides, {2 * self.stride} bars",
            ),
            "false_discovery_rate": (0 < self.false_discovery_rate < 1, "between 0 and 1"),
            "resamples": (self.resamples >= 100, "100 or more"),
        }
        for name, (kept, rule) in rules.items():
            if not kept:
                raise MonitoringError(
                    f"drift.{name}: must be {rule}, got {getattr(self, name)}", f"Change {name}"
                )

    @property
    def level(self) -> float:
        """Chance that one check alarms without drift: stride / false_alarm_bars."""
        return self.stride / self.false_alarm_bars


@dataclass(frozen=True)
class DriftCheck:
    """What one look at a window found.

    Attributes
    ----------
    drifted : bool
        The largest standardised statistic exceeds the threshold.
    size, threshold : float
        Both in standard deviations of a statistic without drift.
    leading : str
        The statistic that is largest, with its feature: 'ks of return_5', 'mmd'.
    features : tuple of str
        Features that drifted by themselves, the surest first; empty without an alarm. An
        alarm without any is a change of how features hang together.
    p_values : dict of str to float
        By feature, adjusted for their number by Benjamini and Hochberg.
    values : dict of str to dict
        Raw statistics by feature; under '*' those of all features together.
    """

    drifted: bool
    size: float
    threshold: float
    leading: str
    features: tuple[str, ...]
    p_values: dict[str, float]
    values: dict[str, dict[str, float]]


class DriftDetector:
    """Compares windows with a reference.

    Building one draws the resamples: a second or so for a thousand bars and a dozen features.
    """

    def __init__(self, reference: DriftReference, settings: DriftSettings | None = None) -> None:
        self.reference = reference
        self.settings = settings or DriftSettings()
        self._comparison = Comparison(reference, seed=self.settings.seed)
        self._law = self._comparison.null(
            self.settings.window, self.settings.resamples, self.settings.seed
        )
        self.threshold = self._law.threshold(self.settings.level)

    def check(
        self, rows: npt.NDArray[np.floating], bars: npt.NDArray[np.integer] | None = None
    ) -> DriftCheck:
        """Compare a window with the reference.

        Parameters
        ----------
        rows : (n, F) float
            Raw features, oldest first; rows with a NaN are left out.
        bars : (n,) int, optional
            Number of the bar of each row, not falling; each row is a bar without it. The
            threshold holds for windows of `settings.window` bars.

        Raises
        ------
        MonitoringError
            The shape is wrong or no row is without NaN.
        """
        values = np.asarray(rows, np.float64)
        names = self.reference.names
        if values.ndim != 2 or values.shape[1] != len(names):
            raise MonitoringError(
                f"window rows: must be (n, features={len(names)}), got {values.shape}",
                "Give raw features in the order of the reference",
            )
        defined = np.isfinite(values).all(axis=1)
        number = np.arange(len(values)) if bars is None else np.asarray(bars)
        values, number = values[defined], number[defined]
        if not len(values):
            raise MonitoringError(
                "window rows: every row holds a NaN", "Wait until the features are defined"
            )
        first_row = np.append(np.flatnonzero(np.diff(number, prepend=number[0] - 1)), len(values))
        raw = self._comparison.window(values, first_row.astype(np.int64))
        return self._judge(raw)

    def _judge(self, raw: Float64Array) -> DriftCheck:
        names = self.reference.names
        standard = self._law.standardise(raw)
        leading = int(standard.argmax())
        size = float(standard[leading])
        adjusted = adjusted_p_values(
            self._law.feature_p_values(standard[:-2].reshape(len(names), -1).max(axis=1))
        )
        drifted = size > self.threshold
        surest = [
            names[f]
            for f in np.argsort(adjusted, kind="stable")
            if drifted and adjusted[f] <= self.settings.false_discovery_rate
        ]
        values = {
            name: dict(zip(MARGINAL, own, strict=True))
            for name, own in zip(names, raw[:-2].reshape(len(names), -1).tolist(), strict=True)
        }
        values["*"] = dict(zip(JOINT, raw[-2:].tolist(), strict=True))
        return DriftCheck(
            drifted=drifted,
            size=size,
            threshold=self.threshold,
            leading=_name(leading, names),
            features=tuple(surest),
            p_values=dict(zip(names, adjusted.tolist(), strict=True)),
            values=values,
        )


def _name(index: int, names: tuple[str, ...]) -> str:
    feature, statistic = divmod(index, len(MARGINAL))
    if feature < len(names):
        return f"{MARGINAL[statistic]} of {names[feature]}"
    return JOINT[index - len(MARGINAL) * len(names)]
