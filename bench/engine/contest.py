"""Contestants on one work: answers compared, then rounds in turn, then a table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from works import Size

PAUSE = 0.05  # threads of a contestant before wait actively for a while
LEAST = 0.2  # seconds that a measurement lasts: shorter runs are repeated, and their mean counts
Metrics = dict[str, np.ndarray]
LONG = 2.0  # seconds; what takes longer is run twice, or once


@dataclass
class Contestant:
    """Somebody who does the work, or the first `configurations` of it."""

    name: str
    run: Callable[[], Metrics]
    configurations: int
    # Relative differences allowed of the metrics; None where the peer means something else.
    tolerance: float | None = 1e-9
    note: str = ""
    ours: bool = False
    seconds: list[float] = field(default_factory=list)
    difference: float = 0.0

    def attempt(self) -> Metrics:
        time.sleep(PAUSE)
        runs, start = 0, time.perf_counter()
        while runs == 0 or time.perf_counter() - start < LEAST:
            answer = self.run()
            runs += 1
        self.seconds.append((time.perf_counter() - start) / runs)
        return answer


def compare(contestant: Contestant, answer: Metrics, reference: Metrics) -> None:
    """Growth and drawdown to the tolerance; the Sharpe ratio to a thousand of it.

    A sum of squares less a square of a sum loses digits that a sum of squared deviations keeps.
    """
    count = contestant.configurations
    if not answer:
        return  # a bound, which has no answer
    growth = (answer["total_return"] + 1) / (reference["total_return"][:count] + 1)
    contestant.difference = float(np.abs(growth - 1).max())
    if contestant.tolerance is None:
        return
    for name, slack in (("total_return", 1.0), ("max_drawdown", 1.0), ("sharpe", 1e3)):
        offset = 1.0 if name == "total_return" else 0.0
        np.testing.assert_allclose(
            answer[name] + offset,
            reference[name][:count] + offset,
            rtol=contestant.tolerance * slack,
            atol=contestant.tolerance * slack,
            err_msg=f"{contestant.name}: {name}",
        )


def contest(contestants: list[Contestant], rounds: int) -> None:
    """Fills `seconds` and `difference` of all; raises where an answer differs.

    The first run of each compiles, fills caches and is compared, and is not counted.
    """
    reference = contestants[0].run()
    wanted = []
    for each in contestants:
        compare(each, each.attempt(), reference)
        # A second one shows how long it takes without compilation.
        each.seconds.clear()
        each.attempt()
        wanted.append(rounds if each.seconds[0] < LONG else 2 if each.seconds[0] < 3 * LONG else 1)
    for turn in range(1, rounds):
        for each, times in zip(contestants, wanted, strict=True):
            if turn < times:
                each.attempt()


def summary(work: str, size: Size, contestants: list[Contestant]) -> dict[str, Any]:
    """Rates, and how many times the best of ours is faster than each."""
    rows = []
    for each in contestants:
        seconds = statistics.median(each.seconds)
        done = size.bar_configurations // size.configurations * each.configurations
        rows.append(
            {
                "name": each.name,
                "ours": each.ours,
                "configurations": each.configurations,
                "seconds": seconds,
                "rounds": len(each.seconds),
                "million_bar_configurations_a_second": done / seconds / 1e6,
                "largest_relative_difference": each.difference,
                "compared": each.tolerance is not None,
                "note": each.note,
            }
        )
    best = max(row["million_bar_configurations_a_second"] for row in rows if row["ours"])
    for row in rows:
        row["times"] = best / row["million_bar_configurations_a_second"]
    return {"work": work, "size": str(size), "rows": rows}


def lines(found: dict[str, Any]) -> list[str]:
    """The table in Markdown."""
    text = [
        f"### {found['work']}: {found['size']}",
        "",
        "| who | M bar-configurations/s | ours is faster by | same answer | remark |",
        "|---|---:|---:|---|---|",
    ]
    for row in found["rows"]:
        rate = row["million_bar_configurations_a_second"]
        same = f"to {row['largest_relative_difference']:.0e}" if row["compared"] else "no"
        times = "" if row["ours"] else f"{row['times']:,.1f}x"
        name = f"**{row['name']}**" if row["ours"] else row["name"]
        text.append(f"| {name} | {rate:,.1f} | {times} | {same} | {row['note']} |")
    return [*text, ""]
