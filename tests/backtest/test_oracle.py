"""The compiled engine against its specification, on random worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle import Ledger, simulate_exposures, simulate_policy
from windtunnel.backtest.policy import Policies

if TYPE_CHECKING:
    from windtunnel.backtest.result import BacktestResult

SPEED = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
FREE = Costs(0.0, 0.0, 0.0, 0.0)
WORLD = {
    "seed": st.integers(0, 2**32 - 1),
    "bars": st.integers(1, 24),
    "instruments": st.integers(1, 4),
    "volatility": st.sampled_from([0.001, 0.02, 0.3, 1.5]),
    "holes": st.sampled_from([0.0, 0.1, 0.5]),
}
COSTS = st.one_of(
    st.just(FREE),
    st.builds(
        Costs,
        fee=st.sampled_from([0.0, 1e-4, 0.05]),
        half_spread=st.sampled_from([0.0, 2e-4, 0.01]),
        borrow_apr=st.sampled_from([0.0, 0.01, 2.0]),
        financing_apr=st.sampled_from([0.0, 0.03, 5.0]),
    ),
)
EXECUTION = st.builds(
    Execution,
    fill=st.sampled_from(["next_open", "next_close", "same_close"]),
    initial_cash=st.sampled_from([1.0, 1e5, 12345.678]),
    maintenance=st.sampled_from([0.0, 0.1, 0.5]),
)
# A last tile of one lane, of all but one, and several tiles.
WIDTHS = st.sampled_from([1, 3, 15, 16, 17])
BANDS = [0.0, 1e-3, 0.02, 0.5]
YEARS = st.sampled_from([1.0, 12.0, 252.0])


def assert_equal(result: BacktestResult, c: int, ledger: Ledger) -> None:
    scale = max(1e-300, float(np.nanmax(np.abs(ledger.equity))))
    np.testing.assert_allclose(result.equity[:, c], ledger.equity, rtol=1e-9, atol=1e-9 * scale)
    for name in ("turnover", "costs", "financing", "exposure"):
        found, expected = getattr(result, name)[c], getattr(ledger, name)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=name)
    assert result.final_equity[c] == result.equity[-1, c]
    assert result.fills[c] == ledger.fills
    assert result.dropped[c] == ledger.dropped
    assert result.liquidated[c] == ledger.liquidated


@SPEED
@given(
    world=st.fixed_dictionaries(WORLD),
    costs=COSTS,
    execution=EXECUTION,
    width=WIDTHS,
    year=YEARS,
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_exposures_equal_the_specification(
    random_world, world, costs, execution, width, year, dtype
) -> None:
    market = random_world(**world)
    panel, rng = market.panel, market.rng
    shape = (panel.bars, panel.instruments, width)
    exposures = rng.choice([0.0, 0.5, 1.0, -1.0, 3.0], shape)
    free = rng.random(shape)
    exposures = np.where(free < 0.4, rng.uniform(-2, 2, shape), exposures)
    exposures = np.where(free > 0.9, np.nan, exposures).astype(dtype)
    band = rng.choice(BANDS, width)
    terms = {"costs": costs, "execution": execution, "periods_per_year": year}
    result = run_exposures(panel, exposures, band=band, threads=2, **terms)
    for c in range(width):
        expected = simulate_exposures(panel, exposures[:, :, c], band=float(band[c]), **terms)
        assert_equal(result, c, expected)


@SPEED
@given(
    world=st.fixed_dictionaries(WORLD),
    costs=COSTS,
    execution=EXECUTION,
    width=WIDTHS,
    columns=st.sampled_from([1, 2, 20]),
    long_only=st.booleans(),
    year=YEARS,
)
def test_policies_equal_the_specification(
    random_world, world, costs, execution, width, columns, long_only, year
) -> None:
    market = random_world(**world)
    panel, rng = market.panel, market.rng
    shape = (panel.bars, panel.instruments, columns)
    # Quarters hit the thresholds exactly.
    scores = rng.choice([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, np.nan], shape)
    scores = np.where(rng.random(shape) < 0.3, rng.uniform(-1, 1, shape), scores)
    scores = scores.astype(np.float32)
    thresholds = np.array([0.0, 0.1, 0.25, 0.5])
    policies = Policies(
        column=rng.integers(0, columns, width),
        enter=rng.choice(thresholds, width),
        exit=rng.choice(thresholds, width),
        leverage=rng.choice([0.3, 1.0, 4.0], width),
        band=rng.choice(BANDS, width),
        long_only=long_only,
    )
    terms = {"costs": costs, "execution": execution, "periods_per_year": year}
    result = run_policy(panel, scores, policies, threads=2, **terms)
    for c in range(width):
        expected = simulate_policy(
            panel,
            scores[:, :, policies.column[c]],
            enter=float(policies.enter[c]),
            exit=float(policies.exit[c]),
            leverage=float(policies.leverage[c]),
            band=float(policies.band[c]),
            long_only=long_only,
            **terms,
        )
        assert_equal(result, c, expected)
