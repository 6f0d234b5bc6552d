"""Random action paths on worlds with gaps, traded by the environment's account and the engine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import BacktestResult, run_exposures
from windtunnel.backtest.execution import Execution
from windtunnel.data.panel import Panel

BARS, INSTRUMENTS, PATHS, YEAR = 48, 3, 1792, 52.0


class World(NamedTuple):
    """A market, its terms, and random decisions on it, (T, N, C) float32."""

    panel: Panel
    costs: Costs
    execution: Execution
    band: float
    targets: np.ndarray

    def engine(self) -> BacktestResult:
        """What the compiled engine makes of it."""
        return run_exposures(
            self.panel,
            self.targets,
            band=self.band,
            costs=self.costs,
            execution=self.execution,
            periods_per_year=YEAR,
        )


CASES = (
    # fill, band, maintenance, costs beyond the plain ones, execution beyond the plain one
    ("next_open", 0.0, 0.0, {}, {}),
    ("next_open", 0.05, 0.25, {}, {}),
    ("next_close", 0.02, 0.25, {"fee_per_unit": 0.01, "minimum_fee": 2.0}, {}),
    ("same_close", 0.02, 0.25, {}, {}),
    ("next_open", 0.0, 0.25, {"impact": 0.02}, {"participation": 0.2}),
    ("same_close", 0.0, 0.0, {"impact": 0.02, "minimum_fee": 1.0}, {"participation": 0.5}),
)
LOTS = ("next_open", 0.02, 0.25, {"minimum_fee": 1.0}, {"lot_size": 1.0, "participation": 0.2})


def world(case: tuple, seed: int) -> World:
    """Prices that gap, miss bars and stop trading; leverage that breaks accounts."""
    fill, band, maintenance, costs, execution = case
    rng = np.random.default_rng(seed)
    shape = (BARS, INSTRUMENTS)
    close = 40 * np.exp(np.cumsum(rng.normal(0, 0.06, shape), axis=0))
    gap = np.where(rng.random(shape) < 0.1, rng.normal(0, 0.25, shape), rng.normal(0, 0.02, shape))
    open_ = close * np.exp(gap)
    missing = rng.random(shape) < 0.12
    missing[: BARS // 4, -1] = True  # listed late
    close[missing] = open_[missing] = np.nan
    tradable = ~missing & (rng.random(shape) < 0.9)
    panel = Panel(
        timestamps=np.arange(BARS).astype("datetime64[D]").astype("datetime64[us]"),
        symbols=tuple(f"S{n}" for n in range(INSTRUMENTS)),
        open=open_,
        high=np.fmax(open_, close),
        low=np.fmin(open_, close),
        close=close,
        volume=np.where(tradable, 10.0 ** rng.uniform(2, 5, shape), np.where(missing, np.nan, 0)),
        tradable=tradable,
        fingerprint="0" * 64,
    )
    # Each path has a size of its own: from cautious to certain ruin.
    size = rng.choice([0.2, 0.7, 2.0, 5.0], PATHS)
    targets = rng.uniform(-1, 1, (*shape, PATHS)) * size
    kind = rng.random(targets.shape)
    targets = np.where(kind < 0.25, 0.0, np.where(kind > 0.8, np.nan, targets))
    hold = rng.random(PATHS) < 0.3  # some decide once and keep still
    targets[5:, :, hold] = np.nan
    return World(
        panel,
        Costs(5e-4, 1e-3, 0.3, 0.5, **costs),
        Execution(fill, 10_000.0, maintenance, **execution),
        band,
        targets.astype(np.float32),
    )


def account_equity(case_world: World, dtype: type[np.floating]) -> tuple[np.ndarray, np.ndarray]:
    """Equity (T, C) of the environment's account in initial cash, and its gains (T, N, C)."""
    import jax
    import jax.numpy as jnp

    from windtunnel.trainers.rl.account import Terms, open_account, quotes, settle

    terms = Terms.of(
        case_world.costs, case_world.execution, band=case_world.band, periods_per_year=YEAR
    )
    bars = jax.tree.map(jnp.asarray, quotes(case_world.panel, terms, dtype))
    first, rest = jax.tree.map(lambda x: x[0], bars), jax.tree.map(lambda x: x[1:], bars)

    @jax.jit
    @jax.vmap
    def run(targets):
        def bar(account, now):
            target, quote = now
            account, settled = settle(account, target, quote, terms)
            return account, (settled.marked, settled.gains)

        _, out = jax.lax.scan(bar, open_account(first), (targets, rest))
        return out

    targets = np.moveaxis(case_world.targets[:-1], 2, 0).astype(dtype)
    marked, gains = run(jnp.asarray(targets))
    marked, gains = np.asarray(marked).T, np.moveaxis(np.asarray(gains), 0, 2)
    if case_world.execution.fill == "same_close":
        return marked, gains
    return np.concatenate([np.ones((1, PATHS), dtype), marked]), gains
