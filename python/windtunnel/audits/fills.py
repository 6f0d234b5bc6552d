"""The fill audit: a decision touches no money before the next bar, and money is counted right.

Two questions to the backtest. Do decisions from bar t on leave equity up to bar t alone, as
they must when a decision made with a bar's close fills at the next bar? And is its equity
that of the plain specification in `windtunnel.backtest.oracle`, costs, gaps and dropped
orders included? Decisions are drawn at random: the audit is of the engine, not of a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from windtunnel.audits.comparison import Comparison, at_bar
from windtunnel.audits.registry import register
from windtunnel.audits.result import AuditResult, Row
from windtunnel.backtest import oracle
from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle_account import Ledger
from windtunnel.validation import policy_table

if TYPE_CHECKING:
    from windtunnel.audits.case import Case
    from windtunnel.backtest.result import BacktestResult
    from windtunnel.data.panel import Panel

CUTS = 5
MOST_BARS = 400  # the specification is slow on purpose
TOLERANCE = 1e-9  # relative: another order of additions, nothing more
UNTRADABLE = 0.05  # share of bars without trade, so that dropped orders are seen too

Scores = npt.NDArray[np.float32]
Volatility = npt.NDArray[np.float64] | None


@register("fills", "Do orders fill one bar after their decision, at that bar's price and cost?")
def fills(case: Case) -> AuditResult:
    """Change decisions and look at the money before them; count the money again, plainly."""
    rng = np.random.default_rng([case.study.study.seed, 1])
    panel, volatility = _bars(case, rng)
    scores = _decisions(case, panel, rng)
    result = _trade(case, panel, scores, volatility)
    comparison, moved = Comparison(), False
    middle = panel.bars // 2
    for cut in range(middle, middle + CUTS):
        others = scores.copy()
        others[cut:] = _decisions(case, panel, rng)[cut:]
        other = _trade(case, panel, others, volatility).equity[:, 0]
        before, seen = result.equity[:, 0], slice(cut + 1)
        comparison.same("equity", before[seen], other[seen], at_bar(panel, "equity"))
        moved |= not np.array_equal(before, other)
    plain = _specified(case, panel, scores, volatility)
    specified = np.array(plain.equity)
    error = float(np.max(np.abs(result.equity[:, 0] / specified - 1)))
    figures = {
        "cuts": CUTS,
        "values_compared": comparison.compared.total(),
        "values_changed": sum(each.count for each in comparison.differences),
        "bars_counted_again": panel.bars,
        "largest_relative_error": error,
        "fills": int(result.fills[0]),
        "fills_specified": plain.fills,
        "dropped": int(result.dropped[0]),
        "dropped_specified": plain.dropped,
    }
    if comparison.differences:
        first = comparison.differences[0]
        asked = case.study.execution.fill
        why = (
            "The study asks for this with execution.fill = 'same_close', which is optimistic"
            if asked == "same_close"
            else f"With execution.fill = {asked!r} the engine must not do this"
        )
        sentence = (
            f"Orders fill before they can: with other decisions from that bar on, {first.place} "
            f"is {first.after:,.2f} instead of {first.before:,.2f}. {why}."
        )
        return AuditResult("fills", False, sentence, figures, _rows(figures))
    counted = error <= TOLERANCE and all(
        figures[name] == figures[f"{name}_specified"] for name in ("fills", "dropped")
    )
    if not (counted and moved):
        sentence = (
            f"The backtest is not what its specification says: equity is off by up to {error:.1e} "
            f"of itself, with {figures['fills']:,} fills and {figures['dropped']:,} dropped orders "
            f"where {plain.fills:,} and {plain.dropped:,} are due."
        )
        return AuditResult("fills", False, sentence, figures, _rows(figures))
    sentence = (
        f"Other decisions from each of {CUTS} consecutive bars on left all equity up to that bar "
        f"alone, and {plain.fills:,} fills over {panel.bars:,} bars cost and earned what the plain "
        f"specification says (equity to {TOLERANCE:.0e}, counts exactly)."
    )
    return AuditResult("fills", True, sentence, figures, _rows(figures))


def _bars(case: Case, rng: np.random.Generator) -> tuple[Panel, Volatility]:
    """The last validation bars, some of them made untradable, and what sizes positions there."""
    start, stop = case.plan.out_of_sample
    start = max(start, stop - MOST_BARS)
    whole = case.subject.panel(case.known)
    panel = whole.window(start, stop)
    quiet = rng.random(panel.tradable.shape) < UNTRADABLE
    known = case.subject.volatility(case.study, whole)
    return (
        replace(panel, tradable=panel.tradable & ~quiet),
        None if known is None else known[start:stop],
    )


def _decisions(case: Case, panel: Panel, rng: np.random.Generator) -> Scores:
    """Random scores (T, N, 1), wide enough to trade at the study's own thresholds, or levels."""
    if case.study.proportional:
        low = 0.0 if case.study.policy.direction == "long_only" else -1.0
        return rng.uniform(low, 1, (*panel.close.shape, 1)).astype(np.float32)
    width = 2 * max(case.study.policy.enter, case.study.policy.exit, 0.05)
    return rng.normal(0, width, (*panel.close.shape, 1)).astype(np.float32)


def _trade(case: Case, panel: Panel, scores: Scores, volatility: Volatility) -> BacktestResult:
    study = case.study
    return case.subject.backtest(
        panel,
        scores,
        policy_table(study, [{}]),
        costs=Costs.from_section(study.costs),
        execution=Execution.from_section(study.execution),
        periods_per_year=study.data.periods_per_year,
        volatility=volatility,
    )


def _specified(case: Case, panel: Panel, scores: Scores, volatility: Volatility) -> Ledger:
    study, policy = case.study, case.study.policy
    costs, execution = Costs.from_section(study.costs), Execution.from_section(study.execution)
    year = study.data.periods_per_year
    if study.proportional:
        share = np.float32(1) / np.maximum(panel.listed.sum(axis=1, keepdims=True), 1)
        levels = np.where(panel.listed, scores[:, :, 0], np.float32(np.nan))
        return oracle.simulate_exposures(
            panel,
            levels * np.float32(policy.leverage) * share.astype(np.float32),
            band=policy.rebalance_band,
            costs=costs,
            execution=execution,
            periods_per_year=year,
        )
    return oracle.simulate_policy(
        panel,
        scores[:, :, 0],
        enter=policy.enter,
        exit=policy.exit,
        leverage=policy.leverage,
        band=policy.rebalance_band,
        long_only=policy.direction == "long_only",
        costs=costs,
        execution=execution,
        periods_per_year=year,
        volatility_target=policy.volatility_target,
        volatility=volatility,
    )


def _rows(figures: Mapping[str, float]) -> tuple[Row, ...]:
    pairs = {
        "fills": ("fills_specified", "fills"),
        "dropped orders": ("dropped_specified", "dropped"),
    }
    rows: list[Row] = [
        {"check": check, "due": figures[due], "found": figures[found]}
        for check, (due, found) in pairs.items()
    ]
    rows.append(
        {
            "check": "largest relative error of equity",
            "due": 0.0,
            "found": figures["largest_relative_error"],
        }
    )
    rows.append(
        {
            "check": "equities that later decisions changed",
            "due": 0,
            "found": figures["values_changed"],
        }
    )
    return tuple(rows)
