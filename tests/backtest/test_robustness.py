"""Every front door: odd shapes, frozen arrays, one bar, threads, tiles, levels, the interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.native import core
from windtunnel.backtest.policy import Policies
from windtunnel.backtest.signals import run_signals
from windtunnel.backtest.stops import Stops
from windtunnel.errors import BacktestError

WIDTH = 53  # three tiles and a part of one
PRICES = ("open", "high", "low", "close", "volume", "tradable")


def terms(fill: str = "next_open", *, finer: bool = False) -> dict:
    more = (1e-12, 1.0, 0.01) if finer else ()
    return {
        "costs": Costs(1e-3, 2e-4, 0.5, 0.5, *more),
        "execution": Execution(fill, 1e5, 0.1, *((0.5, 1e-3) if finer else ())),
        "periods_per_year": 12.0,
        "want_metrics": True,
    }


class Door:
    """One front door with arrays for a panel, all or a slice of its configurations."""

    def __init__(self, name: str, panel, rng: np.random.Generator) -> None:
        self.name, self.panel = name, panel
        shape = (panel.bars, panel.instruments, WIDTH)
        self.arrays = {
            "exposures": rng.uniform(-2, 2, shape).astype(np.float32),
            "scores": rng.uniform(-1, 1, (*shape[:2], 3)).astype(np.float32),
            "entries": rng.random(shape) < 0.1,
            "exits": rng.random(shape) < 0.1,
            "band": rng.choice([0.0, 0.05], WIDTH),
            "column": rng.integers(0, 3, WIDTH),
            "enter": rng.uniform(0, 0.5, WIDTH),
            "size": rng.choice([1.0, -0.5, 2.0], WIDTH),
            "loss": rng.choice([0.05, 0.2, np.inf], WIDTH),
            "trailing": rng.choice([0.1, np.inf], WIDTH),
        }

    def run(self, part: slice = slice(None), **more):
        a = {name: np.ascontiguousarray(values[..., part]) for name, values in self.arrays.items()}
        given = terms() | more
        if self.name == "exposures":
            return run_exposures(self.panel, a["exposures"], band=a["band"], **given)
        stops = None
        if self.name.endswith("stops"):
            stops = Stops(loss=a["loss"], trailing=a["trailing"])
        if self.name.startswith("signals"):
            return run_signals(
                self.panel, a["entries"], a["exits"], size=a["size"], stops=stops, **given
            )
        every = np.ones(len(a["column"]))
        policies = Policies(a["column"], a["enter"], 0.1 * every, every, a["band"], long_only=False)
        return run_policy(self.panel, self.arrays["scores"], policies, stops=stops, **given)

    def freeze(self) -> None:
        for array in (*self.arrays.values(), *(getattr(self.panel, name) for name in PRICES)):
            array.flags.writeable = False


DOORS = ["exposures", "policy", "policy with stops", "signals", "signals with stops"]
each_door = pytest.mark.parametrize("name", DOORS)


@pytest.fixture
def make_door(random_world):
    def make(name: str, bars: int = 150, instruments: int = 2, volatility: float = 0.05) -> Door:
        market = random_world(17, bars, instruments, volatility, 0.1 if bars > 1 else 0.0)
        prices = np.where(market.panel.listed, market.panel.close, 1.0)
        volume = np.where(market.panel.tradable, 1e5 / prices, np.nan)
        return Door(name, replace(market.panel, volume=volume), market.rng)

    return make


def assert_same(a, b, part: slice = slice(None)) -> None:
    """The same bits, `b` cut to the configurations of `a`."""
    for field in fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if field.name == "metrics":
            for name in left:
                np.testing.assert_array_equal(left[name], right[name][part], err_msg=name)
        elif field.name != "trades" and left is not None:
            np.testing.assert_array_equal(left, right[..., part], err_msg=field.name)
    if a.trades is not None and part == slice(None):
        for name, values in vars(a.trades).items():
            np.testing.assert_array_equal(values, getattr(b.trades, name), err_msg=name)


@each_door
@pytest.mark.parametrize("finer", [False, True])
@pytest.mark.parametrize("want_trades", [False, True])
def test_threads_and_tiles_change_nothing(make_door, name, finer, want_trades) -> None:
    door = make_door(name)
    given = terms(finer=finer) | {"want_trades": want_trades}
    whole = door.run(threads=1, **given)
    assert whole.fills.sum() > 500
    for threads in (2, 5):
        assert_same(door.run(threads=threads, **given), whole)
    # Every configuration keeps its bits whoever shares its tile, and wherever it stands in it.
    for part in (slice(0, 1), slice(3, 20), slice(15, 16), slice(16, WIDTH), slice(50, 53)):
        assert_same(door.run(part, threads=2, **given), whole, part)


@each_door
def test_frozen_arrays_are_read(make_door, name) -> None:
    door = make_door(name)
    before = door.run()
    door.freeze()
    assert_same(door.run(), before)


@each_door
@pytest.mark.parametrize("fill", ["next_open", "next_close", "same_close"])
def test_one_bar(make_door, name, fill) -> None:
    """Nothing fills after the last bar; a fill at the same close pays its costs and no more."""
    door = make_door(name, bars=1)
    result = door.run(**terms(fill))
    assert result.equity.shape == (1, WIDTH)
    assert np.isfinite(result.equity).all()
    traded = result.fills > 0
    assert traded.any() == (fill == "same_close")
    np.testing.assert_array_equal(result.equity[0, ~traded], 1e5)
    np.testing.assert_allclose(result.equity[0], 1e5 - result.costs, rtol=1e-12)
    assert np.isnan(result.metrics["sharpe"]).all()
    np.testing.assert_allclose(result.metrics["total_return"], -result.costs / 1e5, atol=1e-12)


@each_door
@pytest.mark.parametrize(("axis", "words"), [(0, "T=0, N=2"), (1, "T=150, N=0")])
def test_no_bars_and_no_instruments(make_door, name, axis, words) -> None:
    door = make_door(name)
    cut = (slice(0, 0), slice(None)) if axis == 0 else (slice(None), slice(0, 0))
    bars = {each: getattr(door.panel, each)[cut] for each in PRICES}
    if axis == 0:
        bars["timestamps"] = door.panel.timestamps[:0]
    else:
        bars["symbols"] = ()
    door.panel = replace(door.panel, **bars)
    with pytest.raises(BacktestError, match=f"at least one bar and one instrument, got {words}"):
        door.run()


SOURCE = {
    "exposures": "exposures",
    "policy": "scores",
    "policy with stops": "scores",
    "signals": "entries",
    "signals with stops": "exits",
}


@each_door
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda a: a.astype(np.float16), "float16"),
        (lambda a: a.astype(object), "object"),
        (lambda a: a[:-1].copy(), r"\(T, N\) = \(150, 2\), got shape \(149, 2"),
        (lambda a: a[:, :1].copy(), r"got shape \(150, 1"),
        (lambda a: a[:, :, :0].copy(), "at least one|shape of entries"),
        (lambda a: a.astype(int if a.dtype == bool else a.dtype.newbyteorder("S")), "must be"),
    ],
)
def test_wrong_decisions_are_named(make_door, name, damage, words) -> None:
    door = make_door(name)
    source = SOURCE[name]
    wrong = damage(door.arrays[source])
    door.arrays[source] = wrong
    with pytest.raises(BacktestError, match=words) as refusal:
        door.run()
    assert source in str(refusal.value)


@each_door
def test_the_interpreter_runs_on(make_door, name) -> None:
    """Another thread counts while this one is inside the engine."""
    door = make_door(name, bars=4000, instruments=1)
    for source in ("exposures", "scores", "entries", "exits"):
        door.arrays[source] = np.repeat(door.arrays[source], 20 if source != "scores" else 1, -1)
    for per_configuration in ("band", "column", "enter", "size", "loss", "trailing"):
        door.arrays[per_configuration] = np.tile(door.arrays[per_configuration], 20)
    count, done = 0, threading.Event()

    def tick() -> None:
        nonlocal count
        while not done.is_set():
            count += 1
            time.sleep(0.0001)

    counter = threading.Thread(target=tick)
    counter.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60.0)  # nobody is made to give the interpreter up
    try:
        before = count
        for _ in range(20):  # a busy machine may leave the counter out of one call
            door.run(threads=1, want_equity=False)
        during = count - before
    finally:
        sys.setswitchinterval(interval)
        done.set()
        counter.join()
    assert during >= 3


LEVELS = ["v2", "avx2", "avx512"]
DIGEST = """
import hashlib, json, sys
import numpy as np
from windtunnel.backtest.native import core
sys.path.insert(0, {here!r})
from conftest import _random_world
from test_robustness import DOORS, Door, terms
found = {{}}
for name in DOORS:
    for finer in (False, True):
        market = _random_world(3, 120, 3, 0.05, 0.1)
        panel = market.panel
        panel.volume[panel.tradable] = 1e5 / panel.close[panel.tradable]
        result = Door(name, panel, market.rng).run(want_trades=finer, **terms(finer=finer))
        arrays = {{k: v for k, v in vars(result).items() if isinstance(v, np.ndarray)}}
        arrays |= result.metrics | (vars(result.trades) if finer else {{}})
        for key in sorted(arrays):
            digest = hashlib.sha256(arrays[key].tobytes()).hexdigest()
            found[f"{{name}}, finer={{finer}}, {{key}}"] = digest
print(json.dumps([core.instruction_set(), found]))
"""


def test_every_level_in_a_process_of_its_own() -> None:
    widest = core.widest_instruction_set()
    if widest not in LEVELS:
        pytest.skip(f"one level on this processor: {widest}")
    answers = {}
    for level in LEVELS[: LEVELS.index(widest) + 1]:
        run = subprocess.run(
            [sys.executable, "-c", DIGEST.format(here=str(Path(__file__).parent))],
            env=os.environ | {"WINDTUNNEL_ISA": level},
            capture_output=True,
            text=True,
            check=True,
        )
        used, answers[level] = json.loads(run.stdout)
        assert used == level
    first, *others = answers.values()
    assert len(first) > 100
    for other in others:
        assert [key for key in first if first[key] != other[key]] == []
