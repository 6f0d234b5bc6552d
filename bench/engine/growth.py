"""`python bench/engine/growth.py [DOOR]`: does time grow with input, and what memory is added?

Each size runs in a process of its own, which measures the seconds of a call on one and two threads
and the memory that the call added at its peak to that of its input. Sizes go to 2 GB.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from works import CASH, FEE, YEAR, Size, make_panel

from windtunnel import environment
from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.signals import run_signals

# From the smallest by one axis at a time; the last of each is 2 GB of targets.
SIZES = {
    "bars": [Size(t, 1, 1_000) for t in (10_000, 100_000, 500_000)],
    "configurations": [Size(10_000, 1, c) for c in (1_000, 10_000, 50_000)],
    "instruments": [Size(10_000, n, 1_000) for n in (1, 10, 50)],
}
BLOCK = 1_000  # bars of random numbers, repeated to fill the rest
REPEATS = 3


def fill(shape: tuple[int, ...], dtype: type, draw: object) -> np.ndarray:
    """An array of repeated random blocks, made without a second one of its size."""
    array = np.empty(shape, dtype)
    assert callable(draw)
    block = draw((min(BLOCK, shape[0]), *shape[1:])).astype(dtype)
    for t in range(0, shape[0], BLOCK):
        array[t : t + BLOCK] = block[: shape[0] - t]
    return array


def peak_kilobytes() -> int:
    """Most memory that this process had resident since `forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def load_engine(terms: dict[str, Any]) -> None:
    """The library and what it imports are no memory of a sweep, however small."""
    panel = make_panel(Size(2, 1, 1))
    run_exposures(panel, np.zeros((2, 1, 1)), band=0.0, **terms)
    run_signals(panel, *np.zeros((2, 2, 1, 1), bool), **terms)


def measure(door: str, size: Size) -> dict[str, float]:
    rng = np.random.default_rng(3)
    panel = make_panel(size)
    shape = (size.bars, size.instruments, size.configurations)
    terms = {
        "costs": Costs(FEE, 0.0, 0.0, 0.0),
        "execution": Execution("next_open", CASH),
        "periods_per_year": YEAR,
        "want_equity": False,
        "want_metrics": True,
    }
    if door == "targets":
        targets = fill(shape, np.float32, lambda s: rng.random(s, np.float32) / size.instruments)
        given = targets.nbytes
        call = lambda n: run_exposures(panel, targets, band=0.0, threads=n, **terms)  # noqa: E731
    else:
        entries = fill(shape, np.bool_, lambda s: rng.random(s, np.float32) < 1 / 80)
        exits = fill(shape, np.bool_, lambda s: rng.random(s, np.float32) < 1 / 80)
        given = entries.nbytes + exits.nbytes
        call = lambda n: run_signals(panel, entries, exits, threads=n, **terms)  # noqa: E731
    found: dict[str, float] = {"input_bytes": given}
    load_engine(terms)
    forget_peak()
    before = peak_kilobytes()
    for threads in (1, 2):
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            call(threads)
            times.append(time.perf_counter() - start)
        found[f"seconds_{threads}"] = min(times)
    found["added_bytes"] = 1024 * (peak_kilobytes() - before)
    return found


def main() -> None:
    if len(sys.argv) == 5:
        door, *numbers = sys.argv[1:]
        print(json.dumps(measure(door, Size(*map(int, numbers)))))
        return
    kept = []
    print("| door | grows | size | input, MB | ns a bar-configuration, 1 thread | 2 threads | "
          "2 threads are faster by | added memory |")  # fmt: skip
    print("|---|---|---|---:|---:|---:|---:|---:|")
    doors = sys.argv[1:2] or ["targets", "flags"]
    for door in doors:
        for axis, sizes in SIZES.items():
            for size in sizes:
                arguments = map(str, (size.bars, size.instruments, size.configurations))
                run = subprocess.run(  # noqa: S603 - this file again
                    [sys.executable, __file__, door, *arguments],
                    check=True, capture_output=True, text=True,
                )  # fmt: skip
                found = json.loads(run.stdout)
                one, two = (found[f"seconds_{n}"] / size.bar_configurations * 1e9 for n in (1, 2))
                print(
                    f"| {door} | {axis} | {size} | {found['input_bytes'] / 1e6:,.0f} | {one:.3f} | "
                    f"{two:.3f} | {one / two:.2f}x | "
                    f"{found['added_bytes'] / found['input_bytes']:.1%} |",
                    flush=True,
                )
                kept.append({"door": door, "axis": axis, "size": str(size)} | found)
    to = Path(f"build/bench/engine_growth_{'_'.join(doors)}.json")
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps({"machine": environment.describe(), "runs": kept}, indent=1))


if __name__ == "__main__":
    main()
