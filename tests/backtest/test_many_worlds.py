"""Every rule at once on very many worlds: as many as it takes to meet rare combinations."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle import simulate_policy
from windtunnel.backtest.oracle_stops import StopRules
from windtunnel.backtest.policy import Policies
from windtunnel.backtest.stops import Stops

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE", "dev") != "dev"


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
    bars, instruments, width = (int(draw.integers(1, top)) for top in (16, 4, 4))
    holes = float(draw.choice([0.0, 0.1, 0.5]))
    market = random_world(int(draw.integers(2**32)), bars, instruments, volatility, holes)
    panel = market.panel
    shape = panel.close.shape
    prices = np.where(panel.listed, panel.close, 1.0)
    panel = replace(
        panel,
        high=panel.high * np.exp(draw.exponential(volatility, shape)),
        low=panel.low * np.exp(-draw.exponential(volatility, shape)),
        volume=np.where(panel.tradable, 1e5 / prices * 10.0 ** draw.uniform(-2, 2, shape), np.nan),
    )
    scores = draw.choice([-1.0, -0.25, 0.0, 0.25, 0.5, 1.0, np.nan], (*shape, 2))
    policies = Policies(
        column=draw.integers(0, 2, width),
        enter=draw.choice([0.0, 0.25, 0.5], width),
        exit=draw.choice([0.0, 0.1, 0.5], width),
        leverage=draw.choice([0.3, 1.0, 4.0], width),
        band=draw.choice([0.0, 0.02, 0.5], width),
        long_only=bool(draw.integers(2)),
        volatility_target=draw.uniform(0.1, 1.0, width) if draw.integers(2) else None,
    )
    known = None
    if policies.volatility_target is not None:
        known = draw.uniform(0.1, 1.0, shape)
        known[draw.random(shape) < holes] = np.nan
    sizes = volatility * np.array([0.5, 1.0, 3.0, np.inf])
    stops = None
    if draw.integers(2):
        stops = Stops(
            loss=draw.choice(sizes, width),
            profit=draw.choice(sizes, width),
            trailing=draw.choice(sizes, width),
            bars=draw.choice([1.0, 3.0, np.inf], width),
        )
    terms = {
        "costs": Costs(
            fee=float(draw.choice([0.0, 1e-3, 0.05])),
            half_spread=float(draw.choice([0.0, 2e-4])),
            borrow_apr=float(draw.choice([0.0, 2.0])),
            financing_apr=float(draw.choice([0.0, 5.0])),
            fee_per_unit=float(draw.choice([0.0, 0.01])),
            minimum_fee=float(draw.choice([0.0, 1.0])),
            impact=float(draw.choice([0.0, 0.01, 1.0])),
        ),
        "execution": Execution(
            fill=str(draw.choice(["next_open", "next_close", "same_close"])),
            initial_cash=float(draw.choice([1.0, 1e5])),
            maintenance=float(draw.choice([0.0, 0.2])),
            participation=None if draw.integers(2) else float(draw.choice([0.01, 0.5])),
            lot_size=float(draw.choice([0.0, 1e-6, 1.0])),
        ),
        "periods_per_year": 12.0,
        "half_spread": draw.uniform(0, 0.01, shape) if draw.integers(2) else None,
    }
    narrow = scores.astype(np.float32)
    result = at_every_level(
        lambda: run_policy(
            panel, narrow, policies, stops=stops, volatility=known, threads=1, **terms
        )
    )
    for c in range(width):
        rules = None
        if stops is not None:
            rules = StopRules(**{name: float(value[c]) for name, value in vars(stops).items()})
        ledger = simulate_policy(
            panel,
            narrow[:, :, policies.column[c]],
            enter=float(policies.enter[c]),
            exit=float(policies.exit[c]),
            leverage=float(policies.leverage[c]),
            band=float(policies.band[c]),
            long_only=policies.long_only,
            stops=rules,
            volatility_target=None if known is None else float(policies.volatility_target[c]),
            volatility=known,
            **terms,
        )
        assert_equals(result, c, ledger)
