"""Which trial is the champion, what luck could have done, and the verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import overfitting
from windtunnel.metrics.financial import returns
from windtunnel.tuning.space import unit_cube
from windtunnel.validation import Course

Float64Array = npt.NDArray[np.float64]
Level: TypeAlias = Literal["no_edge", "weak", "candidate"]
Figures: TypeAlias = Mapping[str, float | None]

# Fewest and most neighbours that a plateau averages over; in between, the root of the trials.
PLATEAU_NEIGHBOURS = (3, 32)
PBO_BLOCKS = 16
# The usual demands; Bailey and Lopez de Prado (2014) use 0.95 for the deflated Sharpe ratio.
CONFIDENT = 0.95
OVERFIT = 0.2


@dataclass(frozen=True)
class Champion:
    """The chosen trial and why.

    `plateau` is the mean objective of it and its nearest neighbours in the search space.
    """

    number: int
    params: dict[str, float]
    objective: float
    plateau: float
    neighbours: int


@dataclass(frozen=True)
class Luck:
    """What luck could have done, as figures, and why some of them are not defined."""

    figures: dict[str, float | None]
    reasons: dict[str, str]
    pbo_logits: Float64Array | None


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


@dataclass(frozen=True)
class Verdict:
    """The answer: how strong the evidence is, in one headline and a few sentences."""

    level: Level
    headline: str
    sentences: tuple[str, ...]


def choose_champion(course: Course, trials: pl.DataFrame) -> Champion:
    """Choose the trial whose neighbourhood, not whose own luck, is best.

    A lone peak among poor neighbours is what overfitting looks like; the mean over the
    nearest trials in the search space is the more honest maximum. Ties go to the earlier
    trial.
    """
    search = course.study.search
    complete = trials.drop_nulls("objective").sort("number")
    points = unit_cube(search, complete.select(list(search)).to_dicts())
    low, high = PLATEAU_NEIGHBOURS
    neighbours = min(len(complete), max(low, min(high, math.isqrt(len(complete)))))
    objective = complete["objective"].to_numpy()
    scores = overfitting.plateau(points, objective, neighbours)
    best = int(np.nanargmax(scores))
    row = complete.row(best, named=True)
    return Champion(
        number=row["number"],
        params={name: float(row[name]) for name in search},
        objective=float(objective[best]),
        plateau=float(scores[best]),
        neighbours=neighbours,
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
        Equity of all complete trials over the validation slices.
    champion : int
        Its column in `equity`.
    benchmark : (T,) float64
        Equity of buy and hold.
    sharpes_ever : (n,) float64
        Annual Sharpe ratios of all trials ever made on overlapping bars; their spread says
        how far luck could reach.
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
    if not _varies(own):
        reasons = dict.fromkeys(
            ("psr", "dsr", "sidak_p", "pbo", "sharpe_low", "sharpe_high"),
            "the champion's returns do not vary: it hardly traded",
        )
        return Luck(figures | dict.fromkeys(reasons), reasons, None)
    variance = float(np.var(sharpes_ever / year, ddof=1)) if len(sharpes_ever) > 1 else 0.0
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
    figures["psr_active"] = _Shape.of(active).psr() if _varies(active) else None
    return Luck(figures, reasons, logits)


def judge(
    luck: Luck,
    metrics: Figures,
    benchmark: Figures,
    holdout: Figures | None,
    holdout_benchmark: Figures | None,
    *,
    break_even_bps: float,
    cost_bps: float,
    forced_looks: int,
) -> Verdict:
    """Say in words what the figures allow one to believe, and no more."""
    figures = luck.figures
    dsr, pbo, active = figures.get("dsr"), figures.get("pbo"), figures.get("psr_active")
    doubts = []
    if dsr is None or dsr < CONFIDENT:
        doubts.append("trials")
    if pbo is None or pbo > OVERFIT:
        doubts.append("overfitting")
    if active is None or active < CONFIDENT:
        doubts.append("benchmark")
    if holdout is None or not _above(holdout["sharpe"], 0.0):
        doubts.append("holdout")
    if math.isnan(break_even_bps) or break_even_bps < 2 * cost_bps:
        doubts.append("costs")
    sentences = [
        _trials_sentence(figures),
        _overfitting_sentence(pbo),
        _benchmark_sentence(metrics, benchmark, active),
        _holdout_sentence(holdout, holdout_benchmark, forced_looks),
        _cost_sentence(break_even_bps, cost_bps),
    ]
    return Verdict(*_headline(doubts, holdout_read=holdout is not None), tuple(sentences))


def _headline(doubts: list[str], *, holdout_read: bool) -> tuple[Level, str]:
    """The strongest thing that the doubts still allow one to say."""
    if not doubts:
        return "candidate", "A candidate: the edge survives every test made of it"
    if "trials" in doubts:
        return "no_edge", "No edge that survives the number of trials"
    if "holdout" not in doubts:
        return "weak", "A weak edge: it survives the number of trials, but not every test"
    if holdout_read:
        return "no_edge", "No edge: the sealed holdout does not confirm it"
    return "weak", "Unconfirmed: it survives the number of trials, but the holdout was read before"


def _trials_sentence(figures: Figures) -> str:
    dsr = figures.get("dsr")
    ever, here = int(figures["trials_project"] or 0), int(figures["trials_study"] or 0)
    tried = f"{here:,} configurations were tried" + (
        f", {ever:,} on these bars over the life of the project" if ever != here else ""
    )
    if dsr is None:
        return f"{tried}; the champion hardly traded, so there is nothing to weigh."
    outcome = (
        "the champion stands above what luck alone would reach"
        if dsr >= CONFIDENT
        else "the champion's Sharpe ratio is within what the luckiest of so many would show"
    )
    return f"{tried}: {outcome} (deflated Sharpe ratio {dsr:.2f}, {CONFIDENT} is asked)."


def _overfitting_sentence(pbo: float | None) -> str:
    if pbo is None:
        return "The probability of backtest overfitting (PBO) could not be computed."
    verdict = "the choice carries over" if pbo <= OVERFIT else "the choice carries over too seldom"
    return (
        f"The trial that is best on one half of the time falls below the median on the other half "
        f"in {pbo:.0%} of splits (PBO): {verdict}."
    )


def _benchmark_sentence(metrics: Figures, benchmark: Figures, active: float | None) -> str:
    compared = (
        f"Over the validation slices its Sharpe ratio is {_ratio(metrics)}, "
        f"that of buy and hold {_ratio(benchmark)}"
    )
    if active is None:
        return f"{compared}."
    return f"{compared}; it beats holding with probability {active:.2f}, trials not counted."


def _holdout_sentence(holdout: Figures | None, benchmark: Figures | None, forced_looks: int) -> str:
    if holdout is None or benchmark is None:
        return "The holdout was read by an earlier run and stays closed; nothing confirms this."
    again = (
        f" This was look number {forced_looks + 1} at the same bars, so it proves less."
        if forced_looks
        else ""
    )
    return (
        f"On the sealed holdout it returned {holdout['total_return']:.1%} at a Sharpe ratio of "
        f"{_ratio(holdout)}; buy and hold returned {benchmark['total_return']:.1%} at "
        f"{_ratio(benchmark)}.{again}"
    )


def _cost_sentence(break_even_bps: float, cost_bps: float) -> str:
    if math.isnan(break_even_bps):
        return "It loses money even if trading were free."
    return (
        f"It breaks even at costs of {break_even_bps:.0f} basis points a trade; "
        f"{cost_bps:g} were charged."
    )


def _varies(series: Float64Array) -> bool:
    """Whether a series has a spread beyond rounding."""
    scale = float(np.abs(series).max(initial=0.0))
    return bool(series.std() > 1e-12 * scale) if scale else False


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _ratio(figures: Figures) -> str:
    """The Sharpe ratio in words; a strategy that never moves has none."""
    sharpe = figures["sharpe"]
    return "undefined" if sharpe is None or math.isnan(sharpe) else f"{sharpe:.2f}"


def _above(value: float | None, bound: float) -> bool:
    return value is not None and math.isfinite(value) and value > bound
