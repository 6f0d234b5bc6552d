"""Flags by whole blocks of bars: worlds long enough for several, and never a hole in most."""

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

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE", "dev") != "dev"
LOOKED_AT = 3  # configurations; the specification is slow


@pytest.mark.slow
@settings(
    max_examples=2_000 if THOROUGH else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**63 - 1))
def test_blocks_equal_the_specification(random_world, at_every_level, assert_equals, seed) -> None:
    draw = np.random.default_rng(seed)
    volatility = float(draw.choice([0.001, 0.02, 0.2]))
    bars, width = int(draw.integers(64, 280)), int(draw.integers(1, 40))
    holes = float(draw.choice([0.0, 0.0, 0.0, 0.01]))
    panel = random_world(int(draw.integers(2**32)), bars, 1, volatility, holes).panel
    shape = panel.close.shape
    panel = replace(
        panel,
        high=panel.high * np.exp(draw.exponential(volatility, shape)),
        low=panel.low * np.exp(-draw.exponential(volatility, shape)),
    )
    often = float(draw.choice([0.02, 0.1, 0.5]))
    entries = draw.random((*shape, width)) < often
    exits = draw.random((*shape, width)) < often
    size = draw.choice([[0.3, 1.0], [-0.5, -1.0], [1.0, -1.0], [4.0, -3.0]])[
        draw.integers(0, 2, width)
    ]
    sizes = volatility * np.array([0.5, 2.0, 5.0, np.inf])
    stops = None
    if draw.integers(3):
        stops = Stops(
            loss=draw.choice(sizes, width),
            profit=draw.choice(sizes, width),
            trailing=draw.choice(sizes, width),
            bars=draw.choice([1.0, 2.0, 7.0, np.inf], width) if draw.integers(2) else None,
        )
    terms = {
        "costs": Costs(
            fee=float(draw.choice([0.0, 1e-3])),
            half_spread=float(draw.choice([0.0, 2e-4])),
            borrow_apr=float(draw.choice([0.0, 0.0, 1.0])),
            financing_apr=0.0,
        ),
        "execution": Execution(
            fill=str(draw.choice(["next_open", "next_close", "same_close"])),
            initial_cash=1e5,
            maintenance=float(draw.choice([0.0, 0.2])),
        ),
        "periods_per_year": 252.0,
    }
    given_flags = {"configurations": width} if draw.integers(2) else {}
    pack = (lambda f: np.packbits(f, axis=2, bitorder="little")) if given_flags else lambda f: f
    flags = {"entries": pack(entries), "exits": pack(exits), **given_flags}
    measured = bool(draw.integers(2))
    result = at_every_level(
        lambda: run_signals(
            panel, **flags, size=size, stops=stops, threads=1, want_metrics=measured, **terms
        )
    )
    for c in draw.choice(width, min(width, LOOKED_AT), replace=False):
        rules = None
        if stops is not None:
            rules = StopRules(
                **{name: float(each[c]) for name, each in vars(stops).items() if each is not None}
            )
        ledger = simulate_signals(
            panel, entries[:, :, c], exits[:, :, c], size=float(size[c]), stops=rules, **terms
        )
        assert_equals(result, int(c), ledger)
