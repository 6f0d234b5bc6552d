"""Delay and costs: how much of the champion's figure depends on speed and cheap trading.

The figures are those of `windtunnel.finals.stress`, which every study computes; here they
become sentences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel.audits.registry import register
from windtunnel.audits.result import AuditResult, not_made, number
from windtunnel.audits.wording import NO_CHAMPION, change

if TYPE_CHECKING:
    from windtunnel.audits.case import Case


@register("delay", "What is left of the champion when it acts one bar later?")
def delay(case: Case) -> AuditResult:
    """Compare the champion with itself, every order one bar late."""
    return _compare(case, "delay", "Acting one bar later", cost_multiple=1.0, delay_bars=1)


@register("costs", "What is left of the champion when trading costs twice as much?")
def costs(case: Case) -> AuditResult:
    """Compare the champion with itself under doubled fees and spreads."""
    return _compare(case, "costs", "Doubling costs", cost_multiple=2.0, delay_bars=0)


def _compare(
    case: Case, name: str, what: str, *, cost_multiple: float, delay_bars: int
) -> AuditResult:
    if case.champion is None:
        return not_made(name, NO_CHAMPION)
    rows = {(row.cost_multiple, row.delay_bars): row for row in case.champion.stress}
    plain, other = rows.get((1.0, 0)), rows.get((cost_multiple, delay_bars))
    if plain is None or other is None:
        return not_made(name, "the run recorded no such stress of its champion")
    figures = {
        "sharpe": plain.sharpe,
        "sharpe_stressed": other.sharpe,
        "total_return": plain.total_return,
        "total_return_stressed": other.total_return,
    }
    sentence = f"{what} {change(plain.sharpe, other.sharpe)}."
    shown = tuple(
        {
            "assumption": row.name,
            "sharpe": number(row.sharpe),
            "total_return": number(row.total_return),
            "max_drawdown": number(row.max_drawdown),
        }
        for row in case.champion.stress
    )
    return AuditResult(name, None, sentence, figures, shown)
