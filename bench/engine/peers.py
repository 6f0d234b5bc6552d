"""The packaged engines, each told to mean what this one means as far as it can be.

Every function returns total return, Sharpe ratio and greatest drawdown of the first columns.
What is not installed is left out of the table.
"""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from typing import Any

import numpy as np
from works import CASH, FEE, YEAR

os.environ.setdefault("RAPTORBT_NO_VERSION_CHECK", "1")  # it asks a registry when it is imported
PACKAGES = (
    "vectorbt",
    "vectorbt-rust",
    "raptorbt",
    "phasor-trader",
    "nanobook",
    "backtesting",
    "numba",
    "numpy",
    "polars",
)
Metrics = dict[str, np.ndarray]


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def installed(name: str) -> bool:
    return name in versions()


def _frames(*arrays: np.ndarray | None) -> list[Any]:
    import pandas as pd

    return [None if array is None else pd.DataFrame(array) for array in arrays]


def _vectorbt_metrics(portfolio: Any) -> Metrics:
    return {
        "total_return": portfolio.total_return().to_numpy(),
        "sharpe": portfolio.sharpe_ratio().to_numpy(),
        "max_drawdown": -portfolio.max_drawdown().to_numpy(),
    }


def vectorbt_targets(close: np.ndarray, targets: np.ndarray, engine: str) -> Metrics:
    """Targets (T, N, C); with N > 1 the instruments of a configuration share their cash."""
    import vectorbt as vbt

    bars, instruments, configurations = targets.shape
    shared: dict[str, Any] = {}
    if instruments > 1:
        shared = {
            "cash_sharing": True,
            "group_by": np.repeat(np.arange(configurations), instruments),
            "call_seq": "auto",
        }
        close = np.tile(close, (1, configurations))
    flat = targets.transpose(0, 2, 1).reshape(bars, -1)
    prices, sizes = _frames(close, flat)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        portfolio = vbt.Portfolio.from_orders(
            prices, sizes, size_type="targetpercent", fees=FEE, init_cash=CASH, freq="1D",
            engine=engine, **shared,
        )  # fmt: skip
        return _vectorbt_metrics(portfolio)


def vectorbt_flags(
    panel: Any, entries: np.ndarray, exits: np.ndarray, stops: Any, engine: str
) -> Metrics:
    import vectorbt as vbt

    given: dict[str, Any] = {}
    if stops is not None:
        stop, trailing, profit = stops
        given = {"sl_stop": stop[None], "sl_trail": trailing[None], "tp_stop": profit[None]}
        given |= dict(
            zip(("open", "high", "low"), _frames(panel.open, panel.high, panel.low), strict=True)
        )
    close, enter, leave = _frames(panel.close, entries[:, 0], exits[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        portfolio = vbt.Portfolio.from_signals(
            close, enter, leave, fees=FEE, init_cash=CASH, freq="1D", engine=engine, **given
        )
        return _vectorbt_metrics(portfolio)


def _phasor_metrics(portfolio: Any) -> Metrics:
    return {
        "total_return": np.asarray(portfolio.total_return()),
        "sharpe": np.asarray(portfolio.sharpe_ratio()),
        "max_drawdown": -np.asarray(portfolio.max_drawdown()),
    }


def phasor_targets(close: np.ndarray, targets: np.ndarray, threads: int) -> Metrics:
    import phasor

    bars, instruments, configurations = targets.shape
    shared: dict[str, Any] = {}
    if instruments > 1:
        shared = {
            "cash_sharing": True,
            "group_lens": [instruments] * configurations,
            "call_seq": "auto",
        }
    flat = np.ascontiguousarray(targets.transpose(0, 2, 1).reshape(bars, -1), np.float64)
    return _phasor_metrics(
        phasor.from_orders(
            close, flat, size_type="targetpercent", fees=FEE, init_cash=CASH, threads=threads,
            ann_factor=YEAR, column_map=np.tile(np.arange(instruments), configurations), **shared,
        )
    )  # fmt: skip


def phasor_flags(
    panel: Any, entries: np.ndarray, exits: np.ndarray, stops: Any, threads: int
) -> Metrics:
    import phasor

    given: dict[str, Any] = {}
    if stops is not None:
        stop, trailing, profit = stops
        # A value a bar and column; those of a column do not change.
        given = {
            name: np.ascontiguousarray(np.broadcast_to(values, entries[:, 0].shape))
            for name, values in (("sl_stop", stop), ("sl_trail", trailing), ("tp_stop", profit))
        }
        given |= {"open": panel.open, "high": panel.high, "low": panel.low}
    configurations = entries.shape[2]
    return _phasor_metrics(
        phasor.from_signals(
            panel.close, entries[:, 0], exits[:, 0], fees=FEE, init_cash=CASH, threads=threads,
            ann_factor=YEAR, size=np.inf, column_map=np.zeros(configurations, int), **given,
        )
    )  # fmt: skip


def raptor_flags(panel: Any, entries: np.ndarray, exits: np.ndarray, stops: Any) -> Metrics:
    """One batch on all processors; its stops and targets are percents."""
    import raptorbt

    items = []
    for c in range(entries.shape[2]):
        config = raptorbt.BacktestConfig(
            initial_capital=CASH, fees=FEE, slippage=0.0, fill_timing="same_bar_close",
            periods_per_year=YEAR,
        )  # fmt: skip
        if stops is not None:
            stop, trailing, profit = (values[c] for values in stops)
            (config.set_trailing_stop if trailing else config.set_fixed_stop)(float(stop) * 100)
            config.set_fixed_target(float(profit) * 100)
        items.append(
            raptorbt.BatchSingleItem(
                str(c), entries[:, 0, c].copy(), exits[:, 0, c].copy(), 1, 1.0, "S", config
            )
        )
    columns = [
        np.ascontiguousarray(array[:, 0])
        for array in (panel.open, panel.high, panel.low, panel.close, panel.volume)
    ]
    times = panel.timestamps.astype("datetime64[ns]").astype(np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = raptorbt.batch_single_backtest(times, *columns, items)
    found = [result.metrics for _, result in done]
    return {
        "total_return": np.array([each.total_return_pct for each in found]) / 100,
        "sharpe": np.array([each.sharpe_ratio for each in found]),
        "max_drawdown": np.array([each.max_drawdown_pct for each in found]) / 100,
    }


def nanobook_targets(close: np.ndarray, targets: np.ndarray) -> Metrics:
    """One configuration at a time; prices are whole cents, and lists of pairs."""
    import nanobook

    symbols = [f"S{n}" for n in range(close.shape[1])]
    cents = np.rint(close * 100).astype(np.int64)
    prices = [
        [
            (name, nanobook.BarPrices(open=p, high=p, low=p, close=p))
            for name, p in zip(symbols, row, strict=True)
        ]
        for row in cents.tolist()
    ]
    model = nanobook.CostModel(round(FEE * 1e4), 0)
    policy = nanobook.FillPolicy.signal_bar_close()
    found = []
    for c in range(targets.shape[2]):
        weights = [
            list(zip(symbols, row, strict=True))
            for row in targets[:, :, c].astype(np.float64).tolist()
        ]
        found.append(
            nanobook.backtest_weights(weights, prices, round(CASH * 100), model, policy, YEAR)
        )
    metrics = [each["metrics"] for each in found]
    read = lambda name: np.array([getattr(each, name) for each in metrics])  # noqa: E731
    return {
        "total_return": read("total_return"),
        "sharpe": read("sharpe"),
        "max_drawdown": read("max_drawdown"),
    }


def backtesting_flags(panel: Any, entries: np.ndarray, exits: np.ndarray) -> Metrics:
    """One configuration at a time, in fractions of a unit as small as it allows."""
    import pandas as pd
    from backtesting import Strategy
    from backtesting.lib import FractionalBacktest

    frame = pd.DataFrame(
        {
            name: getattr(panel, name.lower())[:, 0]
            for name in ("Open", "High", "Low", "Close", "Volume")
        },
        index=pd.DatetimeIndex(panel.timestamps),
    )
    rows = []
    for c in range(entries.shape[2]):
        enter, leave = entries[:, 0, c], exits[:, 0, c]

        class Follow(Strategy):
            def init(self) -> None:
                pass

            def next(self, enter=enter, leave=leave) -> None:
                t = len(self.data) - 1
                if enter[t] and not self.position:
                    self.buy()
                elif leave[t] and self.position:
                    self.position.close()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows.append(
                FractionalBacktest(
                    frame, Follow, cash=CASH, commission=FEE, trade_on_close=True
                ).run()
            )
    return {
        "total_return": np.array([row["Return [%]"] for row in rows]) / 100,
        "sharpe": np.array([row["Sharpe Ratio"] for row in rows]),
        "max_drawdown": -np.array([row["Max. Drawdown [%]"] for row in rows]) / 100,
    }
