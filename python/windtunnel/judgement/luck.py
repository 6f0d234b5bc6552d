"""What luck could have done: the champion's returns weighed against all that was tried."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from windtunnel import overfitting
from windtunnel.course import Course
from windtunnel.metrics.financial import returns

Float64Array = npt.NDArray[np.float64]

PBO_BLOCKS = 16


@dataclass(frozen=True)
class Luck:
    """What luck could have done, as figures, and why some of them are not defined."""

    figures: dict[str, float | None]
    reasons: dict[str, str]
    pbo_logits: Float64Array | None

    def with_paths(self, figures: Mapping[str, float | None], reason: str) -> Luck:
        """The same with the figures of the champion's cross-validated paths."""
        missing = {name: reason for name, value in figures.items() if value is None and reason}
        return replace(
            self, figures={**self.figures, **figures}, reasons={**self.reasons, **missing}
        )


@dataclass(frozen=True)
class _Shape:
    """Sharpe ratio per bar (ddof 1), length, skewness and raw kurtosis of returns."""

    sharpe: float
    observations: int
    skewness: float
    kurtosis: float

    @classmethod
    def of(cls, series: Float64Array) -> Self:
        centred = series - series.mean()
        scale = series.std()
        return cls(
            sharpe=float(series.mean() / series.std(ddof=1)),
            observations=len(series),
            skewness=float(np.mean(centred**3) / scale**3),
            kurtosis=float(np.mean(centred**4) / scale**4),
        )

    def psr(self, benchmark: float = 0.0) -> float:
        """Probabilistic Sharpe ratio; the deflated one when `benchmark` is luck's maximum."""
        return float(
            overfitting.psr(
                self.sharpe,
                self.observations,
                skewness=self.skewness,
                kurtosis=self.kurtosis,
                benchmark=benchmark,
            )
        )


def weigh_luck(
    course: Course,
    equity: Float64Array,
    champion: int,
    benchmark: Float64Array,
    *,
    trials_in_study: int,
    sharpes_ever: Float64Array,
    trials_ever: int,
) -> Luck:
    """Statistics of the champion's out-of-sample returns against all that was tried.

    Parameters
    ----------
    equity : (T, C) float64
        Equity over the validation slices of all trials that have one, pruned ones too: they were
        chosen from by these bars.
    champion : int
        Its column in `equity`.
    benchmark : (T,) float64
        Equity of buy and hold.
    sharpes_ever : (n,) float64
        Sharpe ratios, a bar of this study, of all trials ever made on overlapping bars; their
        spread says how far luck could reach.
    trials_ever : int
        Number of those trials, failed ones included.
    """
    initial = course.execution.initial_cash
    year = math.sqrt(course.periods_per_year)
    all_returns = returns(equity, initial)
    own = all_returns[:, champion]
    reasons: dict[str, str] = {}
    figures: dict[str, float | None] = {
        "trials_study": trials_in_study,
        "trials_project": trials_ever,
        "track_record_bars": len(own),
    }
    if not overfitting.varies(own[:, None])[0]:
        reasons = dict.fromkeys(
            ("psr", "dsr", "sidak_p", "pbo", "sharpe_low", "sharpe_high"),
            "the champion's returns do not vary: it hardly traded",
        )
        return Luck(figures | dict.fromkeys(reasons), reasons, None)
    variance = float(np.var(sharpes_ever, ddof=1)) if len(sharpes_ever) > 1 else 0.0
    own_shape = _Shape.of(own)
    threshold = overfitting.deflation_threshold(trials_ever, variance)
    alone = own_shape.psr()
    figures["psr"] = alone
    figures["dsr"] = own_shape.psr(threshold)
    figures["expected_maximum_sharpe"] = threshold * year
    figures["sidak_p"] = float(overfitting.sidak_p_value(alone, trials_ever))
    figures["sharpe_autocorrelated"] = _finite(
        float(overfitting.annual_sharpe(own, periods_per_year=course.periods_per_year))
    )
    held = returns(benchmark[:, None], initial)[:, 0]
    logits = None
    if all_returns.shape[1] > 1:
        effective = overfitting.effective_trials(all_returns)
        clusters = max(1.0, effective.by_clusters)
        figures["effective_trials"] = clusters
        figures["dsr_effective"] = own_shape.psr(
            overfitting.deflation_threshold(clusters, variance)
        )
        # A block has at least two bars, and there is an even number of them.
        split = overfitting.pbo(all_returns, blocks=min(PBO_BLOCKS, len(own) // 4 * 2))
        figures["pbo"], logits = _finite(split.pbo), split.logits
        seed = course.study.study.seed
        best = overfitting.superior_predictive_ability(all_returns, benchmark=held, seed=seed)
        step = overfitting.romano_wolf(all_returns, benchmark=held, seed=seed)
        figures["spa_p"] = _finite(best.consistent)
        figures["step_down_p"] = _finite(float(step.p_values[champion]))
        reasons |= {
            name: reason
            for name, reason in (("pbo", split.reason), ("spa_p", best.reason))
            if reason
        }
    else:
        reasons |= dict.fromkeys(("pbo", "spa_p", "step_down_p"), "it takes at least two trials")
        figures |= dict.fromkeys(("pbo", "spa_p", "step_down_p"))
    interval = overfitting.bootstrap_sharpe_interval(
        own, periods_per_year=course.periods_per_year, seed=course.study.study.seed
    )
    figures["sharpe_low"], figures["sharpe_high"] = _finite(interval.low), _finite(interval.high)
    needed = overfitting.minimum_track_record_length(
        own_shape.sharpe, skewness=own_shape.skewness, kurtosis=own_shape.kurtosis
    )
    figures["min_track_record_bars"] = _finite(float(needed))
    if figures["min_track_record_bars"] is None:
        reasons["min_track_record_bars"] = "a Sharpe ratio that is not positive never suffices"
    active = own - held
    figures["psr_active"] = (
        _Shape.of(active).psr() if overfitting.varies(active[:, None])[0] else None
    )
    return Luck(figures, reasons, logits)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
