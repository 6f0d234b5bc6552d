"""The verdict in words: what the figures allow one to believe, and no more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from windtunnel.judgement.luck import Luck
from windtunnel.metrics.break_even import SEARCHED_BPS

Level: TypeAlias = Literal["no_edge", "weak", "candidate"]
Figures: TypeAlias = Mapping[str, float | None]

# The usual demands; Bailey and Lopez de Prado (2014) use 0.95 for the deflated Sharpe ratio.
CONFIDENT = 0.95
OVERFIT = 0.2

DECISIONS: dict[Level, str] = {"candidate": "Promote", "weak": "Hold", "no_edge": "Reject"}


@dataclass(frozen=True)
class Verdict:
    """The answer: how strong the evidence is, in one headline and a few sentences."""

    level: Level
    headline: str
    sentences: tuple[str, ...]


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
    failed_audits: tuple[str, ...] = (),
) -> Verdict:
    """Say in words what the figures allow one to believe, and no more.

    A failed audit leaves nothing to believe: the figures are those of a faulty pipeline.
    """
    figures = luck.figures
    dsr, pbo, active = figures.get("dsr"), figures.get("pbo"), figures.get("psr_active")
    denied = holdout is not None and not _above(holdout["sharpe"], 0.0)
    doubts = {
        "audits": bool(failed_audits),
        "trials": dsr is None or dsr < CONFIDENT,
        "overfitting": pbo is None or pbo > OVERFIT,
        "benchmark": active is None or active < CONFIDENT,
        # What was refuted before the holdout was not put to that test.
        "holdout": not failed_audits and (holdout is None or denied or forced_looks > 0),
        "costs": math.isnan(break_even_bps) or break_even_bps < 2 * cost_bps,
    }
    doubted = [name for name, raised in doubts.items() if raised]
    level, headline = _headline(doubted, denied=denied)
    sentences = [
        *([f"Failed audits: {_listed(list(failed_audits))}."] if failed_audits else []),
        _trials_sentence(figures),
        _overfitting_sentence(pbo),
        _benchmark_sentence(metrics, benchmark, active),
        _holdout_sentence(holdout, holdout_benchmark, forced_looks, refuted=bool(failed_audits)),
        _cost_sentence(break_even_bps, cost_bps),
        f"{DECISIONS[level]}: "
        + (f"doubts remain about {_listed(doubted)}." if doubted else "no doubt was raised."),
    ]
    return Verdict(level, headline, tuple(sentences))


def _headline(doubts: list[str], *, denied: bool) -> tuple[Level, str]:
    """The strongest thing that the doubts still allow one to say."""
    if not doubts:
        return "candidate", "A candidate: the edge survives every test made of it"
    if "audits" in doubts:
        return "no_edge", "Not to be believed: an audit of the study failed"
    if "trials" in doubts:
        return "no_edge", "No edge that survives the number of trials"
    if "holdout" not in doubts:
        return "weak", "A weak edge: it survives the number of trials, but not every test"
    if denied:
        return "no_edge", "No edge: the sealed holdout does not confirm it"
    return (
        "weak",
        "Unconfirmed: it survives the number of trials, but the holdout was looked at before",
    )


def _listed(words: list[str]) -> str:
    """Words in a row, the last one after "and"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


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
        else "the champion does not stand clear of what the luckiest of so many would show"
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
        f"Over the validation slices it has {_ratio(metrics)}, buy and hold {_ratio(benchmark)}"
    )
    if active is None:
        return f"{compared}."
    return (
        f"{compared}; it beats holding with probability {active:.2f}, not deflated for the number "
        "of trials."
    )


def _holdout_sentence(
    holdout: Figures | None, benchmark: Figures | None, forced_looks: int, *, refuted: bool
) -> str:
    if refuted:
        return "The holdout was not opened: what is refuted already is not worth a look."
    if holdout is None or benchmark is None:
        return "The holdout was looked at before and stays closed; nothing confirms this."
    own, held = (
        f"{figures['total_return']:.1%} at {_ratio(figures)}" for figures in (holdout, benchmark)
    )
    again = (
        f" This was look number {forced_looks + 1} at the same bars, so it confirms nothing."
        if forced_looks
        else ""
    )
    return (
        f"On the {'' if forced_looks else 'sealed '}holdout it returned {own}; buy and hold "
        f"returned {held}.{again}"
    )


def _cost_sentence(break_even_bps: float, cost_bps: float) -> str:
    if math.isnan(break_even_bps):
        return "It loses money even if trading were free."
    more = "more than " if break_even_bps >= SEARCHED_BPS else ""
    return (
        f"It breaks even at costs of {more}{break_even_bps:,.0f} basis points of the value traded, "
        f"one way; {_rounded(cost_bps)} were charged on average."
    )


def _rounded(bps: float) -> str:
    """A cost to a tenth of a basis point, without a tenth where there is none."""
    return f"{bps:,.1f}".removesuffix(".0")


def _ratio(figures: Figures) -> str:
    """The Sharpe ratio in words; a strategy that never moves has none."""
    sharpe = figures["sharpe"]
    if sharpe is None or math.isnan(sharpe):
        return "no Sharpe ratio, since it never moved"
    return f"a Sharpe ratio of {sharpe:.2f}"


def _above(value: float | None, bound: float) -> bool:
    return value is not None and math.isfinite(value) and value > bound
