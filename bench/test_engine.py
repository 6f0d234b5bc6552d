"""Engine bar-configurations a second against a NumPy loop and a Numba loop with the same rules.

The NumPy loop walks through time with all configurations in its arrays, the Numba loop through
configurations with its state in registers; Numba reads a copy in its own favourite layout,
(C, T, N), whose making is not timed. All find the same equity before anything is timed, and
their rounds are interleaved, so that a slow moment of the machine falls on all.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass

import numba
import numpy as np
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.policy import Policies
from windtunnel.data.panel import Panel

COSTS = Costs(fee=1e-4, half_spread=2e-4, borrow_apr=0.01, financing_apr=0.03)
EXECUTION = Execution("next_open", 100_000.0, 0.1)
YEAR = 252.0
BAND = 0.02
ROUNDS = 5


@dataclass(frozen=True)
class Work:
    """Bars, instruments and configurations."""

    bars: int
    instruments: int
    configurations: int


WORKS = {
    "one instrument": Work(5_000, 1, 1_000),
    "five instruments": Work(3_000, 5, 256),
}


def make_panel(work: Work) -> Panel:
    rng = np.random.default_rng(11)
    shape = (work.bars, work.instruments)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, shape), axis=0))
    open_ = close * np.exp(rng.normal(0, 0.002, shape))
    return Panel(
        timestamps=np.arange(work.bars).astype("datetime64[D]").astype("datetime64[us]"),
        symbols=tuple(f"S{n}" for n in range(work.instruments)),
        open=open_,
        high=np.maximum(open_, close),
        low=np.minimum(open_, close),
        close=close,
        volume=np.ones(shape),
        tradable=rng.random(shape) < 0.98,
        fingerprint="0" * 64,
    )


def make_exposures(work: Work) -> np.ndarray:
    rng = np.random.default_rng(12)
    shape = (work.bars, work.instruments, work.configurations)
    wanted = rng.uniform(-1, 1, shape) / work.instruments
    return wanted.astype(np.float32)


def numpy_loop(panel: Panel, exposures: np.ndarray) -> np.ndarray:
    """The rules on a panel without missing bars; equity (T, C)."""
    bars, instruments, configurations = exposures.shape
    rate, borrow, interest = COSTS.trading_rate, COSTS.borrow_apr / YEAR, COSTS.financing_apr / YEAR
    cash = np.full(configurations, EXECUTION.initial_cash)
    units = np.zeros((instruments, configurations))
    short = np.zeros(configurations)
    alive = np.ones(configurations, bool)
    equity = np.empty((bars, configurations))
    for t in range(bars):
        if t > 0:
            debt = np.where(alive, np.maximum(-cash, 0), 0)
            cash -= debt * interest + short * borrow
            price = panel.open[t]
            capital = np.where(alive, cash + price @ units, 0)
            for n in range(instruments):
                if not panel.tradable[t, n]:
                    continue
                target = exposures[t - 1, n].astype(np.float64)
                away = np.abs(target * capital - units[n] * price[n]) > BAND * capital
                order = (capital > 0) & (away | ((target == 0) & (units[n] != 0)))
                change = np.where(order, target * capital / price[n] - units[n], 0)
                cash -= change * price[n] + np.abs(change) * price[n] * rate
                units[n] += change
        value = units * panel.close[t][:, None]
        worth = cash + value.sum(axis=0)
        gross = np.abs(value).sum(axis=0)
        short = -np.minimum(value, 0).sum(axis=0)
        broke = alive & ((worth <= EXECUTION.maintenance * gross) | (worth <= 0))
        if broke.any():
            worth = np.where(broke, worth - gross * rate, worth)
            cash = np.where(broke, worth, cash)
            units[:, broke] = 0
            short[broke] = 0
            alive &= ~broke
        equity[t] = worth
    return equity


def _numba_loop(
    open_, close, tradable, exposures, cash_0, rate, borrow, interest, maintenance, band, equity
):
    configurations, bars, instruments = exposures.shape
    for c in numba.prange(configurations):
        cash, short, alive = cash_0, 0.0, True
        units = np.zeros(instruments)
        for t in range(bars):
            if t > 0 and alive:
                cash -= max(-cash, 0.0) * interest + short * borrow
                capital = cash
                for n in range(instruments):
                    capital += units[n] * open_[t, n]
                if capital > 0:
                    for n in range(instruments):
                        if not tradable[t, n]:
                            continue
                        price = open_[t, n]
                        target = np.float64(exposures[c, t - 1, n])
                        away = abs(target * capital - units[n] * price) > band * capital
                        if away or (target == 0 and units[n] != 0):
                            change = target * capital / price - units[n]
                            cash -= change * price + abs(change) * price * rate
                            units[n] += change
            worth, gross, short = cash, 0.0, 0.0
            for n in range(instruments):
                value = units[n] * close[t, n]
                worth += value
                gross += abs(value)
                short += max(-value, 0.0)
            if alive and (worth <= maintenance * gross or worth <= 0):
                worth -= gross * rate
                cash, short, alive = worth, 0.0, False
                units[:] = 0.0
            equity[t, c] = worth


NUMBA = {
    1: numba.njit(cache=False)(_numba_loop),
    2: numba.njit(cache=False, parallel=True)(_numba_loop),
}


def numba_loop(panel: Panel, lanes: np.ndarray, threads: int) -> np.ndarray:
    equity = np.empty((panel.bars, lanes.shape[0]))
    NUMBA[min(threads, 2)](
        panel.open,
        panel.close,
        panel.tradable,
        lanes,
        EXECUTION.initial_cash,
        COSTS.trading_rate,
        COSTS.borrow_apr / YEAR,
        COSTS.financing_apr / YEAR,
        EXECUTION.maintenance,
        BAND,
        equity,
    )
    return equity


def interleaved(calls: dict, rounds: int) -> dict[str, float]:
    """Median seconds of each call, their rounds taken in turn."""
    seconds = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", WORKS)
def test_exposures(benchmark, name, threads) -> None:
    if threads > (os.cpu_count() or 1):
        pytest.skip("fewer processors than threads")
    work = WORKS[name]
    panel, exposures = make_panel(work), make_exposures(work)
    lanes = np.ascontiguousarray(exposures.transpose(2, 0, 1))
    terms = {"costs": COSTS, "execution": EXECUTION, "periods_per_year": YEAR}

    def engine() -> np.ndarray:
        return run_exposures(panel, exposures, band=BAND, threads=threads, **terms).equity

    calls = {"engine": engine, "numba": lambda: numba_loop(panel, lanes, threads)}
    answer = engine()
    np.testing.assert_allclose(calls["numba"](), answer, rtol=1e-9)
    if threads == 1:
        calls["numpy"] = lambda: numpy_loop(panel, exposures)
        np.testing.assert_allclose(calls["numpy"](), answer, rtol=1e-9)
    seconds = interleaved(calls, ROUNDS)
    count = work.bars * work.configurations
    for peer, took in seconds.items():
        benchmark.extra_info[f"{peer}_million_bar_configurations_a_second"] = count / took / 1e6
        if peer != "engine":
            benchmark.extra_info[f"times_{peer}"] = took / seconds["engine"]
    print(
        f"\n{name}, {threads} thread(s), {work}: "
        + ", ".join(f"{peer} {count / took / 1e6:,.1f} M/s" for peer, took in seconds.items())
        + "; "
        + ", ".join(
            f"{took / seconds['engine']:.1f}x {peer}"
            for peer, took in seconds.items()
            if peer != "engine"
        )
    )
    benchmark.pedantic(engine, rounds=ROUNDS)


def test_policies_that_share_scores(benchmark) -> None:
    """100 policies on each of 100 score columns, totals alone, against a column a policy."""
    work = Work(1_000, 1, 10_000)
    panel = make_panel(work)
    scores = make_exposures(Work(work.bars, 1, 100))
    policies = Policies(
        column=np.repeat(np.arange(100), 100),
        enter=np.tile(np.linspace(0.05, 0.9, 100), 100),
        exit=np.full(10_000, 0.05),
        leverage=np.ones(10_000),
        band=np.full(10_000, BAND),
        long_only=False,
    )
    apart = np.ascontiguousarray(scores[:, :, policies.column])
    alone = Policies(
        column=np.arange(10_000),
        enter=policies.enter,
        exit=policies.exit,
        leverage=policies.leverage,
        band=policies.band,
        long_only=False,
    )
    terms = {"costs": COSTS, "execution": EXECUTION, "periods_per_year": YEAR}
    terms |= {"want_equity": False}
    shared = run_policy(panel, scores, policies, **terms)
    np.testing.assert_array_equal(
        shared.final_equity, run_policy(panel, apart, alone, **terms).final_equity
    )
    seconds = interleaved(
        {
            "shared": lambda: run_policy(panel, scores, policies, **terms),
            "apart": lambda: run_policy(panel, apart, alone, **terms),
        },
        ROUNDS,
    )
    rate = work.bars * work.configurations / seconds["shared"] / 1e6
    benchmark.extra_info["million_bar_configurations_a_second"] = rate
    benchmark.extra_info["times_columns_apart"] = seconds["apart"] / seconds["shared"]
    print(
        f"\npolicies that share scores: {rate:,.0f} M/s, "
        f"{seconds['apart'] / seconds['shared']:.2f}x columns apart"
    )
    benchmark.pedantic(lambda: run_policy(panel, scores, policies, **terms), rounds=ROUNDS)
