"""vectorbt against the engine, where both are told to mean the same.

What is arranged: no slippage, since it changes the price of a fill there and is a cost here;
targets that cash covers, since cash may become negative here; an entry that spends 1 / (1 + fee)
of equity, since all cash there includes the fee; one entry flag a position, since a flag there
and a score here differ while a position is held; and targets so far away that no bar opens beyond
one and comes back to the stop, which the last test shows.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.policy import Policies
from windtunnel.backtest.signals import run_signals
from windtunnel.backtest.stops import Stops
from windtunnel.metrics.financial import financial_metrics

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of a peer's import are its own
    vbt = pytest.importorskip("vectorbt")

# The same for what it warns of while it runs.
pytestmark = pytest.mark.filterwarnings("ignore")
both_seeds = pytest.mark.parametrize("seed", [1, 2])

FEE = 1e-3
CASH = 10_000.0
YEAR = 365.0
BARS, CONFIGURATIONS = 400, 24
# Its two engines give the same bits, and the Numba one takes half a minute to compile it all.
ENGINE = "numba" if find_spec("vectorbt_rust") is None else "rust"


def trade_exposures(panel, exposures, fill):
    return run_exposures(
        panel,
        exposures,
        band=0.0,
        costs=Costs(FEE, 0.0, 0.0, 0.0),
        execution=Execution(fill, CASH),
        periods_per_year=YEAR,
    )


def terms(panel, engine=ENGINE):
    return {
        "fees": FEE,
        "init_cash": CASH,
        "freq": "1D",
        "engine": engine,
        "close": pd.DataFrame(panel.close, index=panel.timestamps),
    }


def frame(panel, values):
    return pd.DataFrame(values, index=panel.timestamps)


@both_seeds
@pytest.mark.parametrize("engine", sorted({"numba", ENGINE}))
@pytest.mark.parametrize("lowest", [0.0, -0.9])
@pytest.mark.parametrize("fill", ["same_close", "next_open"])
def test_target_percent(make_market, engine, seed, lowest, fill) -> None:
    panel = make_market(seed, BARS)
    rng = np.random.default_rng(seed)
    targets = rng.uniform(lowest, 0.9, (BARS, 1, CONFIGURATIONS))
    targets[rng.random(targets.shape) < 0.3] = np.nan  # no decision, no order
    found = trade_exposures(panel, targets, fill)
    asked = terms(panel, engine)
    sizes = targets[:, 0]
    if fill == "next_open":
        # Decided a bar before, valued and filled at the open.
        sizes = np.vstack([np.full((1, CONFIGURATIONS), np.nan), sizes[:-1]])
        opens = frame(panel, panel.open)
        asked |= {"price": opens, "val_price": opens}
    portfolio = vbt.Portfolio.from_orders(
        size=frame(panel, sizes), size_type="targetpercent", **asked
    )
    np.testing.assert_allclose(portfolio.value().to_numpy(), found.equity, rtol=1e-9)
    np.testing.assert_array_equal(portfolio.orders.count().to_numpy(), found.fills)


@both_seeds
def test_target_percent_with_shared_cash(make_market, seed) -> None:
    instruments, configurations = 4, 6
    panel = make_market(seed, BARS, instruments)
    rng = np.random.default_rng(seed)
    targets = rng.uniform(0, 0.9 / instruments, (BARS, instruments, configurations))
    found = trade_exposures(panel, targets, "same_close")
    asked = terms(panel)
    asked["close"] = frame(panel, np.tile(panel.close, (1, configurations)))
    portfolio = vbt.Portfolio.from_orders(
        size=frame(panel, targets.transpose(0, 2, 1).reshape(BARS, -1)),
        size_type="targetpercent",
        cash_sharing=True,
        group_by=np.repeat(np.arange(configurations), instruments),
        call_seq="auto",  # sells first, so that cash covers the buys
        **asked,
    )
    np.testing.assert_allclose(portfolio.value().to_numpy(), found.equity, rtol=1e-9)


def signals(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether to be in, (T, C), and the flags at its edges."""
    inside = np.cumsum(rng.random((BARS, CONFIGURATIONS)) < 1 / 15, axis=0) % 2 == 1
    before = np.vstack([np.zeros((1, CONFIGURATIONS), bool), inside[:-1]])
    return inside, inside & ~before, ~inside & before


STOPS = {
    "none": (),
    "loss and profit": ("loss", "profit"),
    "trailing": ("trailing",),
    "trailing and profit": ("trailing", "profit"),
}


def peer_stops(sizes: dict[str, np.ndarray]) -> dict[str, object]:
    """By its names; a trailing stop there is a loss that follows the price."""
    found: dict[str, object] = {}
    for name, values in sizes.items():
        given = np.where(np.isinf(values), np.nan, values)[None, :]
        found["tp_stop" if name == "profit" else "sl_stop"] = given
    return found | {"sl_trail": "trailing" in sizes}


@both_seeds
@pytest.mark.parametrize("kind", STOPS)
def test_signals(make_market, seed, kind) -> None:
    panel = make_market(seed, BARS)
    rng = np.random.default_rng(seed)
    inside, entries, exits = signals(rng)
    far = {"profit": [0.06, 0.09, np.inf]}
    sizes = {
        name: rng.choice(far.get(name, [0.03, 0.06, np.inf]), CONFIGURATIONS)
        for name in STOPS[kind]
    }
    every = np.ones(CONFIGURATIONS)
    found = run_policy(
        panel,
        np.ascontiguousarray(inside[:, None, :], np.float32),
        Policies(
            column=np.arange(CONFIGURATIONS),
            enter=0.5 * every,
            exit=0.5 * every,
            leverage=every / (1 + FEE),
            band=0.02 * every,  # an exposure of 1 is near enough to that: nothing is rebalanced
            long_only=True,
        ),
        costs=Costs(FEE, 0.0, 0.0, 0.0),
        execution=Execution("same_close", CASH),
        periods_per_year=YEAR,
        stops=Stops(**sizes) if sizes else None,
        want_trades=True,
    )
    portfolio = vbt.Portfolio.from_signals(
        entries=frame(panel, entries),
        exits=frame(panel, exits),
        open=frame(panel, panel.open),
        high=frame(panel, panel.high),
        low=frame(panel, panel.low),
        **terms(panel),
        **(peer_stops(sizes) if sizes else {}),
    )
    np.testing.assert_allclose(portfolio.value().to_numpy(), found.equity, rtol=1e-9)
    np.testing.assert_array_equal(portfolio.orders.count().to_numpy(), found.fills)
    assert found.trades is not None
    stopped = (found.trades.reason > 0).sum()
    assert (stopped > 20) == bool(sizes), "the market reaches the stops"


@both_seeds
@pytest.mark.parametrize("kind", STOPS)
def test_flags(make_market, seed, kind) -> None:
    """Both flags on a bar, and flags in vain, mean the same without arrangement."""
    panel = make_market(seed, BARS)
    rng = np.random.default_rng(seed)
    shape = (BARS, CONFIGURATIONS)
    entries, exits = (rng.random(shape) < 0.1 for _ in range(2))  # at times both, or in vain
    if STOPS[kind]:
        _, entries, exits = signals(rng)
    far = {"profit": [0.06, 0.09, np.inf]}
    sizes = {
        name: rng.choice(far.get(name, [0.03, 0.06, np.inf]), CONFIGURATIONS)
        for name in STOPS[kind]
    }
    found = run_signals(
        panel,
        entries[:, None, :].copy(),
        exits[:, None, :].copy(),
        costs=Costs(FEE, 0.0, 0.0, 0.0),
        execution=Execution("same_close", CASH),
        periods_per_year=YEAR,
        stops=Stops(**sizes) if sizes else None,
    )
    portfolio = vbt.Portfolio.from_signals(
        entries=frame(panel, entries),
        exits=frame(panel, exits),
        open=frame(panel, panel.open),
        high=frame(panel, panel.high),
        low=frame(panel, panel.low),
        **terms(panel),
        **(peer_stops(sizes) if sizes else {}),
    )
    np.testing.assert_allclose(portfolio.value().to_numpy(), found.equity, rtol=1e-9)
    np.testing.assert_array_equal(portfolio.orders.count().to_numpy(), found.fills)


@both_seeds
def test_metrics(make_market, seed) -> None:
    """Sharpe and total return agree; its drawdown begins at the first value, ours at the cash."""
    panel = make_market(seed, BARS)
    rng = np.random.default_rng(seed)
    targets = rng.uniform(0.0, 0.9, (BARS, 1, CONFIGURATIONS))
    targets[0] = 0.0  # then both begin at the cash
    found = trade_exposures(panel, targets, "same_close")
    portfolio = vbt.Portfolio.from_orders(
        size=frame(panel, targets[:, 0]), size_type="targetpercent", **terms(panel)
    )
    measured = financial_metrics(found.equity, initial=CASH, periods_per_year=YEAR)
    for name, theirs in {
        "total_return": portfolio.total_return(),
        "sharpe": portfolio.sharpe_ratio(),
        "max_drawdown": -portfolio.max_drawdown(),
    }.items():
        np.testing.assert_allclose(measured[name], theirs.to_numpy(), rtol=1e-9, err_msg=name)


def test_a_bar_that_opens_beyond_the_target_and_falls_to_the_stop(make_market) -> None:
    """The open comes first here; it looks at the loss first."""
    panel = make_market(1, 4)
    for column, values in (
        (panel.open, [100.0, 100.0, 105.0, 95.0]),
        (panel.high, [100.0, 100.0, 106.0, 95.0]),
        (panel.low, [100.0, 100.0, 94.0, 95.0]),
        (panel.close, [100.0, 100.0, 95.0, 95.0]),
    ):
        column[:, 0] = values
    one, none = np.ones(1), np.zeros(1)
    found = run_policy(
        panel,
        np.ones((4, 1, 1), np.float32),
        Policies(np.zeros(1, np.int64), one, one, one, none, long_only=True),
        costs=Costs(0.0, 0.0, 0.0, 0.0),
        execution=Execution("same_close", CASH),
        periods_per_year=YEAR,
        stops=Stops(loss=np.array([0.04]), profit=np.array([0.04])),
        want_trades=True,
    )
    assert found.trades is not None
    assert found.trades.price.tolist() == [100.0, 105.0]
    portfolio = vbt.Portfolio.from_signals(
        entries=frame(panel, [True, False, False, False]),
        exits=frame(panel, [False] * 4),
        open=frame(panel, panel.open),
        high=frame(panel, panel.high),
        low=frame(panel, panel.low),
        sl_stop=0.04,
        tp_stop=0.04,
        **(terms(panel) | {"fees": 0.0}),
    )
    assert portfolio.orders.records["price"].tolist() == [100.0, 96.0]


def test_an_entry_flag_on_the_bar_of_a_stop(make_market) -> None:
    """Here it enters again at the close; there a bar has one order, and the stop is it."""
    panel = make_market(1, 5)
    for column, values in (
        (panel.open, [100.0, 100.0, 100.0, 95.0, 95.0]),
        (panel.high, [100.0, 100.0, 100.0, 96.0, 96.0]),
        (panel.low, [100.0, 100.0, 94.0, 95.0, 95.0]),
        (panel.close, [100.0, 100.0, 95.0, 95.0, 96.0]),
    ):
        column[:, 0] = values
    entries = np.array([True, False, True, False, False])
    exits = np.zeros(5, bool)
    found = run_signals(
        panel,
        entries[:, None, None].copy(),
        exits[:, None, None].copy(),
        costs=Costs(0.0, 0.0, 0.0, 0.0),
        execution=Execution("same_close", CASH),
        periods_per_year=YEAR,
        stops=Stops(loss=np.array([0.04])),
        want_trades=True,
    )
    assert found.trades is not None
    assert found.trades.price.tolist() == [100.0, 96.0, 95.0]
    portfolio = vbt.Portfolio.from_signals(
        entries=frame(panel, entries),
        exits=frame(panel, exits),
        open=frame(panel, panel.open),
        high=frame(panel, panel.high),
        low=frame(panel, panel.low),
        sl_stop=0.04,
        **(terms(panel) | {"fees": 0.0}),
    )
    assert portfolio.orders.records["price"].tolist() == [100.0, 96.0]
