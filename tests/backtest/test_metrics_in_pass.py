"""Metrics taken during the pass are those of the equity curve afterwards."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_signals
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.stops import Stops
from windtunnel.backtest.stream import Chunk, stream_exposures
from windtunnel.metrics.financial import financial_metrics

COSTS = Costs(fee=1e-4, half_spread=2e-4, borrow_apr=0.01, financing_apr=0.03)
TAILS = {"tail_ratio", "cvar_95"}


def terms(maintenance: float = 0.0, costs: Costs = COSTS) -> dict:
    return {
        "costs": costs,
        "execution": Execution(initial_cash=1e5, maintenance=maintenance),
        "periods_per_year": 252.0,
    }


def check(result) -> None:
    after = financial_metrics(result.equity, initial=1e5, periods_per_year=252.0)
    assert set(result.metrics) == set(after) - TAILS
    for name, values in result.metrics.items():
        # `atol`: a skewness or a Sharpe ratio near 0 is a difference of numbers of order 1.
        np.testing.assert_allclose(values, after[name], rtol=1e-9, atol=1e-10, err_msg=name)


@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(1, 70),
    volatility=st.sampled_from([0.001, 0.05, 0.5]),
    leverage=st.sampled_from([0.1, 1.0, 8.0]),
)
def test_exposures(random_world, seed, bars, volatility, leverage) -> None:
    market = random_world(seed, bars, 2, volatility, 0.1)
    exposures = leverage * market.rng.uniform(-1, 1, (bars, 2, 19))
    check(run_exposures(market.panel, exposures, band=0.05, want_metrics=True, **terms(0.1)))


@pytest.mark.parametrize("interest", [False, True])  # without it, flags go by blocks of bars
@pytest.mark.parametrize("maintenance", [0.0, 0.2])
@pytest.mark.parametrize("with_stops", [False, True])
@pytest.mark.parametrize("often", [0.0, 0.02, 0.5])
def test_signals(random_world, often, with_stops, maintenance, interest) -> None:
    market = random_world(3, 1000, 1, 0.02, 0.0)
    entries = market.rng.random((1000, 1, 40)) < often
    exits = market.rng.random((1000, 1, 40)) < often
    size = market.rng.choice([0.5, 1.0, -1.0, 5.0, -4.0], 40)  # some are ruined
    stops = None
    if with_stops:
        stops = Stops(loss=np.full(40, 0.03), trailing=market.rng.uniform(0.02, 0.1, 40))
    costs = COSTS if interest else replace(COSTS, borrow_apr=0.0, financing_apr=0.0)
    given_terms = {"size": size, "stops": stops, "want_metrics": True, **terms(maintenance, costs)}
    check(run_signals(market.panel, entries, exits, **given_terms))


def test_a_steady_curve_keeps_its_digits(make_panel) -> None:
    # Only interest moves this curve: its returns differ in their last digits alone.
    bars = 200
    panel = make_panel(np.full(bars, 10.0), np.full(bars, 10.0))
    check(run_exposures(panel, np.full((bars, 1, 1), 2.0), band=0.5, want_metrics=True, **terms()))


def test_pieces_are_measured_as_the_whole(random_world) -> None:
    market = random_world(4, 203, 2, 0.02, 0.1)
    exposures = market.rng.uniform(-1, 1, (203, 2, 21))
    whole = run_exposures(market.panel, exposures, band=0.0, want_metrics=True, **terms())
    panel = market.panel

    def chunks():
        edges = [0, 1, 17, 18, 100, 116, 203]
        for first, last in pairwise(edges):
            part = slice(first, last)
            piece = replace(
                panel,
                **{
                    name: getattr(panel, name)[part]
                    for name in ("timestamps", "open", "high", "low", "close", "volume", "tradable")
                },
            )
            yield Chunk(piece, exposures[part])

    *_, last = stream_exposures(chunks(), band=0.0, want_metrics=True, **terms())
    for name, values in whole.metrics.items():
        np.testing.assert_array_equal(values, last.metrics[name], err_msg=name)


def test_they_come_only_when_asked_for(make_panel) -> None:
    panel = make_panel([10, 11], [10, 11])
    assert run_exposures(panel, np.ones((2, 1, 1)), band=0.0, **terms()).metrics is None
