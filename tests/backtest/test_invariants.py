"""What must hold in any market."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.native import core
from windtunnel.backtest.policy import Policies
from windtunnel.errors import BacktestError

COSTS = Costs(0.001, 0.002, 0.05, 0.08)
FILLS = st.sampled_from(["next_open", "next_close", "same_close"])
SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=40, deadline=None)
ARRAYS = ("equity", "turnover", "costs", "financing", "fills", "dropped", "exposure", "liquidated")


def terms(fill: str, cash: float = 1000.0) -> dict:
    return {
        "costs": COSTS,
        "execution": Execution(fill, cash, 0.1),
        "periods_per_year": 252.0,
    }


def exposures_of(world, width: int = 5) -> np.ndarray:
    shape = (*world.panel.close.shape, width)
    values = world.rng.uniform(-2, 2, shape)
    values[world.rng.random(shape) < 0.2] = np.nan
    return values


def policies_of(rng: np.random.Generator, count: int, columns: int) -> Policies:
    return Policies(
        column=rng.integers(0, columns, count),
        enter=rng.uniform(0, 0.6, count),
        exit=rng.uniform(0, 0.6, count),
        leverage=rng.uniform(0.1, 2, count),
        band=rng.uniform(0, 0.1, count),
        long_only=False,
    )


def assert_same(one, other) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@QUICK
@given(seed=SEEDS, fill=FILLS)
def test_zero_exposure_keeps_the_cash(random_world, seed, fill) -> None:
    panel = random_world(seed, 30, 3, 0.3, 0.2).panel
    result = run_exposures(panel, np.zeros((30, 3, 2)), band=0.0, **terms(fill))
    assert (result.equity == 1000.0).all()
    assert not result.fills.any()
    assert not result.dropped.any()
    assert not result.financing.any()


@QUICK
@given(seed=SEEDS, fill=FILLS, cut=st.integers(1, 39))
def test_equity_does_not_see_later_bars(random_world, make_panel, seed, fill, cut) -> None:
    world = random_world(seed, 40, 2, 0.1, 0.1)
    panel, exposures = world.panel, exposures_of(world)
    whole = run_exposures(panel, exposures, band=0.05, **terms(fill))
    prefix = make_panel(panel.open[:cut], panel.close[:cut], panel.tradable[:cut])
    # The last decision of the prefix differs too: it fills later, or never, except same_close.
    head = exposures[:cut].copy()
    if fill != "same_close":
        head[-1] = 0.7
    part = run_exposures(prefix, head, band=0.05, **terms(fill))
    np.testing.assert_array_equal(part.equity, whole.equity[:cut])


@QUICK
@given(seed=SEEDS, fill=FILLS)
def test_doubled_cash_doubles_equity(random_world, seed, fill) -> None:
    world = random_world(seed, 30, 3, 0.2, 0.1)
    exposures = exposures_of(world)
    once = run_exposures(world.panel, exposures, band=0.05, **terms(fill, 1000.0))
    twice = run_exposures(world.panel, exposures, band=0.05, **terms(fill, 2000.0))
    np.testing.assert_array_equal(twice.equity, 2 * once.equity)
    np.testing.assert_array_equal(twice.costs, 2 * once.costs)
    np.testing.assert_array_equal(twice.turnover, once.turnover)


@QUICK
@given(seed=SEEDS, threads=st.sampled_from([1, 2, 5]))
def test_order_of_policies_and_threads_do_not_matter(random_world, seed, threads) -> None:
    world = random_world(seed, 25, 2, 0.1, 0.1)
    scores = world.rng.uniform(-1, 1, (25, 2, 6)).astype(np.float32)
    policies = policies_of(world.rng, 40, 6)
    order = world.rng.permutation(40)
    shuffled = Policies(
        column=policies.column[order],
        enter=policies.enter[order],
        exit=policies.exit[order],
        leverage=policies.leverage[order],
        band=policies.band[order],
        long_only=False,
    )
    one = run_policy(world.panel, scores, policies, threads=1, **terms("next_open"))
    other = run_policy(world.panel, scores, shuffled, threads=threads, **terms("next_open"))
    for name in ARRAYS:
        np.testing.assert_array_equal(
            getattr(one, name)[..., order], getattr(other, name), err_msg=name
        )


def test_order_of_exposure_columns_does_not_matter(random_world) -> None:
    world = random_world(1, 50, 2, 0.1, 0.1)
    exposures = exposures_of(world, 35)
    order = world.rng.permutation(35)
    one = run_exposures(world.panel, exposures, band=0.0, **terms("next_open"))
    other = run_exposures(
        world.panel, np.ascontiguousarray(exposures[:, :, order]), band=0.0, **terms("next_open")
    )
    np.testing.assert_array_equal(one.equity[:, order], other.equity)


def test_totals_alone_equal_totals_with_equity(random_world) -> None:
    world = random_world(2, 50, 2, 0.1, 0.1)
    exposures = exposures_of(world, 20)
    full = run_exposures(world.panel, exposures, band=0.0, **terms("next_open"))
    totals = run_exposures(
        world.panel, exposures, band=0.0, want_equity=False, **terms("next_open")
    )
    assert totals.equity.shape == (0, 20)
    np.testing.assert_array_equal(totals.final_equity, full.equity[-1])
    for name in ARRAYS[1:]:
        np.testing.assert_array_equal(getattr(totals, name), getattr(full, name))


def test_every_instruction_set_gives_the_same_bits(random_world, monkeypatch) -> None:
    world = random_world(3, 200, 3, 0.1, 0.1)
    scores = world.rng.uniform(-1, 1, (200, 3, 7)).astype(np.float32)
    policies = policies_of(world.rng, 40, 7)
    results = []
    levels = ["v2", "avx2", "avx512"]
    widest = core.widest_instruction_set()
    if widest not in levels:
        pytest.skip(f"one level on this processor: {widest}")
    for level in levels[: levels.index(widest) + 1]:
        monkeypatch.setenv("WINDTUNNEL_ISA", level)
        assert core.instruction_set() == level
        results.append(run_policy(world.panel, scores, policies, **terms("next_open")))
    for result in results[1:]:
        assert_same(results[0], result)


@pytest.mark.parametrize("fill", ["next_open", "next_close", "same_close"])
@pytest.mark.parametrize("holes", [0.0, 0.02])
def test_one_instrument_alone_gives_the_same_bits_at_every_level(
    random_world, at_every_level, holes, fill
) -> None:
    """One instrument goes by blocks of bars where there is no hole."""
    world = random_world(4, 300, 1, 0.1, holes)
    exposures = exposures_of(world, 40)
    scores = world.rng.uniform(-1, 1, (300, 1, 7)).astype(np.float32)
    policies = policies_of(world.rng, 40, 7)
    shared = terms(fill) | {"want_metrics": True}
    at_every_level(lambda: run_exposures(world.panel, exposures, band=0.02, **shared))
    at_every_level(lambda: run_policy(world.panel, scores, policies, **shared))


def test_an_unknown_instruction_set_is_refused(random_world, monkeypatch) -> None:
    monkeypatch.setenv("WINDTUNNEL_ISA", "mmx")
    with pytest.raises(ValueError, match=r"WINDTUNNEL_ISA: this processor runs .*, got 'mmx'"):
        core.instruction_set()
    with pytest.raises(BacktestError, match="WINDTUNNEL_ISA"):
        run_exposures(
            random_world(0, 2, 1, 0.1, 0.0).panel,
            np.zeros((2, 1, 1)),
            band=0.0,
            **terms("next_open"),
        )


def test_random_worlds_reach_every_rule(random_world) -> None:
    """The random tests mean nothing if their worlds never drop, finance or liquidate."""
    reached = dict.fromkeys(("fills", "dropped", "financing", "liquidated"), 0)
    for seed in range(20):
        world = random_world(seed, 24, 3, 0.3, 0.1)
        result = run_exposures(world.panel, exposures_of(world), band=0.02, **terms("next_open"))
        reached["fills"] += int(result.fills.sum())
        reached["dropped"] += int(result.dropped.sum())
        reached["financing"] += int((result.financing > 0).sum())
        reached["liquidated"] += int((result.liquidated >= 0).sum())
    assert min(reached.values()) > 20, reached


def test_the_interpreter_runs_while_the_engine_does(random_world) -> None:
    world = random_world(4, 8000, 1, 0.01, 0.0)
    exposures = world.rng.uniform(-1, 1, (8000, 1, 2000)).astype(np.float32)
    done = threading.Event()
    ticks = 0

    def sweep() -> None:
        run_exposures(
            world.panel, exposures, band=0.0, threads=1, want_equity=False, **terms("next_open")
        )
        done.set()

    worker = threading.Thread(target=sweep)
    worker.start()
    while not done.wait(0.0005):
        ticks += 1
    worker.join()
    assert ticks >= 3
