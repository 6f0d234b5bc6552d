"""Compare the cohort-at-once TPE with Optuna's own, by the best value that each finds.

Prints a table as in docs/tuning.md: ``python scripts/sampler_table.py --seeds 10``. Both get
the same cohorts: nothing is told before a cohort is asked for whole.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from dataclasses import dataclass
from math import comb

import optuna

from sampler_problems import Problem, real, synthetic
from windtunnel.tuning.cohort_tpe import CohortTPESampler

TRIALS, COHORT = 256, 32


@dataclass
class Outcome:
    """Best values by seed, and seconds spent in asking."""

    best: list[float]
    seconds: float = 0.0


def find(problem: Problem, sampler: optuna.samplers.BaseSampler) -> tuple[float, float]:
    """The best value found in `TRIALS` trials, and seconds spent in asking."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    asking = 0.0
    for _ in range(TRIALS // COHORT):
        began = time.perf_counter()
        asked = [study.ask(problem.space) for _ in range(COHORT)]
        asking += time.perf_counter() - began
        for trial, value in zip(
            asked, problem.evaluate([trial.params for trial in asked]), strict=True
        ):
            study.tell(trial, value)
    return study.best_value, asking


def samplers(seed: int) -> dict[str, optuna.samplers.BaseSampler]:
    """Those compared, random search as the yardstick."""
    return {
        "random": optuna.samplers.RandomSampler(seed=seed),
        "optuna": optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True),
        "cohort": CohortTPESampler(seed=seed, cohort=COHORT),
    }


def compare(problem: Problem, seeds: int) -> dict[str, Outcome]:
    """Each sampler on each seed."""
    found: dict[str, Outcome] = {}
    for seed in range(seeds):
        for name, sampler in samplers(seed).items():
            best, seconds = find(problem, sampler)
            outcome = found.setdefault(name, Outcome([]))
            outcome.best.append(best)
            outcome.seconds += seconds
    return found


def sign_test(wins: int, games: int) -> float:
    """Probability of at most `wins` wins of `games` between equals."""
    return sum(comb(games, k) for k in range(wins + 1)) / 2**games


def row(name: str, found: dict[str, Outcome]) -> str:
    """A line of the table."""
    ours, theirs = found["cohort"], found["optuna"]
    pairs = [(a, b) for a, b in zip(ours.best, theirs.best, strict=True) if a != b]
    wins = sum(a > b for a, b in pairs)
    medians = [f"{statistics.median(found[k].best):.4g}" for k in ("random", "optuna", "cohort")]
    speed = theirs.seconds / ours.seconds
    p = sign_test(wins, len(pairs))
    cells = [name, *medians, f"{wins}/{len(pairs)}", f"{p:.2f}", f"{speed:.0f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--made-up", action="store_true", help="leave the real studies out")
    given = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print("| problem | random | Optuna's TPE | cohort TPE | won | p | asking, times faster |")
    print("|---|---|---|---|---|---|---|")
    problems = synthetic() if given.made_up else synthetic() + real()
    for problem in problems:
        print(row(problem.name, compare(problem, given.seeds)), flush=True)


if __name__ == "__main__":
    main()
