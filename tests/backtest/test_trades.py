"""The trade log, and the ledger that can be rebuilt from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle import simulate_policy
from windtunnel.backtest.oracle_stops import StopRules
from windtunnel.backtest.policy import Policies
from windtunnel.backtest.stops import Stops
from windtunnel.backtest.trades import REASONS

NAN = float("nan")
COSTS = Costs(1e-3, 2e-4, 0.5, 0.5, 0.001, 1.0, 0.01)


def test_hand_worked(make_panel) -> None:
    # Long 50 at 10, to 100 short at 10, half of it back at 10, everything at 10.
    panel = make_panel([10.0] * 6, [10.0] * 6)
    exposures = np.array([0.5, -1.0, -0.5, 0.0, NAN, NAN])[:, None, None].copy()
    terms = {
        "band": 0.0,
        "costs": Costs(0.0, 0.0, 0.0, 0.0),
        "execution": Execution("next_open", 1000.0),
        "periods_per_year": 1.0,
    }
    result = run_exposures(panel, exposures, want_trades=True, **terms)
    table = result.trades.table(panel)
    assert table["effect"].to_list() == ["open", "turn", "reduce", "close"]
    assert table["change"].to_list() == [50.0, -150.0, 50.0, 50.0]
    assert table["units"].to_list() == [50.0, -100.0, -50.0, 0.0]
    assert table["reason"].to_list() == ["decision"] * 4
    assert table["symbol"].to_list() == ["S0"] * 4
    assert table["timestamp"].dtype == pl.Datetime("us")
    assert result.cash[:, 0].tolist() == [1000, 500, 2000, 1500, 1000, 1000]
    assert run_exposures(panel, exposures, **terms).trades is None


def test_the_log_of_plain_terms_changes_nothing(random_world) -> None:
    market = random_world(7, 300, 3, 0.05, 0.1)
    exposures = market.rng.uniform(-1, 1, (300, 3, 20))
    terms = {
        "band": 0.02,
        "costs": Costs(1e-3, 2e-4, 0.5, 0.5),
        "execution": Execution("next_open", 1000.0),
        "periods_per_year": 12.0,
    }
    plain = run_exposures(market.panel, exposures, **terms)
    logged = run_exposures(market.panel, exposures, want_trades=True, **terms)
    np.testing.assert_array_equal(plain.equity, logged.equity)
    np.testing.assert_array_equal(
        np.bincount(logged.trades.configuration, minlength=20), logged.fills
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(1, 40),
    instruments=st.integers(1, 3),
    volatility=st.sampled_from([0.001, 0.05, 0.3, 1.5]),
    holes=st.sampled_from([0.0, 0.1, 0.5]),
    fill=st.sampled_from(["next_open", "next_close", "same_close"]),
    participation=st.sampled_from([None, 0.2]),
    lot_size=st.sampled_from([0.0, 1e-3]),
    with_stops=st.booleans(),
)
def test_cash_and_positions_are_the_equity_at_every_bar(
    random_world,
    seed,
    bars,
    instruments,
    volatility,
    holes,
    fill,
    participation,
    lot_size,
    with_stops,
) -> None:
    market = random_world(seed, bars, instruments, volatility, holes)
    panel, rng = market.panel, market.rng
    prices = np.where(panel.listed, panel.close, 1.0)
    panel = replace(
        panel,
        high=panel.high * np.exp(rng.exponential(volatility, prices.shape)),
        low=panel.low * np.exp(-rng.exponential(volatility, prices.shape)),
        volume=np.where(panel.tradable, 1e5 / prices * rng.uniform(0.1, 10, prices.shape), NAN),
    )
    width = 17
    scores = rng.choice([-1.0, -0.25, 0.0, 0.5, 1.0, np.nan], (bars, instruments, 2))
    scores = scores.astype(np.float32)
    policies = Policies(
        column=rng.integers(0, 2, width),
        enter=rng.choice([0.0, 0.25], width),
        exit=rng.choice([0.0, 0.1], width),
        leverage=rng.choice([0.3, 1.0, 4.0], width),
        band=rng.choice([0.0, 0.02], width),
        long_only=False,
    )
    sizes = volatility * np.array([0.5, 1.0, 3.0, np.inf])
    stops = Stops(
        loss=rng.choice(sizes, width),
        profit=rng.choice(sizes, width),
        trailing=rng.choice(sizes, width),
        bars=rng.choice([2.0, np.inf], width),
    )
    terms = {
        "costs": COSTS,
        "execution": Execution(fill, 1e5, 0.1, participation, lot_size),
        "periods_per_year": 12.0,
    }
    result = run_policy(
        panel,
        scores,
        policies,
        stops=stops if with_stops else None,
        want_trades=True,
        threads=2,
        **terms,
    )
    log = result.trades
    marks = pl.DataFrame(np.where(panel.listed, panel.close, np.nan)).fill_nan(None)
    marks = marks.fill_null(strategy="forward").fill_null(1.0).to_numpy()
    for c in range(width):
        mine = log.configuration == c
        units = np.zeros((bars, instruments))
        paid = np.zeros(bars)
        for t, n, change, after, price, cost in zip(
            log.bar[mine],
            log.instrument[mine],
            log.change[mine],
            log.units[mine],
            log.price[mine],
            log.cost[mine],
            strict=True,
        ):
            before = units[t, n]
            units[t:, n] = after
            assert after - before == pytest.approx(change, rel=1e-9, abs=1e-9 * abs(before))
            paid[t] += change * price + cost
        positions = (units * marks).sum(axis=1)
        gross = np.abs(units * marks).sum(axis=1) + np.abs(result.cash[:, c])
        difference = np.abs(result.cash[:, c] + positions - result.equity[:, c])
        assert (difference <= 1e-9 * gross + 1e-300).all()
        # What cash lost besides fills is the financing, which is never negative.
        charges = -np.diff(result.cash[:, c], prepend=1e5) - paid
        # Sums of the fills of a bar may cancel: the scale is what passed through the cash.
        scale = gross.max() + np.abs(paid).max()
        assert (charges >= -1e-9 * scale).all()
        assert charges.sum() == pytest.approx(
            result.financing[c], rel=1e-9, abs=1e-9 * scale * bars
        )
        assert log.cost[mine].sum() == pytest.approx(result.costs[c], rel=1e-9)
        ledger = simulate_policy(
            panel,
            scores[:, :, policies.column[c]],
            enter=float(policies.enter[c]),
            exit=float(policies.exit[c]),
            leverage=float(policies.leverage[c]),
            band=float(policies.band[c]),
            long_only=False,
            stops=StopRules(**{k: float(v[c]) for k, v in vars(stops).items()})
            if with_stops
            else None,
            **terms,
        )
        assert [REASONS[code] for code in log.reason[mine]] == [t.reason for t in ledger.trades]
        for name in ("bar", "instrument"):
            assert getattr(log, name)[mine].tolist() == [getattr(t, name) for t in ledger.trades]
        for name in ("change", "units", "price", "cost"):
            expected = [getattr(t, name) for t in ledger.trades]
            largest = max((abs(value) for value in expected), default=0.0)
            np.testing.assert_allclose(
                getattr(log, name)[mine], expected, rtol=1e-9, atol=1e-12 * largest, err_msg=name
            )
        np.testing.assert_allclose(result.cash[:, c], ledger.cash, rtol=1e-9, atol=1e-9 * scale)
