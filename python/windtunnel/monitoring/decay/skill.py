"""Does the score still say something, and are its probabilities true? By outcomes alone."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from windtunnel.monitoring.alerts.condition import Condition
from windtunnel.monitoring.decay.confidence import AsymptoticSequence, EmpiricalBernstein, Interval

Float64Array = npt.NDArray[np.float64]

_HISTORY = 500
_DEVIATION = 0.6744897501960817  # a standard normal's median absolute value


class SkillWatch:
    """Live information coefficient and calibration of one version, with confidence sequences.

    The coefficient is 3 E[u v] with u the score's rank among the reference's scores, scaled to
    [-1, 1], and v the outcome's: its sign for a direction, and 2 Phi(y / s) - 1 for a return
    in units of volatility, s from the outcomes seen before. When both have their reference's
    distribution this is Spearman's rank correlation; as an average it has a confidence
    sequence, which a correlation has not. The mean outcome so far is taken off v first, so
    that a rising market is no skill. Its sequence is the asymptotic one: the exact one for
    bounded terms would need years of bars to say anything of a coefficient of 0.05.
    Calibration is watched by the exact one.

    Outcomes of neighbouring bars share most of their window. Only every `horizon`-th bar is
    used, whose windows do not overlap.

    Parameters
    ----------
    subject : str
        For messages, for example 'us_equities version 3'.
    kind : {'direction', 'forward_return'}
    horizon : int
        Of the label, in bars.
    reference_scores : (R,) float
        Scores of the training rows.
    floor : float
        Information coefficient below which the model has decayed; 0, or a share of what the
        study measured.
    alpha : float
        Chance of ever alarming although the coefficient is at the floor (asymptotically), or
        the probabilities are true; each.
    """

    def __init__(
        self,
        subject: str,
        *,
        kind: Literal["direction", "forward_return"],
        horizon: int,
        reference_scores: npt.NDArray[np.floating],
        floor: float = 0.0,
        alpha: float = 0.05,
    ) -> None:
        self.subject, self.kind, self.floor = subject, kind, floor
        self._horizon = horizon
        known = np.asarray(reference_scores, np.float64)
        self._reference = np.sort(known[~np.isnan(known)])
        # Alarms are one-sided: twice the level leaves alpha on the side that matters.
        self._ic = AsymptoticSequence(min(2 * alpha, 0.5))
        self._residual = EmpiricalBernstein(alpha, -1.0, 1.0)
        self._since_used = 0
        self._bars = 0
        self._mean_outcome = 0.0
        self._outcomes = 0
        self._sizes: deque[float] = deque(maxlen=1000)
        self._ic_history: deque[tuple[datetime, float]] = deque(maxlen=_HISTORY)
        self._residual_history: deque[tuple[datetime, float]] = deque(maxlen=_HISTORY)

    def add(self, at: datetime, scores: Float64Array, outcomes: Float64Array) -> None:
        """Take note of one bar's scores and outcomes (N,); NaN is left out. Bars come in order."""
        used = ~np.isnan(scores) & ~np.isnan(outcomes)
        if not used.any():
            return
        wanted = self._bars % self._horizon == 0
        self._bars += 1
        score, outcome = scores[used], outcomes[used]
        if wanted:
            self._use(at, score, outcome)
        if self.kind == "forward_return":
            self._sizes.extend(np.abs(outcome).tolist())

    def ic(self) -> Interval:
        """The live information coefficient."""
        return self._ic.interval()

    def conditions(self, at: datetime) -> list[Condition]:
        """What is to be said of skill and, for a direction, of calibration."""
        ic = self.ic()
        found = [
            Condition(
                signal="ic",
                subject=self.subject,
                at=at,
                breached=ic.high < self.floor,
                value=_finite(ic.mean),
                threshold=self.floor,
                what=f"the live information coefficient is {ic.mean:.3f}, surely below "
                f"{ic.high:.3f} (confidence sequence of {ic.count} bars whose outcomes do not "
                f"overlap); {self.floor:.3f} was asked for",
                advice="Study again with the new bars, or roll back; look at the drift of the "
                "features first, since it often comes before",
                history=tuple(self._ic_history),
            )
        ]
        if self.kind == "direction":
            residual = self._residual.interval()
            off = residual.low > 0 or residual.high < 0
            way = "more" if residual.mean > 0 else "less"
            found.append(
                Condition(
                    signal="calibration",
                    subject=self.subject,
                    at=at,
                    breached=off,
                    value=_finite(residual.mean),
                    threshold=0.0,
                    what=f"rises happen {abs(residual.mean):.1%} {way} often than the model's "
                    f"probabilities say (surely between {residual.low:.1%} and "
                    f"{residual.high:.1%})",
                    advice="The thresholds of the policy no longer mean what the study tuned: "
                    "study again, or raise `policy.enter`",
                    history=tuple(self._residual_history),
                )
            )
        return found

    def _use(self, at: datetime, score: Float64Array, outcome: Float64Array) -> None:
        low = np.searchsorted(self._reference, score, side="left")
        high = np.searchsorted(self._reference, score, side="right")
        u = (low + high) / max(len(self._reference), 1) - 1.0
        v = self._scaled(outcome)
        self._ic.add(float(3.0 * np.mean(u * (v - self._mean_outcome))))
        for each in v:
            self._outcomes += 1
            self._mean_outcome += (float(each) - self._mean_outcome) / self._outcomes
        self._ic_history.append((at, self._ic.interval().mean))
        if self.kind == "direction":
            self._residual.add(float(np.mean(outcome - (1.0 + score) / 2.0)))
            self._residual_history.append((at, self._residual.interval().mean))

    def _scaled(self, outcome: Float64Array) -> Float64Array:
        if self.kind == "direction":
            return 2.0 * outcome - 1.0
        typical = float(np.median(self._sizes)) / _DEVIATION if self._sizes else 1.0
        spread = typical if typical > 0 else 1.0
        return np.array([math.erf(y / spread / math.sqrt(2.0)) for y in outcome])


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
