"""Measure how often drift is called without any, and how often it is found: docs/drift.md.

Reference and stream are simulated together, so that the stream goes on where the reference ends.
Nothing of the detector is told to the simulation but its settings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from windtunnel.monitoring.drift.detector import DriftDetector, DriftSettings
from windtunnel.monitoring.drift.reference import build_reference

FEATURES, BURN_IN = 6, 300
SETTINGS = DriftSettings(window=60, stride=20, false_alarm_bars=1000, resamples=800)
STREAM = 480  # bars watched after each reference
NAMES = tuple(f"feature_{k}" for k in range(FEATURES))

PAGE = """# Drift: false alarms and power

`windtunnel.monitoring.drift` compares windows of {window} bars with the training rows, every
{stride} bars. Here it was asked for at most one false alarm in {interval:,} bars, that is in
{level:.0%} of its checks, on {features} features. It takes its threshold from the reference alone,
by drawing reference and window anew in blocks of bars.

## False alarms

Streams without drift that go on where the reference ends: {studies} of them a row, {stream} bars
each. The promise is kept where the interval is {interval:,} bars or more.

{alarms}

The more a process remembers, the fewer independent stretches its history holds, and the less the
history knows of how far it may stray. The threshold is raised for that (see
`NullLaw.threshold`), so where data are nearly independent, or plentiful, the interval is longer
than was asked for: the promise is a bound, not a target. Alarms of one stream come together, so
few streams say little: for GARCH the interval is known least. Thresholds from a table, such as 0.25
for PSI, alarm at every check of some of these processes and never for others. The last two
columns show how often PSI above 0.25 of any feature, and a two-sample Kolmogorov-Smirnov test of
all features at a Bonferroni level of {level:.0%}, would have alarmed.

## Power

Share of {studies} streams in which the first window wholly after the shift alarms; reference of
{reference:,} bars.

{power}

## Which statistic

Each feature has three statistics, the population stability index (sensitive to shape), the
Kolmogorov-Smirnov distance (location) and the Wasserstein distance (tails, scale). All features
together have two: the maximum mean discrepancy with random Fourier features, and the
cross-fitted AUC of a classifier that tells window from reference. All are put on one scale by
their resampled law and the largest decides, so that there is one threshold and one false-alarm
rate whatever the number of features. The features that an alarm names are chosen by Benjamini
and Hochberg's rule at a false-discovery rate of 10 %.

Made by `python scripts/drift_table.py --studies {studies} --seed {seed} --bars {lengths}`.
"""


def autoregressive(phi: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Unit-variance AR(1) features that share a third of their variance."""

    def draw(random: np.random.Generator, bars: int) -> np.ndarray:
        common, own = random.normal(size=(bars, 1)), random.normal(size=(bars, FEATURES))
        shocks = np.sqrt(1 / 3) * common + np.sqrt(2 / 3) * own
        values = np.empty_like(shocks)
        values[0] = shocks[0]
        for t in range(1, bars):
            values[t] = phi * values[t - 1] + np.sqrt(1 - phi * phi) * shocks[t]
        return values

    return draw


def garch(random: np.random.Generator, bars: int) -> np.ndarray:
    """GARCH(1, 1) with persistence 0.98 and unit variance, one variance process a feature."""
    shocks = random.normal(size=(bars, FEATURES))
    values, variance = np.empty_like(shocks), np.ones(FEATURES)
    for t in range(bars):
        values[t] = np.sqrt(variance) * shocks[t]
        variance = 0.02 + 0.08 * values[t] ** 2 + 0.90 * variance
    return values


PROCESSES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "independent": autoregressive(0.0),
    "AR(1), 0.5": autoregressive(0.5),
    "AR(1), 0.9": autoregressive(0.9),
    "AR(1), 0.97": autoregressive(0.97),
    "GARCH(1, 1), 0.98": garch,
}


def correlate(values: np.ndarray) -> np.ndarray:
    """Mix the second feature into the first so that they correlate strongly, variance kept."""
    mixed = values.copy()
    mixed[:, 0] = 0.4 * values[:, 0] + np.sqrt(1 - 0.4**2) * values[:, 1]
    return mixed / np.where(np.arange(FEATURES) == 0, np.sqrt(1 + 2 * 0.4 * 0.917 / 3), 1.0)


SHIFTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda values: values,
    "mean of one by 0.5 sd": lambda values: values + 0.5 * (np.arange(FEATURES) == 0),
    "mean of one by 1 sd": lambda values: values + 1.0 * (np.arange(FEATURES) == 0),
    "mean of all by 1 sd": lambda values: values + 1.0,
    "sd of one x 2": lambda values: values * np.where(np.arange(FEATURES) == 0, 2.0, 1.0),
    "sd of all x 2": lambda values: values * 2.0,
    "sd of all x 0.5": lambda values: values * 0.5,
    "correlation of two to 0.95": correlate,
    "regime: sd x 2, mean - 0.5 sd": lambda values: 2.0 * values - 0.5,
}


def detector_of(values: np.ndarray, bars: int, settings: DriftSettings = SETTINGS) -> DriftDetector:
    """Calibrate on the first `bars` bars."""
    return DriftDetector(build_reference(values[:bars], NAMES, np.arange(bars)), settings)


def alarms(
    process: str, bars: int, studies: int, seed: int, settings: DriftSettings = SETTINGS
) -> tuple[int, int, int, int]:
    """Checks, alarms of the detector, of PSI > 0.25 and of plain Kolmogorov-Smirnov tests."""
    checks = found = folklore = naive = 0
    for k in range(studies):
        random = np.random.default_rng((seed, k))
        values = PROCESSES[process](random, BURN_IN + bars + STREAM)[BURN_IN:]
        detector = detector_of(values, bars, settings)
        for end in range(bars + settings.window, bars + STREAM + 1, settings.stride):
            window = values[end - settings.window : end]
            check = detector.check(window)
            checks += 1
            found += check.drifted
            folklore += max(check.values[name]["psi"] for name in NAMES) > 0.25
            ks = max(check.values[name]["ks"] for name in NAMES)
            # Asymptotic p-value of the two-sample test (Smirnov 1948), leading term.
            effective = bars * settings.window / (bars + settings.window)
            naive += 2 * np.exp(-2 * effective * ks * ks) * FEATURES <= settings.level
    return checks, found, folklore, naive


def power(process: str, bars: int, studies: int, seed: int) -> dict[str, float]:
    """Share of streams in which each shift is found by the first full window."""
    found = dict.fromkeys(SHIFTS, 0)
    for k in range(studies):
        random = np.random.default_rng((seed, k))
        values = PROCESSES[process](random, BURN_IN + bars + SETTINGS.window)[BURN_IN:]
        detector = detector_of(values, bars)
        for name, shift in SHIFTS.items():
            found[name] += detector.check(shift(values[bars:])).drifted
    return {name: count / studies for name, count in found.items()}


def alarm_table(studies: int, seed: int, lengths: Sequence[int], jobs: int) -> str:
    """Markdown table of measured intervals."""
    lines = [
        "| process | bars of reference | alarms in checks | bars between false alarms | PSI > 0.25 "
        "| Kolmogorov-Smirnov |",
        "|---|---|---|---|---|---|",
    ]
    rows = [(process, bars, studies, seed) for process in PROCESSES for bars in lengths]
    counted = _spread(alarms, rows, jobs)
    for (process, bars, *_), (checks, found, folklore, naive) in zip(rows, counted, strict=True):
        interval = f"{checks * SETTINGS.stride / found:,.0f}" if found else "none seen"
        lines.append(
            f"| {process} | {bars:,} | {found} in {checks:,} | {interval} | "
            f"{folklore / checks:.0%} | {naive / checks:.0%} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)


def power_table(studies: int, seed: int, bars: int, jobs: int) -> str:
    """Markdown table of the share found, a column a process."""
    rows = [(process, bars, studies, seed + 1) for process in PROCESSES]
    columns = dict(zip(PROCESSES, _spread(power, rows, jobs), strict=True))
    lines = ["| shift | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for shift in SHIFTS:
        cells = [f"{column[shift]:.0%}" for column in columns.values()]
        lines.append(f"| {shift} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def _spread(function: Callable, rows: Sequence[tuple], jobs: int) -> list:
    """Results of every row, in their order; they do not depend on the number of processes."""
    if jobs == 1:
        return [function(*row) for row in rows]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(function, *zip(*rows, strict=True)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100, help="simulated streams a row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bars", type=int, nargs="+", default=[1500, 3000])
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "docs" / "drift.md"
    )
    given = parser.parse_args(arguments)
    measured = alarm_table(given.studies, given.seed, given.bars, given.jobs)
    found = power_table(given.studies, given.seed, given.bars[0], given.jobs)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(
        PAGE.format(
            window=SETTINGS.window,
            stride=SETTINGS.stride,
            interval=SETTINGS.false_alarm_bars,
            level=SETTINGS.level,
            features=FEATURES,
            studies=given.studies,
            stream=STREAM,
            seed=given.seed,
            reference=given.bars[0],
            lengths=" ".join(map(str, given.bars)),
            alarms=measured,
            power=found,
        ),
        encoding="utf-8",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
