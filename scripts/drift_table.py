"""Measure how often drift is called without any, and how often it is found: docs/drift.md.

Reference and stream are simulated together, so that the stream goes on where the reference ends.
Nothing of the detector is told to the simulation but its settings.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from windtunnel.monitoring.drift.changes import ChangeWatch
from windtunnel.monitoring.drift.detector import DriftDetector, DriftSettings
from windtunnel.monitoring.drift.reference import build_reference

FEATURES, BURN_IN = 6, 300
SETTINGS = DriftSettings(window=60, stride=20, false_alarm_bars=1000, resamples=600)
STREAM = 960  # bars watched after each reference
NAMES = tuple(f"feature_{k}" for k in range(FEATURES))

PAGE = """# Drift: false alarms and power

`windtunnel.monitoring.drift` compares windows of {window} bars with the training rows, every
{stride} bars. Here it was asked for at most one false alarm in {interval:,} bars, on
{features} features. It takes its threshold from the reference alone,
by drawing reference and window anew in blocks of bars.

## False alarms

Streams without drift that go on where the reference ends: {studies} of them a row, {stream} bars
each. An alarm begins with a check that alarms after one that did not, and lasts while checks
alarm: neighbouring windows share two thirds of their bars, and somebody is told once. The promise
is kept where the interval is {interval:,} bars or more; in brackets its 95 % confidence interval,
from the spread between streams.

{alarms}

The more a process remembers, the fewer independent stretches its history holds, and the less the
history knows of how far it may stray. The threshold is raised for that (see
`NullLaw.threshold`), so where data are nearly independent, or plentiful, the interval is longer
than was asked for: the promise is a bound, not a target. Thresholds from a table, such as 0.25
for PSI, alarm at every check of some of these processes and never for others. The last two
columns show how often PSI above 0.25 of any feature, and a two-sample Kolmogorov-Smirnov test of
all features at a Bonferroni level of {level:.0%}, would have alarmed.

A reference that is short for what its process remembers shows too little of it. Drift then alarms
more often than was asked for, up to four times as often, and more bars are the only remedy. Where
a reference does not hold eight blocks as long as its memory seems to be, the alert, the log of the
monitor and the note of a replay say so, and how many bars are needed at the least. Clusters of
volatility in few bars are not always recognised. On {fewer} streams a row:

{short}

## Power

Share of {studies} streams in which the first window wholly after the shift alarms; reference of
{reference:,} bars.

{power}

## Streams

Beside the windows, two numbers a bar go through a detector of changes of the mean: the mean score,
and how far the features lie from training. It is Page and Hinkley's, or ADWIN, of the river
library, with a parameter that is calibrated on resamples of the reference in blocks; at their
defaults both alarm again and again on an autocorrelated series. Asked for one false alarm in
{interval:,} bars of either, on {fewer} of these streams, with a reference of {reference:,} bars:

{changes}

Share of the streams in which a shift is found within {window} bars; the score is the features'
mean, and so knows nothing of what cancels in it:

{change_power}

## Which statistic

Each feature has four statistics: the population stability index (sensitive to shape), the
Kolmogorov-Smirnov distance (location), the Wasserstein distance (tails, scale), and the mean
logarithm of a value's distance from the reference's median. The distances are bounded, so that a
few wild values do not decide for a window; but bounded they cannot tell another regime from a feed
in other units where data stray far by themselves. The logarithm can. All features together have
two: the maximum mean discrepancy with random Fourier features, and the
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
    "AR(1), 0.95": autoregressive(0.95),
    "AR(1), 0.97": autoregressive(0.97),
    "GARCH(1, 1), 0.98": garch,
}


def correlate(values: np.ndarray) -> np.ndarray:
    """Mix the second feature into the first so that they correlate strongly, variance kept."""
    mixed = values.copy()
    mixed[:, 0] = 0.4 * values[:, 0] + np.sqrt(1 - 0.4**2) * values[:, 1]
    return mixed / np.where(np.arange(FEATURES) == 0, np.sqrt(1 + 2 * 0.4 * 0.917 / 3), 1.0)


# What remembers too long for these references.
SHORT = [(name, bars) for name in list(PROCESSES)[2:] for bars in (250, 500)]

SHIFTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda values: values,
    "mean of one by 0.5 sd": lambda values: values + 0.5 * (np.arange(FEATURES) == 0),
    "mean of one by 1 sd": lambda values: values + 1.0 * (np.arange(FEATURES) == 0),
    "mean of all by 1 sd": lambda values: values + 1.0,
    "sd of one x 2": lambda values: values * np.where(np.arange(FEATURES) == 0, 2.0, 1.0),
    "sd of all x 2": lambda values: values * 2.0,
    "sd of all x 0.5": lambda values: values * 0.5,
    "one in other units, x 100": lambda values: (
        values * np.where(np.arange(FEATURES) == 0, 100.0, 1.0)
    ),
    "correlation of two to 0.95": correlate,
    "regime: sd x 2, mean - 0.5 sd": lambda values: 2.0 * values - 0.5,
}


def detector_of(values: np.ndarray, bars: int, settings: DriftSettings = SETTINGS) -> DriftDetector:
    """Calibrate on the first `bars` bars."""
    return DriftDetector(build_reference(values[:bars], NAMES, np.arange(bars)), settings)


@dataclass(frozen=True)
class Measured:
    """What was seen of one process: of windows without drift, and of shifted ones."""

    checks: int
    alarming: int  # checks
    alarms: list[int]  # begun, by stream
    folklore: int
    naive: int
    short: int  # references said to be too short for the promise
    power: dict[str, float]


def windows(
    process: str, bars: int, studies: int, seed: int, settings: DriftSettings = SETTINGS
) -> Measured:
    """Alarms of the detector, of PSI > 0.25 and of plain Kolmogorov-Smirnov tests, and power.

    Power is the share of streams in which the first full window after the shift alarms.
    """
    checks = alarming = folklore = naive = short = 0
    found, power = [0] * studies, dict.fromkeys(SHIFTS, 0)
    for k in range(studies):
        random = np.random.default_rng((seed, k))
        values = PROCESSES[process](random, BURN_IN + bars + STREAM)[BURN_IN:]
        detector = detector_of(values, bars, settings)
        short += bool(detector.reference.unkept)
        for name, shift in SHIFTS.items():
            power[name] += detector.check(shift(values[bars : bars + settings.window])).drifted
        before = False
        for end in range(bars + settings.window, bars + STREAM + 1, settings.stride):
            check = detector.check(values[end - settings.window : end])
            checks += 1
            alarming += check.drifted
            found[k] += check.drifted and not before
            before = check.drifted
            folklore += max(check.values[name]["psi"] for name in NAMES) > 0.25
            ks = max(check.values[name]["ks"] for name in NAMES)
            # Asymptotic p-value of the two-sample test (Smirnov 1948), leading term.
            effective = bars * settings.window / (bars + settings.window)
            naive += 2 * np.exp(-2 * effective * ks * ks) * FEATURES <= settings.level
    shares = {name: count / studies for name, count in power.items()}
    print(process, bars, found, flush=True)
    return Measured(checks, alarming, found, folklore, naive, short, shares)


def streams(process: str, bars: int, studies: int, seed: int) -> Measured:
    """Changes said of streams without any, and the share found within a window's bars."""
    found, power = [0] * studies, dict.fromkeys(SHIFTS, 0)
    for k in range(studies):
        random = np.random.default_rng((seed, k))
        values = PROCESSES[process](random, BURN_IN + bars + STREAM)[BURN_IN:]
        watch = ChangeWatch(
            "stream",
            values[:bars],
            values[:bars].mean(axis=1),
            np.arange(bars),
            false_alarm_bars=SETTINGS.false_alarm_bars,
        )
        for name, shift in SHIFTS.items():
            shifted = shift(values[bars : bars + SETTINGS.window])
            power[name] += begun(copy.deepcopy(watch), shifted) > 0
        found[k] = begun(watch, values[bars:])
    shares = {name: count / studies for name, count in power.items()}
    print(process, bars, found, flush=True)
    return Measured(studies * STREAM, 0, found, 0, 0, 0, shares)


def begun(watch: ChangeWatch, values: np.ndarray) -> int:
    """How many changes are said of a stream."""
    standing, count = set(), 0
    for row in values:
        for condition in watch.bar(datetime(2020, 1, 1, tzinfo=UTC), row[None], row.mean()[None]):
            if not condition.breached:
                standing.discard(condition.subject)
            elif condition.subject not in standing:
                standing.add(condition.subject)
                count += 1
    return count


def alarm_table(rows: Sequence[tuple[str, int]], found: Sequence[Measured]) -> str:
    """Markdown table of measured intervals."""
    lines = [
        "| process | bars of reference | checks | alarming | alarms | bars between false alarms "
        "| PSI > 0.25 | Kolmogorov-Smirnov |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (process, bars), own in zip(rows, found, strict=True):
        lines.append(
            f"| {process} | {bars:,} | {own.checks:,} | {own.alarming / own.checks:.1%} | "
            f"{sum(own.alarms)} | {between(own.alarms, own.checks, SETTINGS.stride)} | "
            f"{own.folklore / own.checks:.0%} | {own.naive / own.checks:.0%} |"
        )
    return "\n".join(lines)


def short_table(found: Sequence[Measured]) -> str:
    """Markdown table of the intervals on references that may be too short."""
    lines = [
        "| process | bars of reference | said to be too short | alarms "
        "| bars between false alarms |",
        "|---|---|---|---|---|",
    ]
    for (process, bars), own in zip(SHORT, found, strict=True):
        lines.append(
            f"| {process} | {bars:,} | {own.short / len(own.alarms):.0%} | {sum(own.alarms)} | "
            f"{between(own.alarms, own.checks, SETTINGS.stride)} |"
        )
    return "\n".join(lines)


def stream_table(found: Sequence[Measured]) -> str:
    """Markdown table of the intervals between changes said of streams without any."""
    lines = ["| process | alarms in bars | bars between false alarms |", "|---|---|---|"]
    for process, own in zip(PROCESSES, found, strict=True):
        lines.append(
            f"| {process} | {sum(own.alarms)} in {own.checks:,} | "
            f"{between(own.alarms, own.checks, 1)} |"
        )
    return "\n".join(lines)


def between(found: Sequence[int], looks: int, stride: int) -> str:
    """Bars between alarms, with a 95 % interval from the spread of streams' shares."""
    share = np.array(found) * len(found) / looks
    mean, error = share.mean(), share.std() / np.sqrt(len(found))
    if not mean:
        # None of n streams alarmed: at 95 % fewer than three in n do.
        bars = looks * stride / len(found)
        return f"none seen (once in more than {bars * len(found) / 3:,.0f})"
    least, most = stride / (mean + 1.96 * error), mean - 1.96 * error
    upper = f"{stride / most:,.0f}" if most > 0 else "any"
    return f"{stride / mean:,.0f} ({least:,.0f} to {upper})"


def power_table(found: Sequence[Measured]) -> str:
    """Markdown table of the share found, a column a process."""
    lines = ["| shift | " + " | ".join(PROCESSES) + " |", "|---" * (len(PROCESSES) + 1) + "|"]
    for shift in SHIFTS:
        cells = [f"{own.power[shift]:.0%}" for own in found]
        lines.append(f"| {shift} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(function: Callable, rows: Sequence[tuple], jobs: int) -> list:
    """Results of every row, in their order; they do not depend on the number of processes."""
    columns = zip(*rows, strict=True)
    if jobs == 1:
        return list(map(function, *columns))
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(function, *columns))


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
    rows = [(process, bars) for bars in given.bars for process in PROCESSES]
    tasks = [(*row, given.studies, given.seed) for row in rows]
    measured = _spread(windows, tasks, given.jobs)
    fewer = -(-given.studies // 2)
    brief = _spread(windows, [(*row, fewer, given.seed) for row in SHORT], given.jobs)
    # A calibration of streams costs more.
    tasks = [(process, given.bars[0], fewer, given.seed) for process in PROCESSES]
    flowing = _spread(streams, tasks, given.jobs)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(
        PAGE.format(
            window=SETTINGS.window,
            stride=SETTINGS.stride,
            interval=SETTINGS.false_alarm_bars,
            level=SETTINGS.level,
            features=FEATURES,
            studies=given.studies,
            fewer=fewer,
            stream=STREAM,
            seed=given.seed,
            reference=given.bars[0],
            lengths=" ".join(map(str, given.bars)),
            alarms=alarm_table(rows, measured),
            short=short_table(brief),
            power=power_table(measured[: len(PROCESSES)]),
            changes=stream_table(flowing),
            change_power=power_table(flowing),
        ),
        encoding="utf-8",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
