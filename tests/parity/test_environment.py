"""The environment's account equals the engine's on 12,544 random action paths.

Stated tolerances, relative to the larger of the initial cash and the equity itself: 1e-10 in
float64 and 1e-4 in float32, which is what training and service use. What remains in float32
is rounding; a fill on the edge of a band may fall either way. With lots an account within
rounding of a whole lot may hold one lot more or less, in either precision.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}


def load_paths():
    spec = importlib.util.spec_from_file_location(
        "environment_paths", HERE / "environment_paths.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["environment_paths"] = module
    spec.loader.exec_module(module)
    return module


paths = load_paths()

IN_FLOAT64 = """
import sys
import jax
jax.config.update("jax_enable_x64", True)
import numpy as np
sys.path.insert(0, sys.argv[1])
import environment_paths as paths
found = {}
for number, case in enumerate((*paths.CASES, paths.LOTS)):
    equity, gains = paths.account_equity(paths.world(case, number), np.float64)
    assert equity.dtype == np.float64
    found[f"equity{number}"], found[f"gains{number}"] = equity, gains
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Equity and gains in float64, from a process of its own: the setting is global to JAX."""
    kept = tmp_path_factory.mktemp("x64") / "paths.npz"
    subprocess.run([sys.executable, "-c", IN_FLOAT64, str(HERE), str(kept)], check=True)
    with np.load(kept) as arrays:
        return dict(arrays)


def errors(world, equity) -> np.ndarray:
    """(C,) largest relative difference from the engine on each path."""
    engine = world.engine().equity[: len(equity)] / world.execution.initial_cash
    return (np.abs(equity - engine) / np.maximum(1, np.abs(engine))).max(axis=0)


def test_there_are_ten_thousand_paths_and_all_that_can_happen_happens() -> None:
    worlds = [paths.world(case, number) for number, case in enumerate((*paths.CASES, paths.LOTS))]
    assert sum(world.targets.shape[2] for world in worlds) >= 10_000
    results = [world.engine() for world in worlds]
    assert all((result.liquidated >= 0).mean() > 0.1 for result in results)
    assert all((result.dropped > 0).mean() > 0.5 for result in results)
    assert sum((result.equity[-1] < 0).sum() for result in results) > 50, "gaps leave debts"
    assert all((result.financing > 0).any() for result in results)
    for world, result in zip(worlds, results, strict=True):
        if world.execution.participation is not None:
            assert (result.capped > 0).mean() > 0.1


@pytest.mark.parametrize("number", range(len(paths.CASES)))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equity_equals_the_engines(number, dtype, wide) -> None:
    world = paths.world(paths.CASES[number], number)
    if dtype == "float64":
        equity, gains = wide[f"equity{number}"], wide[f"gains{number}"]
    else:
        equity, gains = paths.account_equity(world, np.float32)
    assert equity.dtype == dtype
    assert errors(world, equity).max() < TOLERANCE[dtype]
    if world.execution.fill != "same_close":  # where marks come before the new bar's gains
        total = 1 + gains.astype(np.float64).sum(axis=(0, 1))
        largest = np.maximum(1, np.abs(equity).max(axis=0))
        assert (np.abs(total - equity[-1]) / largest).max() < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_lots_differ_by_a_lot_at_most_and_seldom(dtype, wide) -> None:
    number = len(paths.CASES)
    world = paths.world(paths.LOTS, number)
    equity = (
        wide[f"equity{number}"]
        if dtype == "float64"
        else paths.account_equity(world, np.float32)[0]
    )
    off = errors(world, equity)
    assert np.mean(off < TOLERANCE[dtype]) > 0.99
    assert off.max() < 0.05
