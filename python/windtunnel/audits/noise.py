"""The noise study: the same study where there is nothing to find must promote nothing.

The gate that promotes lets luck through now and then, up to one time in twenty when the
trials are much alike. One promotion is therefore looked into with eight further draws of
noise, until one is promoted again: luck seldom comes twice, a leak does. A pipeline that promotes
noise three times in ten passes eight draws in 6 % of the cases, two draws in half of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel import judgement
from windtunnel.audits.registry import register
from windtunnel.audits.result import AuditResult, Row
from windtunnel.audits.scramble import scrambled
from windtunnel.audits.search import Search, search

if TYPE_CHECKING:
    import polars as pl

    from windtunnel.audits.case import Case


FURTHER = 8


@register("noise", "Does the study promote nothing where there is nothing to find?")
def noise(case: Case) -> AuditResult:
    """Carry the study out on scrambled bars; see `windtunnel.audits.scramble`."""
    draws = [search(case, case.subject, noise_bars(case))]
    if draws[0].promoted:
        for draw in range(1, 1 + FURTHER):
            draws.append(search(case, case.subject, noise_bars(case, draw)))
            if draws[-1].promoted:
                break
    promoted = sum(found.promoted for found in draws)
    passed = promoted <= 1
    figures = {"draws": len(draws), "promoted": promoted} | search_figures(draws[0])
    rows: tuple[Row, ...] = tuple(
        {"draw": draw, **search_figures(found), "promoted": found.promoted}
        for draw, found in enumerate(draws)
    )
    return AuditResult("noise", passed, _sentence(draws, promoted), figures, rows)


def _sentence(draws: list[Search], promoted: int) -> str:
    first = draws[0]
    told = (
        f"On bars whose moves were dealt out anew and mirrored by a coin, the best of "
        f"{len(first.trials)} trials showed a Sharpe ratio of {first.best:.2f}"
    )
    if first.dsr is None:
        return f"{told}; the champion hardly traded, and nothing is promoted."
    told = f"{told} and the champion a deflated one of {first.dsr:.2f}"
    if not promoted:
        return f"{told}: nothing is promoted ({judgement.CONFIDENT} is asked)."
    told = f"{told}, where {judgement.CONFIDENT} promotes"
    if promoted == 1:
        return (
            f"{told}. None of {len(draws) - 1} further draws was promoted: consistent with luck, "
            "no proof of it."
        )
    return (
        f"{told}; draw {len(draws)} was promoted again. There is nothing to find in "
        "these bars: the pipeline sees what it cannot know."
    )


def noise_bars(case: Case, draw: int = 0) -> pl.DataFrame:
    """The case's bars before the holdout, scrambled; the same for every audit that asks."""
    return scrambled(case.known, np.random.default_rng([case.study.study.seed, 2, draw]))


def search_figures(found: Search) -> dict[str, float | int | None]:
    """What noise and oracle study report of their search."""
    return {
        "trials": len(found.trials),
        "best_sharpe": found.best,
        "champion_sharpe": found.sharpe,
        "champion_rank_ic": found.rank_ic,
        "champion_dsr": found.dsr,
    }


def trial_rows(found: Search, most: int = 8) -> tuple[Row, ...]:
    """The best trials."""
    best = found.trials.drop_nulls("objective").sort("objective", descending=True).head(most)
    return tuple(best.select("number", "sharpe", "rank_ic", "fills").iter_rows(named=True))
