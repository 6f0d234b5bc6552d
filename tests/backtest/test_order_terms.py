"""What orders cost and how far they fill beyond the plain rate: by hand, and on random worlds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle import Ledger, simulate_exposures
from windtunnel.errors import BacktestError

NAN = float("nan")
FREE = Costs(0.0, 0.0, 0.0, 0.0)
PLAIN = Execution("next_open", 1000.0, 0.0)

# Prices 10, then 20 from bar 2; volume 400 a bar. Equity is 1000.
CASES = {
    # 50 units worth 500: 5 of fee and 50 x 0.02 = 1 a unit.
    "fee a unit": (
        [0.5, NAN, NAN, NAN],
        replace(FREE, fee=0.01, fee_per_unit=0.02),
        PLAIN,
        {"costs": 6.0, "final_equity": 1494.0, "capped": 0},
    ),
    # The fee of 5 is below the minimum of 8; the half-spread of 1 % comes on top.
    "minimum fee": (
        [0.5, NAN, NAN, NAN],
        replace(FREE, fee=0.01, half_spread=0.01, minimum_fee=8.0),
        PLAIN,
        {"costs": 13.0, "final_equity": 1487.0},
    ),
    # No order, no minimum fee.
    "no order costs nothing": (
        [0.0, NAN, 0.0, NAN],
        replace(FREE, minimum_fee=8.0),
        PLAIN,
        {"costs": 0.0, "fills": 0},
    ),
    # 100 units of 400 are a quarter of the volume: half of 10 % of 1000.
    "impact": (
        [1.0, NAN, NAN, NAN],
        replace(FREE, impact=0.1),
        PLAIN,
        {"costs": 50.0, "final_equity": 1950.0},
    ),
    # 10 % of 400 are 40 units of the 100 wanted, and nothing remembers the other 60.
    "participation cap": (
        [1.0, NAN, NAN, NAN],
        FREE,
        Execution("next_open", 1000.0, 0.0, participation=0.1),
        {"capped": 1, "fills": 1, "turnover": 0.4, "final_equity": 1400.0},
    ),
    # 50 units short become lots of 15: 45.
    "lots": (
        [-0.5, NAN, NAN, NAN],
        FREE,
        Execution("next_open", 1000.0, 0.0, lot_size=15.0),
        {"fills": 1, "capped": 0, "final_equity": 550.0},
    ),
    # Lots of 200 units are beyond the capital: neither an order nor a fee.
    "a lot too large": (
        [1.0, 1.0, NAN, NAN],
        replace(FREE, minimum_fee=1.0),
        Execution("next_open", 1000.0, 0.0, lot_size=200.0),
        {"fills": 0, "costs": 0.0, "final_equity": 1000.0},
    ),
    # The cap of 40 units is 2 lots of 15.
    "the cap holds whole lots": (
        [1.0, NAN, NAN, NAN],
        FREE,
        Execution("next_open", 1000.0, 0.0, participation=0.1, lot_size=15.0),
        {"capped": 1, "fills": 1, "final_equity": 1300.0},
    ),
    # The cap of 40 units is not one lot of 50: the order is cut to nothing.
    "the cap holds no lot": (
        [1.0, NAN, NAN, NAN],
        FREE,
        Execution("next_open", 1000.0, 0.0, participation=0.1, lot_size=50.0),
        {"capped": 1, "fills": 0, "final_equity": 1000.0},
    ),
    # Short 200 units at 10 and marked at 20: 3000 - 4000. Closing them costs the minimum fee,
    # and 10 % of the value times the root of half the volume, though the cap is a tenth.
    "liquidation pays like an order": (
        [-2.0, NAN, NAN, NAN],
        replace(FREE, minimum_fee=1.0, impact=0.1),
        PLAIN,
        {"costs": 2.0 + (2000 + 4000) * 0.1 * 0.5**0.5, "fills": 2, "liquidated": 2},
    ),
}


def both(panel, exposures, costs, execution, half_spread=None) -> tuple[Ledger, dict]:
    terms = {"band": 0.0, "costs": costs, "execution": execution, "periods_per_year": 1.0}
    ledger = simulate_exposures(panel, exposures, half_spread=half_spread, **terms)
    result = run_exposures(panel, exposures[:, :, None].copy(), half_spread=half_spread, **terms)
    totals = {name: value[..., 0] for name, value in vars(result).items() if value is not None}
    np.testing.assert_allclose(totals["equity"], ledger.equity, rtol=1e-12)
    return ledger, totals


@pytest.mark.parametrize("name", CASES)
def test_hand_worked(name, make_panel) -> None:
    exposures, costs, execution, expected = CASES[name]
    prices = [10, 10, 20, 20]
    panel = make_panel(prices, prices)
    panel = replace(panel, volume=np.full((4, 1), 400.0))
    ledger, totals = both(panel, np.array(exposures)[:, None], costs, execution)
    for total, value in expected.items():
        found = ledger.equity[-1] if total == "final_equity" else getattr(ledger, total)
        assert found == pytest.approx(value, rel=1e-12), total
        assert totals[total] == pytest.approx(value, rel=1e-12), total


def test_spreads_a_bar(make_panel) -> None:
    # 1000 of value pays 1 % at bar 1, the rest is sold at bar 3 at 3 %; the constant is not used.
    panel = make_panel([10, 10, 10, 10], [10, 10, NAN, 10])
    spread = np.array([[0.5], [0.01], [NAN], [0.03]])
    exposures = np.array([1.0, NAN, 0.0, NAN])[:, None]
    _, totals = both(panel, exposures, replace(FREE, half_spread=0.2), PLAIN, spread)
    assert totals["costs"] == pytest.approx(10 + 30, rel=1e-12)


BAD = {
    "no volume": (
        lambda panel: {"panel": replace(panel, volume=np.full((4, 1), np.nan))},
        r"panel.volume\[0, 0\] \(S0\): must be finite and above 0 where there is trade, got nan",
    ),
    "spread of another shape": (
        lambda panel: {"half_spread": np.zeros((3, 1))},
        r"half_spread: must have shape \(T, N\) = \(4, 1\), got \(3, 1\)",
    ),
    "spread in basis points": (
        lambda panel: {"half_spread": np.full((4, 1), 2.0)},
        r"half_spread\[0, 0\] \(S0\): must be finite and at least 0 and, with the fee, below 1",
    ),
    "float32 spread": (
        lambda panel: {"half_spread": np.zeros((4, 1), np.float32)},
        r"half_spread: must be float64",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refusals(name, make_panel) -> None:
    change, words = BAD[name]
    panel = make_panel([10] * 4, [10] * 4)
    given_ = {"panel": panel, "exposures": np.zeros((4, 1, 1)), "band": 0.0} | change(panel)
    with pytest.raises(BacktestError, match=words):
        run_exposures(
            given_.pop("panel"),
            **given_,
            costs=replace(FREE, impact=0.1),
            execution=PLAIN,
            periods_per_year=1.0,
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [("participation", 0.0), ("participation", 1.5), ("lot_size", -1.0), ("lot_size", NAN)],
)
def test_execution_refuses(field, value) -> None:
    with pytest.raises(BacktestError, match=rf"execution.{field}: must .*, got {value}"):
        Execution(**{field: value})


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    world=st.fixed_dictionaries(
        {
            "seed": st.integers(0, 2**32 - 1),
            "bars": st.integers(1, 24),
            "instruments": st.integers(1, 4),
            "volatility": st.sampled_from([0.001, 0.02, 0.3, 1.5]),
            "holes": st.sampled_from([0.0, 0.1, 0.5]),
        }
    ),
    costs=st.builds(
        Costs,
        fee=st.sampled_from([0.0, 1e-4, 0.05]),
        half_spread=st.sampled_from([0.0, 2e-4]),
        borrow_apr=st.sampled_from([0.0, 2.0]),
        financing_apr=st.sampled_from([0.0, 5.0]),
        fee_per_unit=st.sampled_from([0.0, 0.01]),
        minimum_fee=st.sampled_from([0.0, 1.0]),
        impact=st.sampled_from([0.0, 0.01, 1.0]),
    ),
    execution=st.builds(
        Execution,
        fill=st.sampled_from(["next_open", "next_close", "same_close"]),
        initial_cash=st.sampled_from([1e5, 12345.678]),
        maintenance=st.sampled_from([0.0, 0.1]),
        participation=st.sampled_from([None, 0.01, 0.5, 1.0]),
        lot_size=st.sampled_from([0.0, 1e-6, 0.1, 1.0, 100.0]),
    ),
    width=st.sampled_from([1, 3, 17]),
    spread_a_bar=st.booleans(),
)
def test_orders_equal_the_specification(
    random_world, world, costs, execution, width, spread_a_bar
) -> None:
    market = random_world(**world)
    panel, rng = market.panel, market.rng
    prices = np.where(panel.listed, panel.close, 1.0)
    # Volumes from far below to far above what the account trades, as lots are.
    volume = np.where(panel.tradable, 1e5 / prices * 10.0 ** rng.uniform(-2, 2, prices.shape), NAN)
    panel = replace(panel, volume=volume)
    shape = (panel.bars, panel.instruments, width)
    exposures = rng.choice([0.0, 0.5, 1.0, -1.0, 3.0], shape)
    exposures = np.where(rng.random(shape) < 0.4, rng.uniform(-2, 2, shape), exposures)
    exposures = np.where(rng.random(shape) < 0.1, np.nan, exposures)
    half_spread = rng.uniform(0, 0.01, panel.close.shape) if spread_a_bar else None
    terms = {
        "costs": costs,
        "execution": execution,
        "periods_per_year": 12.0,
        "half_spread": half_spread,
        "band": 0.01,
    }
    result = run_exposures(panel, exposures, threads=2, **terms)
    for c in range(width):
        ledger = simulate_exposures(panel, exposures[:, :, c], **terms)
        scale = float(np.abs(ledger.equity).max())
        np.testing.assert_allclose(result.equity[:, c], ledger.equity, rtol=1e-9, atol=1e-9 * scale)
        for name in ("turnover", "costs", "financing", "exposure"):
            np.testing.assert_allclose(
                getattr(result, name)[c], getattr(ledger, name), rtol=1e-9, atol=1e-12, err_msg=name
            )
        for name in ("fills", "dropped", "capped", "liquidated"):
            assert getattr(result, name)[c] == getattr(ledger, name), name


def test_a_whole_number_of_lots_loses_none_to_rounding(make_panel) -> None:
    """Exposures of exactly k units: k lots of 1, and of a lot that binary cannot hold."""
    cash, price = 1e5, 101.37
    wanted = np.arange(1, 900)
    for lot, units in ((1.0, wanted.astype(float)), (0.1, wanted * 0.1)):
        exposures = (units * price / cash)[None, None, :].repeat(4, axis=0)
        result = run_exposures(
            make_panel([price] * 4, [price] * 4),
            np.ascontiguousarray(exposures),
            band=0.0,
            costs=FREE,
            execution=Execution("next_open", cash, 0.0, lot_size=lot),
            periods_per_year=252.0,
            want_trades=True,
        )
        np.testing.assert_allclose(result.trades.units, units, rtol=1e-12)
        assert (result.fills == 1).all()  # what is held is what is wanted again
