"""The noise study: the same study where there is nothing to find must promote nothing."""

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


@register("noise", "Does the study promote nothing where there is nothing to find?")
def noise(case: Case) -> AuditResult:
    """Carry the study out on scrambled bars; see `windtunnel.audits.scramble`."""
    found = search(case, case.subject, noise_bars(case))
    figures = search_figures(found)
    told = (
        f"On bars whose moves were dealt out anew and mirrored by a coin, the best of "
        f"{len(found.trials)} trials showed a Sharpe ratio of {found.best:.2f}"
    )
    if found.dsr is None:
        sentence = f"{told}; the champion hardly traded, and nothing is promoted."
    elif found.promoted:
        sentence = (
            f"{told} and the champion a deflated one of {found.dsr:.2f}, where "
            f"{judgement.CONFIDENT} promotes. There is nothing to find in these bars: the "
            "pipeline sees what it cannot know."
        )
    else:
        sentence = (
            f"{told} and the champion a deflated one of {found.dsr:.2f}: nothing is promoted "
            f"({judgement.CONFIDENT} is asked)."
        )
    return AuditResult("noise", not found.promoted, sentence, figures, trial_rows(found))


def noise_bars(case: Case) -> pl.DataFrame:
    """The case's bars before the holdout, scrambled; the same for every audit that asks."""
    return scrambled(case.known, np.random.default_rng([case.study.study.seed, 2]))


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
