"""The arithmetic of returns: by hand, against its specification, and beside the exact engine."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle_returns import simulate_returns
from windtunnel.errors import BacktestError
from windtunnel.metrics.financial import financial_metrics

if TYPE_CHECKING:
    from windtunnel.backtest.oracle_account import Ledger
    from windtunnel.backtest.result import BacktestResult

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE", "dev") != "dev"
FREE = Costs(fee=0.0, half_spread=0.0, borrow_apr=0.0, financing_apr=0.0)
CLOSES = Execution("next_close", 100.0)


def assert_is(result: BacktestResult, c: int, ledger: Ledger) -> None:
    scale = float(np.abs(ledger.equity).max())
    np.testing.assert_allclose(result.equity[:, c], ledger.equity, rtol=1e-9, atol=1e-9 * scale)
    for name in ("turnover", "costs", "financing", "exposure"):
        np.testing.assert_allclose(
            getattr(result, name)[c], getattr(ledger, name), rtol=1e-9, atol=1e-9, err_msg=name
        )
    for name in ("fills", "dropped", "liquidated"):
        assert getattr(result, name)[c] == getattr(ledger, name), name


def test_exposure_times_return_minus_cost_times_turnover(make_panel) -> None:
    panel = make_panel([10, 10, 20, 10], [10, 10, 20, 10])
    targets = np.array([0.5, 0.5, -1.0, 0.0]).reshape(4, 1, 1)
    costs = Costs(fee=0.1, half_spread=0.0, borrow_apr=0.0, financing_apr=0.0)
    result = run_exposures(
        panel,
        targets,
        band=0.0,
        costs=costs,
        execution=CLOSES,
        periods_per_year=1.0,
        by_returns=True,
    )
    # 0.5 is bought at bar 1 for 5 %, earns half of 100 %, and is turned round to -1 at bar 3.
    np.testing.assert_allclose(
        result.equity[:, 0], [100, 95, 95 * 1.5, 95 * 1.5 * (1 - 0.25 - 0.15)], rtol=1e-15
    )
    assert result.turnover[0] == 2.0
    assert result.fills[0] == 2


@settings(max_examples=2_000 if THOROUGH else 100, deadline=None)
@given(seed=st.integers(0, 2**63 - 1))
def test_it_equals_the_specification(random_world, at_every_level, seed) -> None:
    draw = np.random.default_rng(seed)
    bars, instruments, width = (int(draw.integers(1, top)) for top in (40, 4, 20))
    volatility = float(draw.choice([0.001, 0.05, 0.5]))
    market = random_world(
        int(draw.integers(2**32)), bars, instruments, volatility, float(draw.choice([0.0, 0.3]))
    )
    targets = draw.choice([-2.0, -0.5, 0.0, 0.4, 1.0, 3.0, np.nan], (bars, instruments, width))
    band = draw.choice([0.0, 0.2], width)
    terms = {
        "costs": Costs(
            fee=float(draw.choice([0.0, 1e-3])),
            half_spread=float(draw.choice([0.0, 1e-2])),
            borrow_apr=float(draw.choice([0.0, 0.5])),
            financing_apr=float(draw.choice([0.0, 0.5])),
        ),
        "execution": Execution(str(draw.choice(["next_close", "same_close"])), 1e5),
        "periods_per_year": 52.0,
    }
    result = at_every_level(
        lambda: run_exposures(market.panel, targets, band=band, by_returns=True, **terms)
    )
    for c in range(width):
        ledger = simulate_returns(market.panel, targets[:, :, c], band=float(band[c]), **terms)
        assert_is(result, c, ledger)


@settings(max_examples=500 if THOROUGH else 40, deadline=None)
@given(seed=st.integers(0, 2**63 - 1))
def test_whole_blocks_equal_the_specification(random_world, at_every_level, seed) -> None:
    """Full tiles without bands, holes and interest, which go by blocks; some are ruined."""
    draw = np.random.default_rng(seed)
    bars, width = int(draw.integers(100, 300)), int(draw.choice([16, 17, 32]))
    volatility = float(draw.choice([0.001, 0.02, 0.3]))
    market = random_world(int(draw.integers(2**32)), bars, 1, volatility, 0.0)
    words = [[0.0, 0.5, 1.0, 1.0], [-2.0, 0.4, 3.0, np.nan]][int(draw.integers(2))]
    targets = draw.choice(words, (bars, 1, width)).astype(draw.choice([np.float32, np.float64]))
    terms = {
        "costs": replace(FREE, fee=float(draw.choice([0.0, 1e-3]))),
        "execution": Execution(str(draw.choice(["next_close", "same_close"])), 1e5),
        "periods_per_year": 52.0,
    }
    with_metrics = bool(draw.integers(4))
    result = at_every_level(
        lambda: run_exposures(
            market.panel, targets, band=0.0, by_returns=True, want_metrics=with_metrics, **terms
        )
    )
    for c in draw.choice(width, 3, replace=False):
        ledger = simulate_returns(market.panel, targets[:, :, c], band=0.0, **terms)
        assert_is(result, int(c), ledger)
    if with_metrics:
        after = financial_metrics(result.equity, initial=1e5, periods_per_year=52.0)
        for name, values in result.metrics.items():
            np.testing.assert_allclose(values, after[name], rtol=1e-9, atol=1e-10, err_msg=name)


def test_without_drift_it_is_the_engine(make_panel) -> None:
    # All of the equity in one instrument, held: nothing drifts, and nothing has to be undone.
    close = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.02, 300)))
    panel = make_panel(close, close)
    targets = np.ones((300, 1, 1), np.float32)
    terms = {"costs": FREE, "execution": CLOSES, "periods_per_year": 252.0}
    exact = run_exposures(panel, targets, band=0.01, want_metrics=True, **terms)
    quick = run_exposures(panel, targets, band=0.01, want_metrics=True, by_returns=True, **terms)
    np.testing.assert_allclose(quick.equity, exact.equity, rtol=1e-12)
    for name, values in exact.metrics.items():
        np.testing.assert_allclose(quick.metrics[name], values, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"execution": Execution()}, "by_returns: does without orders that fill at the open"),
        ({"execution": Execution("next_close", 1.0, 0.1)}, "does without a maintenance level"),
        ({"want_trades": True}, "by_returns: does without a trade log"),
        ({"execution": Execution("next_close", lot_size=1.0)}, "does without fees a unit"),
    ],
)
def test_what_it_does_without_is_refused(make_panel, wrong, says) -> None:
    terms = {"costs": FREE, "execution": CLOSES, "periods_per_year": 252.0}
    with pytest.raises(BacktestError, match=says):
        run_exposures(
            make_panel([10, 11], [10, 11]),
            np.ones((2, 1, 1)),
            band=0.0,
            by_returns=True,
            **terms | wrong,
        )
