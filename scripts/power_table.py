"""Measure how often each statistic finds an edge of a known size, and write docs/power.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from windtunnel import overfitting as luck

YEAR = 250
BARS, TRIALS = 5 * YEAR, 100
EDGES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
CORRELATIONS = (0.0, 0.5)
RESAMPLES = 500
COLUMNS = {
    "psr": "PSR > .95",
    "dsr": "DSR > .95",
    "sidak": "Sidak p <= .05",
    "reality_check": "Reality Check p <= .05",
    "spa": "SPA p <= .05",
    "step_down": "step-down names it",
    "pbo": "PBO <= .2",
}
PAGE = """# Power: how often an edge is found, and how often there is none

Each row is {studies} simulated studies of {trials} trials over {bars:,} bars (five years of {year}
days), normal returns with a deviation of 1 % a bar. One trial has the true annual Sharpe ratio
of the row; the others have none. The best of the {trials} is judged, as in a study. A cell is the
share of studies in which the statistic says that there is something; the first row, without any
edge, is its rate of false alarms. The standard error of a cell is {error:.1f} points at most.

- PSR takes the best trial for the only one. It is here to show why that is a mistake.
- DSR and Sidak are told of {trials} trials. Under noise DSR is not a p-value but a gate that
  lets far less than 5 % through; that it finds true edges later is the price.
- Reality Check, SPA (Hansen's consistent p-value) and the step-down resample the returns
  {resamples} times and need no number of trials, so correlated trials cost them no power.
- The step-down must name the trial that has the edge, not merely find that there is one; without
  an edge, it must name none.
- PBO asks another question, whether choosing carries over; its threshold is no level of a test.

{tables}
## Without an edge, and not normal

How often each statistic finds one all the same, of {trials} independent trials, where 5 % are
promised. Where returns "lose seldom, but much", 2 % of the bars lose 49 times what the others gain.

- SPA and the step-down take deviations anew in each resample, which keeps them near their level
  there. DSR and Sidak correct for skewness and kurtosis as far as the sample shows them: in the
  best of many short records the large losses are missing, and so is the correction.
- Returns that depend on those before them are allowed for only partly by those that resample
  blocks, and not at all by Sidak; with more bars it becomes better for the former alone.

{nulls}
Five years are too short to tell a true annual Sharpe ratio of 1 from the best of {trials}
without skill. That is not a fault of the statistics: fewer trials or more years are the remedy.

Made by `python scripts/power_table.py --studies {studies} --seed {seed}`.
"""


NULLS = ("normal", "Student's t (3)", "lose seldom, but much", "autocorrelated by 0.3")


def null_of(kind: str, bars: int, seed: Sequence[int]) -> np.ndarray:
    """(T, C) returns of `TRIALS` trials with a true mean of zero."""
    rng = np.random.default_rng(seed)
    shape = (bars, TRIALS)
    if kind == "normal":
        return 0.01 * rng.normal(size=shape)
    if kind == "Student's t (3)":
        return 0.01 * rng.standard_t(3, shape)
    if kind == "lose seldom, but much":
        return np.where(rng.random(shape) < 0.02, -0.049, 0.001) + rng.normal(0, 0.003, shape)
    steps = 0.01 * rng.normal(size=(bars + 50, TRIALS))
    for t in range(1, len(steps)):
        steps[t] += 0.3 * steps[t - 1]
    return steps[50:]


def returns_of(seed: Sequence[int], sharpe: float, correlation: float) -> np.ndarray:
    """(T, C) returns; trial 0 has the annual Sharpe ratio given, the others zero."""
    rng = np.random.default_rng(seed)
    own, common = rng.normal(size=(BARS, TRIALS)), rng.normal(size=(BARS, 1))
    returns = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    returns[:, 0] += sharpe / np.sqrt(YEAR)
    return 0.01 * returns


def verdicts(returns: np.ndarray, seed: int, *, edge: bool = True) -> dict[str, bool]:
    """Say what each statistic says of one study, with the thresholds of `COLUMNS`.

    With an `edge` it is that of trial 0, which the step-down has to name; without, any is wrong.
    """
    sharpe = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    best = int(sharpe.argmax())
    z = (returns[:, best] - returns[:, best].mean()) / returns[:, best].std()
    shape = {"skewness": float((z**3).mean()), "kurtosis": float((z**4).mean())}
    bars = len(returns)
    alone = float(luck.psr(sharpe[best], bars, **shape))
    spread = float(sharpe.var(ddof=1))
    deflated = luck.dsr(sharpe[best], bars, trials=TRIALS, trial_variance=spread, **shape)
    drawn: dict[str, Any] = {"resamples": RESAMPLES, "seed": seed}
    named = luck.romano_wolf(returns, **drawn).p_values
    return {
        "psr": alone > 0.95,
        "dsr": float(deflated) > 0.95,
        "sidak": float(luck.sidak_p_value(alone, TRIALS)) <= 0.05,
        "reality_check": luck.reality_check(returns, **drawn).p_value <= 0.05,
        "spa": luck.superior_predictive_ability(returns, **drawn).consistent <= 0.05,
        "step_down": bool((named[0] if edge else np.nanmin(named)) <= 0.05),
        "pbo": luck.pbo(returns).pbo <= 0.2,
    }


def table(studies: int, seed: int, correlation: float) -> str:
    """Markdown table over the edges."""
    lines = [
        f"## Trials that correlate by {correlation:g}",
        "",
        "| true annual Sharpe ratio | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for edge in EDGES:
        # The same draws for every edge: a row differs from the next by the edge alone.
        found = [
            verdicts(
                returns_of((seed, round(100 * correlation), k), edge, correlation),
                k,
                edge=edge > 0,
            )
            for k in range(studies)
        ]
        cells = [f"{np.mean([row[name] for row in found]):.1%}" for name in COLUMNS]
        lines.append(f"| {edge:g} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def table_of_nulls(studies: int, seed: int) -> str:
    """Markdown table of false alarms over the ways in which returns may be distributed."""
    shown = [name for name in COLUMNS if name not in {"psr", "pbo"}]
    lines = [
        "| returns | bars | " + " | ".join(COLUMNS[name] for name in shown) + " |",
        "|---" * (len(shown) + 2) + "|",
    ]
    for kind in NULLS:
        for bars in (YEAR, BARS):
            found = [
                verdicts(null_of(kind, bars, (seed, bars, k)), k, edge=False)
                for k in range(studies)
            ]
            cells = [f"{np.mean([row[name] for row in found]):.1%}" for name in shown]
            lines.append(f"| {kind} | {bars:,} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400, help="simulated studies a row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "docs" / "power.md"
    )
    given = parser.parse_args(arguments)
    tables = "\n".join(table(given.studies, given.seed, rho) for rho in CORRELATIONS)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(
        PAGE.format(
            studies=given.studies,
            seed=given.seed,
            trials=TRIALS,
            bars=BARS,
            year=YEAR,
            resamples=RESAMPLES,
            error=50 / np.sqrt(given.studies),
            tables=tables,
            nulls=table_of_nulls(given.studies, given.seed),
        ),
        encoding="utf-8",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
