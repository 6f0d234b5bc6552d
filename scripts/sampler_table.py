"""Compare the cohort-at-once TPE with Optuna's own, by the best value that each finds.

``python scripts/sampler_table.py --json docs/results/samplers.json`` measures; with ``--shown``
nothing is measured and the stored figures are printed as the table of docs/tuning.md. Every
sampler gets the same cohorts: nothing is told before a cohort is asked for whole.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import optuna
from scipy.stats import mannwhitneyu

from sampler_problems import Problem, real, synthetic
from windtunnel.tuning.cohort_tpe import CohortTPESampler

TRIALS, COHORT = 256, 32
# The constants of the cohort sampler were chosen on seeds below 3,000; from here on none was
# looked at.
FIRST_SEED = 3000
HEAD = """| problem | random | Optuna's TPE | cohort_tpe | won | p | asking, times faster |
|---|---|---|---|---|---|---|"""


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
        "tpe": optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True),
        "cohort_tpe": CohortTPESampler(seed=seed, cohort=COHORT),
    }


def compare(problem: Problem, seeds: Sequence[int]) -> dict[str, Any]:
    """Best value of each sampler on each seed, and the seconds that it took to ask."""
    best: dict[str, list[float]] = {name: [] for name in samplers(0)}
    seconds = dict.fromkeys(best, 0.0)
    for seed in seeds:
        for name, sampler in samplers(seed).items():
            found, asking = find(problem, sampler)
            best[name].append(found)
            seconds[name] += asking
    return {"problem": problem.name, "real": problem.real, "best": best, "asking_seconds": seconds}


def won(found: Mapping[str, Any]) -> tuple[float, float]:
    """Share of all pairs of seeds that the cohort sampler won, and how likely so few were.

    Ties count half. The second figure is the p-value of the Mann-Whitney test against the
    alternative that the cohort sampler finds less.
    """
    ours, theirs = found["best"]["cohort_tpe"], found["best"]["tpe"]
    test = mannwhitneyu(ours, theirs, alternative="less")
    return float(test.statistic) / (len(ours) * len(theirs)), float(test.pvalue)


def row(found: Mapping[str, Any]) -> str:
    """A line of the table."""
    share, p = won(found)
    seconds = found["asking_seconds"]
    cells = [
        found["problem"],
        *(f"{statistics.median(best):.4g}" for best in found["best"].values()),
        f"{share:.0%}".replace("%", " %"),
        f"{p:.2f}",
        f"{seconds['tpe'] / seconds['cohort_tpe']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def table(document: Mapping[str, Any]) -> str:
    """The table of a stored comparison."""
    return "\n".join([HEAD, *map(row, document["problems"])])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, store and print, or only print what is stored."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--shown", action="store_true", help="print what --json holds")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--only", default="", help="problems whose name holds this")
    parser.add_argument("--made-up", action="store_true", help="leave the real studies out")
    given = parser.parse_args(arguments)
    if given.shown:
        print(table(json.loads(given.json.read_text(encoding="utf-8"))))
        return 0
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    document: dict[str, Any] = {
        "trials": TRIALS,
        "cohort": COHORT,
        "seeds": [seeds.start, seeds.stop - 1],
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: metadata.version(name) for name in ("optuna", "numpy", "numba")},
        "problems": [],
    }
    print(HEAD)
    for problem in synthetic() if given.made_up else synthetic() + real():
        if given.only not in problem.name:
            continue
        document["problems"].append(compare(problem, seeds))
        print(row(document["problems"][-1]), flush=True)
        if given.json:
            given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
