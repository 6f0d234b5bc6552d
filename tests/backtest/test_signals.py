"""Entry and exit flags: the engine against the specification, and worked out by hand."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_signals
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle import simulate_signals
from windtunnel.backtest.oracle_stops import StopRules
from windtunnel.backtest.stops import Stops
from windtunnel.errors import BacktestError

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE", "dev") != "dev"
FREE = Costs(fee=0.0, half_spread=0.0, borrow_apr=0.0, financing_apr=0.0)
TERMS = {"costs": FREE, "execution": Execution(initial_cash=100.0), "periods_per_year": 252.0}


def flags(*bars: int, of: int) -> np.ndarray:
    """(T, 1, 1) with the named bars set."""
    array = np.zeros((of, 1, 1), bool)
    array[list(bars)] = True
    return array


def test_an_entry_spends_everything_and_an_exit_gives_it_back(make_panel) -> None:
    panel = make_panel([10, 10, 20, 40], [10, 10, 20, 40])
    costs = replace(FREE, fee=0.25)
    result = run_signals(
        panel, flags(0, of=4), flags(2, of=4), **TERMS | {"costs": costs}, want_trades=True
    )
    # 100 buys 8 units at 10, and 20 is the fee; sold at 40 they bring 320 less a fee of 80.
    np.testing.assert_array_equal(result.equity[:, 0], [100, 80, 160, 240])
    np.testing.assert_array_equal(result.cash[:, 0], [100, 0, 0, 240])
    assert result.fills[0] == 2
    assert result.trades.units[0] == 8


def test_a_short_entry_sells(make_panel) -> None:
    panel = make_panel([10, 10, 5], [10, 10, 5])
    result = run_signals(panel, flags(0, of=3), flags(of=3), size=-0.5, **TERMS)
    np.testing.assert_array_equal(result.equity[:, 0], [100, 100, 125])


@pytest.mark.parametrize("entry", [0, 1])
def test_both_flags_are_no_word(make_panel, entry) -> None:
    panel = make_panel([10, 10, 20, 40], [10, 10, 20, 40])
    result = run_signals(panel, flags(0, entry, of=4), flags(1, of=4), **TERMS)
    assert result.fills[0] == (1 if entry == 1 else 2)


def test_a_position_is_not_rebalanced(make_panel) -> None:
    panel = make_panel([10, 10, 20, 40], [10, 10, 20, 40])
    result = run_signals(panel, flags(0, 1, 2, of=4), flags(of=4), size=0.5, **TERMS)
    assert result.fills[0] == 1
    assert result.equity[-1, 0] == 50 + 5 * 40


def test_an_entry_waits_for_trade_and_is_counted(make_panel) -> None:
    panel = make_panel([10] * 5, [10] * 5, [True, False, False, True, True])
    result = run_signals(panel, flags(0, of=5), flags(of=5), **TERMS, want_trades=True)
    assert result.dropped[0] == 2
    assert result.trades.bar.tolist() == [3]


@pytest.mark.parametrize("fill", ["next_open", "next_close", "same_close"])
def test_after_a_stop_only_a_new_entry_enters(make_panel, fill) -> None:
    close = [10, 10, 10, 5, 5, 5, 5, 5, 5]
    panel = make_panel(close, close)
    stops = Stops(loss=np.array([0.2]))
    terms = TERMS | {"execution": Execution(fill=fill, initial_cash=100.0)}
    result = run_signals(
        panel, flags(0, 6, of=9), flags(of=9), stops=stops, **terms, want_trades=True
    )
    words = result.trades.table(panel)
    assert words["effect"].to_list() == ["open", "close", "open"]
    assert words["reason"].to_list() == ["decision", "loss", "decision"]
    assert result.trades.bar[2] == (6 if fill == "same_close" else 7)


@pytest.mark.slow
@settings(
    max_examples=10_000 if THOROUGH else 200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**63 - 1))
def test_every_rule_equals_the_specification(
    random_world, at_every_level, assert_equals, seed
) -> None:
    draw = np.random.default_rng(seed)
    volatility = float(draw.choice([0.001, 0.05, 0.3, 1.5]))
    bars = int(draw.integers(1, 24))
    instruments, width = int(draw.choice([1, 1, 2])), int(draw.integers(1, 5))
    holes = float(draw.choice([0.0, 0.1, 0.5]))
    panel = random_world(int(draw.integers(2**32)), bars, instruments, volatility, holes).panel
    shape = panel.close.shape
    prices = np.where(panel.listed, panel.close, 1.0)
    panel = replace(
        panel,
        high=panel.high * np.exp(draw.exponential(volatility, shape)),
        low=panel.low * np.exp(-draw.exponential(volatility, shape)),
        volume=np.where(panel.tradable, 1e5 / prices * 10.0 ** draw.uniform(-2, 2, shape), np.nan),
    )
    often = float(draw.choice([0.05, 0.3, 0.7]))
    entries = draw.random((*shape, width)) < often
    exits = draw.random((*shape, width)) < often
    size = draw.choice([0.3, 1.0, 4.0, -0.5, -1.0], width)
    sizes = volatility * np.array([0.5, 1.0, 3.0, np.inf])
    stops = None
    if draw.integers(2):
        stops = Stops(
            loss=draw.choice(sizes, width),
            profit=draw.choice(sizes, width),
            trailing=draw.choice(sizes, width),
            bars=draw.choice([1.0, 3.0, np.inf], width),
        )
    fine = bool(draw.integers(2))  # the finer rules have a loop of their own
    terms = {
        "costs": Costs(
            fee=float(draw.choice([0.0, 1e-3, 0.05])),
            half_spread=float(draw.choice([0.0, 2e-4])),
            borrow_apr=float(draw.choice([0.0, 2.0])),
            financing_apr=float(draw.choice([0.0, 5.0])),
            minimum_fee=1.0 if fine and draw.integers(2) else 0.0,
            impact=float(draw.choice([0.0, 0.01])) if fine else 0.0,
        ),
        "execution": Execution(
            fill=str(draw.choice(["next_open", "next_close", "same_close"])),
            initial_cash=float(draw.choice([1.0, 1e5])),
            maintenance=float(draw.choice([0.0, 0.2])),
            participation=float(draw.choice([0.01, 0.5])) if fine and draw.integers(2) else None,
            lot_size=float(draw.choice([0.0, 1e-6, 1.0])) if fine else 0.0,
        ),
        "periods_per_year": 12.0,
        "half_spread": draw.uniform(0, 0.01, shape) if fine and draw.integers(2) else None,
    }
    result = at_every_level(
        lambda: run_signals(panel, entries, exits, size=size, stops=stops, threads=1, **terms)
    )
    for c in range(width):
        rules = None
        if stops is not None:
            rules = StopRules(**{name: float(value[c]) for name, value in vars(stops).items()})
        ledger = simulate_signals(
            panel, entries[:, :, c], exits[:, :, c], size=float(size[c]), stops=rules, **terms
        )
        assert_equals(result, c, ledger)


@pytest.mark.parametrize("fill", ["next_open", "next_close", "same_close"])
@pytest.mark.parametrize("instruments", [1, 2])
def test_stops_without_any_are_no_stops(random_world, instruments, fill) -> None:
    market = random_world(8, 200, instruments, 0.02, 0.0)
    entries = market.rng.random((200, instruments, 70)) < 0.1
    exits = market.rng.random((200, instruments, 70)) < 0.1
    terms = TERMS | {"execution": Execution(fill=fill, initial_cash=100.0)}
    without, none = (
        run_signals(market.panel, entries, exits, stops=stops, want_metrics=True, **terms)
        for stops in (None, Stops())
    )
    np.testing.assert_array_equal(none.equity, without.equity)
    np.testing.assert_array_equal(none.fills, without.fills)


@pytest.mark.parametrize("width", [1, 8, 9, 16, 33])
def test_packed_flags_are_the_same(random_world, width) -> None:
    market = random_world(5, 200, 2, 0.02, 0.1)
    entries = market.rng.random((200, 2, width)) < 0.1
    exits = market.rng.random((200, 2, width)) < 0.1
    plain = run_signals(market.panel, entries, exits, **TERMS)
    packed = run_signals(
        market.panel,
        np.packbits(entries, axis=2, bitorder="little"),
        np.packbits(exits, axis=2, bitorder="little"),
        configurations=width,
        **TERMS,
    )
    np.testing.assert_array_equal(plain.equity, packed.equity)


def test_threads_change_nothing(random_world) -> None:
    market = random_world(6, 300, 1, 0.02, 0.1)
    entries = market.rng.random((300, 1, 150)) < 0.05
    exits = market.rng.random((300, 1, 150)) < 0.05
    stops = Stops(loss=np.full(150, 0.03), trailing=market.rng.uniform(0.01, 0.1, 150))
    one, two, five = (
        run_signals(
            market.panel, entries, exits, stops=stops, threads=threads, want_metrics=True, **TERMS
        )
        for threads in (1, 2, 5)
    )
    for other in (two, five):
        np.testing.assert_array_equal(one.equity, other.equity)
        for name, values in one.metrics.items():
            np.testing.assert_array_equal(values, other.metrics[name], err_msg=name)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"entries": np.zeros((4, 1, 2), np.int64)}, "entries: must be bool or uint8, got int64"),
        ({"exits": np.zeros((4, 1, 3), bool)}, r"exits: must have the dtype and shape of entries"),
        ({"entries": np.zeros((3, 1, 2), bool)}, r"entries: first axes must be bars"),
        ({"entries": np.zeros((4, 1, 0), bool)}, "entries: last axis must hold at least one"),
        ({"entries": np.zeros((4, 2, 2), bool)[:, ::2]}, "entries: must be C-contiguous"),
        ({"size": 0.0}, r"size\[0\]: must be finite, not 0 and within"),
        ({"size": np.array([1.0, np.nan])}, r"size\[1\]: must be finite, not 0 and within"),
        ({"size": np.ones(3)}, r"size: must be one number or one per configuration \(C=2\), got 3"),
        ({"configurations": 7}, "configurations: must be the last axis of the flags, 2, got 7"),
        ({"stops": Stops(loss=np.ones(1))}, r"stops.loss: must have one entry a policy \(2\)"),
        ({"threads": 0}, "threads: must be at least 1, got 0"),
    ],
)
def test_bad_input_is_named(make_panel, wrong, says) -> None:
    panel = make_panel([10] * 4, [10] * 4)
    good = {"entries": np.zeros((4, 1, 2), bool), "exits": np.zeros((4, 1, 2), bool)}
    with pytest.raises(BacktestError, match=says):
        run_signals(panel, **TERMS | good | wrong)


def test_packed_flags_need_their_number(make_panel) -> None:
    panel = make_panel([10] * 4, [10] * 4)
    packed = np.zeros((4, 1, 2), np.uint8)
    with pytest.raises(BacktestError, match="configurations: must be given with packed flags"):
        run_signals(panel, packed, packed, **TERMS)
    with pytest.raises(BacktestError, match="3 packed configurations take 1 bytes a row, got 2"):
        run_signals(panel, packed, packed, configurations=3, **TERMS)
