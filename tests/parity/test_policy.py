"""The compiled policy and the served one decide alike."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.policy import Policies, target_exposures
from windtunnel.data.panel import Panel

COUNTS = ("fills", "dropped", "liquidated")
MONEY = ("equity", "turnover", "costs", "financing", "exposure")


def random_panel(rng: np.random.Generator, bars: int, instruments: int) -> Panel:
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.05, (bars, instruments)), axis=0))
    open_ = close * np.exp(rng.normal(0, 0.01, close.shape))
    missing = rng.random(close.shape) < 0.1
    # The last instrument is listed late.
    missing[: bars // 2, -1] = True
    close[missing] = np.nan
    open_[missing] = np.nan
    return Panel(
        timestamps=np.arange(bars).astype("datetime64[D]").astype("datetime64[us]"),
        symbols=tuple(f"S{n}" for n in range(instruments)),
        open=open_,
        high=np.fmax(open_, close),
        low=np.fmin(open_, close),
        close=close,
        volume=np.where(missing, np.nan, 1.0),
        tradable=~missing & (rng.random(close.shape) < 0.9),
        fingerprint="0" * 64,
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(1, 60),
    instruments=st.integers(1, 4),
    long_only=st.booleans(),
    fill=st.sampled_from(["next_open", "next_close", "same_close"]),
)
def test_policies_equal_exposures_of_the_served_policy(
    seed, bars, instruments, long_only, fill
) -> None:
    rng = np.random.default_rng(seed)
    panel = random_panel(rng, bars, instruments)
    columns, count = 5, 21
    scores = rng.choice([-0.5, -0.25, 0.0, 0.25, 0.5], (bars, instruments, columns))
    free = rng.random(scores.shape)
    scores = np.where(free < 0.5, rng.uniform(-1, 1, scores.shape), scores)
    scores = np.where(free > 0.9, np.nan, scores).astype(np.float32)
    policies = Policies(
        column=rng.integers(0, columns, count),
        enter=rng.choice([0.0, 0.1, 0.25, 0.5], count),
        exit=rng.choice([0.0, 0.1, 0.25, 0.5], count),
        leverage=rng.uniform(0.1, 2.0, count),
        band=rng.choice([0.0, 0.02], count),
        long_only=long_only,
    )
    exposures = np.stack(
        [
            target_exposures(
                scores[:, :, policies.column[p]],
                panel.listed,
                enter=float(policies.enter[p]),
                exit=float(policies.exit[p]),
                leverage=float(policies.leverage[p]),
                long_only=long_only,
            )[0]
            for p in range(count)
        ],
        axis=2,
    )
    terms = {
        "costs": Costs(1e-4, 2e-4, 0.01, 0.03),
        "execution": Execution(fill, 1000.0, 0.05),
        "periods_per_year": 252.0,
    }
    compiled = run_policy(panel, scores, policies, **terms)
    served = run_exposures(panel, exposures, band=policies.band, **terms)
    for name in MONEY:
        np.testing.assert_allclose(
            getattr(compiled, name), getattr(served, name), rtol=1e-12, err_msg=name
        )
    for name in COUNTS:
        np.testing.assert_array_equal(getattr(compiled, name), getattr(served, name), err_msg=name)
