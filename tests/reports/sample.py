"""A whole `ReportData` from a seeded random walk, cut to the size a test needs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from windtunnel.backtest.trace import Trace
from windtunnel.metrics.calibration import calibration_curve
from windtunnel.metrics.decay import ic_decay
from windtunnel.metrics.financial import returns
from windtunnel.metrics.monthly import monthly_returns
from windtunnel.metrics.rolling import rolling_sharpe
from windtunnel.overfitting.bands import equity_band
from windtunnel.reports.data import (
    Conventions,
    CostRow,
    DelayedRow,
    Dimension,
    FoldRow,
    Holdout,
    InstrumentRow,
    ReportData,
    Verdict,
)
from windtunnel.reports.details import AuditRow, Details, LedgerRow

DIMENSIONS = (
    Dimension(name="training.learning_rate", log=True),
    Dimension(name="training.weight_decay", log=True),
    Dimension(name="training.dropout"),
    Dimension(name="training.label_smoothing"),
    Dimension(name="policy.enter"),
    Dimension(name="policy.exit"),
)
CASH = 100_000.0
TOML = """[study]
name = "us_equities"
seed = 7
trials = 256
cohort = 64
objective = "sharpe"

[data]
source = "sample:us_equities_1d"
periods_per_year = 252

[search]
"training.learning_rate" = { low = 1e-4, high = 3e-2, log = true }
"policy.enter" = { low = 0.0, high = 0.15 }
"""


def walk(bars: int, drift: float, sigma: float, seed: int) -> np.ndarray:
    """Equity of a seeded random walk, starting from the initial cash."""
    steps = np.random.default_rng(seed).normal(drift, sigma, bars)
    steps[0] = 0.0
    return CASH * np.exp(np.cumsum(steps))


def days(first: str, count: int) -> np.ndarray:
    """Weekdays from `first`."""
    return np.busday_offset(first, np.arange(count), roll="forward").astype("datetime64[us]")


def metrics(equity: np.ndarray, **more: float) -> dict[str, float | int | None]:
    """Metrics of an equity curve, enough for the page."""
    returns = np.diff(equity) / equity[:-1]
    falls = 1 - equity / np.maximum.accumulate(equity)
    years = equity.size / 252
    cagr = (equity[-1] / CASH) ** (1 / years) - 1
    return {
        "total_return": equity[-1] / CASH - 1,
        "cagr": cagr,
        "volatility": returns.std(ddof=1) * np.sqrt(252),
        "sharpe": returns.mean() / returns.std(ddof=1) * np.sqrt(252),
        "sortino": returns.mean() / np.sqrt((np.minimum(returns, 0) ** 2).mean()) * np.sqrt(252),
        "calmar": cagr / falls.max(),
        "max_drawdown": falls.max(),
        "max_drawdown_bars": 412,
        "hit_rate": (returns > 0).mean(),
        "profit_factor": returns[returns > 0].sum() / -returns[returns < 0].sum(),
        "tail_ratio": np.quantile(returns, 0.95) / -np.quantile(returns, 0.05),
        "cvar_95": returns[returns <= np.quantile(returns, 0.05)].mean(),
        "skewness": 0.04,
        "kurtosis": 3.1,
        **more,
    }


def trial_table(count: int, failed: int = 0, seed: int = 3) -> pl.DataFrame:
    """Trials with a mild optimum in the learning rate; the last `failed` have no objective."""
    draw = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "number": np.arange(count),
        "state": ["complete"] * (count - failed) + ["failed"] * failed,
        "training.learning_rate": 10 ** draw.uniform(-4, -1.52, count),
        "training.weight_decay": 10 ** draw.uniform(-6, -1, count),
        "training.dropout": draw.uniform(0, 0.5, count),
        "training.label_smoothing": draw.uniform(0, 0.3, count),
        "policy.enter": draw.uniform(0, 0.15, count),
        "policy.exit": draw.uniform(0, 0.15, count),
    }
    bowl = -0.25 * (np.log10(columns["training.learning_rate"]) + 2.6) ** 2
    objective = 0.55 + bowl - 2 * columns["policy.enter"] + draw.normal(0, 0.12, count)
    objective[count - failed :] = np.nan
    columns |= {"objective": objective, "sharpe": objective}
    return pl.DataFrame(columns)


def trips(draw: np.random.Generator, stamps: np.ndarray, names: tuple[str, ...]) -> pl.DataFrame:
    """A trade a fortnight, the last one still held."""
    opened = stamps[:-10:10].astype("datetime64[us]").tolist()
    closed = stamps[10::10][: len(opened)].astype("datetime64[us]").tolist()
    many = len(opened)
    profit = draw.normal(20, 400, many)
    return pl.DataFrame(
        {
            "symbol": [names[i % len(names)] for i in range(many)],
            "side": ["short" if i % 3 == 0 else "long" for i in range(many)],
            "opened": opened,
            "closed": [*closed[:-1], None],
            "bars": [10] * many,
            "fills": [2] * many,
            "units": draw.uniform(10, 900, many),
            "profit": profit,
            "costs": draw.uniform(1, 40, many),
            "gain": profit / 20_000,
            "reason": [*["decision"] * (many - 1), "held"],
        }
    )


def details(equity: np.ndarray, benchmark: np.ndarray, stamps: np.ndarray, names: tuple[str, ...]):
    """How the result came about; the trades are drawn at random, their sums are not."""
    draw = np.random.default_rng(9)
    bars, many = equity.size, len(names)
    own = returns(equity, CASH)
    profit = draw.normal(0, 1, many)
    profit *= (equity[-1] - CASH + 22.0) / profit.sum()
    months, place = np.unique(stamps.astype("datetime64[M]"), return_inverse=True)
    gross = np.repeat(draw.choice([0.0, 0.5, 1.0], bars // 10 + 1), 10)[:bars]
    net = gross * draw.choice([-1, 1], bars)
    trace = Trace(
        equity=equity,
        gross=gross,
        net=net,
        turnover=draw.uniform(0, 0.4, bars),
        profit=profit,
        costs=draw.uniform(10, 900, many),
        borrow=draw.uniform(0, 40, many),
        traded=draw.uniform(1e5, 1e6, many),
        fills=draw.integers(5, 500, many),
        held=draw.integers(0, bars, many),
        interest=22.0,
    )
    scores = draw.uniform(-0.4, 0.4, (bars, 2)).astype(np.float32)
    labels = (draw.uniform(size=scores.shape) < (1 + 0.4 * scores) / 2).astype(np.float64)
    return Details(
        band=equity_band(own, initial=CASH, resamples=100) if bars >= 20 else None,
        window=min(252, bars // 3),
        rolling=rolling_sharpe(own, window=min(252, bars // 3), periods_per_year=252.0),
        rolling_benchmark=rolling_sharpe(
            returns(benchmark, CASH), window=min(252, bars // 3), periods_per_year=252.0
        ),
        months=monthly_returns(equity, stamps, CASH),
        trace=trace,
        symbols=names,
        periods=months,
        turnover=np.bincount(place, trace.turnover),
        gross=np.bincount(place, gross) / np.bincount(place),
        net=np.bincount(place, net) / np.bincount(place),
        gap=3e-15,
        calibration=calibration_curve(scores, labels),
        levels=False,
        decay=ic_decay(
            scores,
            np.cumprod(1 + draw.normal(0, 0.01, scores.shape), axis=0),
            horizons=(1, 2, 5, 10, 20),
            parts=((0, bars // 2), (bars // 2, bars)),
        ),
        horizon=5,
        trips=trips(draw, stamps, names),
    )


def report_data(
    *,
    trials: int = 256,
    failed: int = 3,
    folds: int = 5,
    fold_bars: int = 410,
    holdout: bool = True,
    closely: bool = True,
    symbols: tuple[str, ...] = ("AAPL", "FB", "GOOG", "IBM", "MSFT"),
    **changes: Any,
) -> ReportData:
    """A plausible page; `changes` replaces any field (`trials_table`, `holdout_value` too)."""
    bars = folds * fold_bars
    stamps = days("2003-03-03", bars)
    champion = walk(bars, 0.0004, 0.011, 1)
    benchmark = walk(bars, 0.0005, 0.013, 4)
    moments = stamps.astype(datetime)
    rows = tuple(
        FoldRow(
            fold=k + 1,
            start=moments[k * fold_bars],
            end=moments[(k + 1) * fold_bars - 1],
            train_rows=3024 + 4 * k * fold_bars,
            champion_return=champion[(k + 1) * fold_bars - 1] / champion[k * fold_bars] - 1,
            champion_sharpe=float("nan") if k == 2 else 0.4 + 0.1 * k,
            champion_drawdown=0.11 + 0.03 * k,
            buy_and_hold_return=benchmark[(k + 1) * fold_bars - 1] / benchmark[k * fold_bars] - 1,
            ic=0.004 * (k - 2),
            auc=0.495 + 0.004 * k,
        )
        for k in range(folds)
    )
    table = trial_table(trials, failed)
    best = table.filter(pl.col("objective").is_finite()).sort("objective", descending=True)
    held = None
    if holdout:
        own, other = walk(504, 0.0001, 0.009, 11), walk(504, 0.0007, 0.011, 12)
        held = Holdout(
            seal="read once, 2013-03-02",
            timestamps=days(str(stamps[-1].astype("datetime64[D]") + np.timedelta64(1, "D")), 504),
            champion_equity=own,
            buy_and_hold_equity=other,
            champion_metrics=metrics(own, auc=0.497),
            buy_and_hold_metrics=metrics(other),
        )
    values: dict[str, Any] = {
        "title": "us_equities",
        "run_id": "20130302-140512-us_equities-7f3a",
        "created": datetime(2013, 3, 2, 14, 5, tzinfo=UTC),
        "verdict": Verdict(
            headline="No edge that survives the number of trials",
            level="no_edge",
            sentences=(
                f"The champion returned {champion[-1] / CASH - 1:.1%} out of sample, buy and hold "
                f"{benchmark[-1] / CASH - 1:.1%}.",
                f"With {trials} trials, luck alone would be expected to show a Sharpe ratio of "
                "0.61 a year.",
            ),
        ),
        "initial_cash": CASH,
        "timestamps": stamps,
        "champion_equity": champion,
        "buy_and_hold_equity": benchmark,
        "cash_equity": np.full(bars, CASH),
        "folds": rows,
        "trials": table,
        "dimensions": DIMENSIONS,
        "objective": "sharpe",
        "champion": int(best["number"][min(2, best.height - 1)]),
        "champion_rule": "It was chosen by the mean objective of its 8 nearest trials (a plateau), "
        "not by its own objective.",
        "champion_metrics": metrics(
            champion,
            exposure=0.61,
            turnover=84.2,
            fills=1874,
            dropped=0,
            costs=4310.5,
            financing=0.0,
            auc=0.506,
            accuracy=0.521,
            log_loss=0.6941,
            brier=0.2503,
            ic=0.009,
            rank_ic=0.011,
            calibration_error=0.021,
        ),
        "buy_and_hold_metrics": metrics(benchmark, exposure=0.99, turnover=1.0, fills=5),
        "statistics": {
            "psr": 0.957,
            "dsr": 0.412,
            "expected_maximum_sharpe": 0.61,
            "trials_study": trials,
            "trials_project": trials + 512,
            "effective_trials": 31.4,
            "sidak_p": 0.74,
            "pbo": 0.58,
            "sharpe_low": -0.09,
            "sharpe_high": 1.21,
            "min_track_record_bars": None,
            "track_record_bars": bars,
        },
        "reasons": {"min_track_record_bars": "the Sharpe ratio is not above its threshold"},
        "pbo_logits": np.random.default_rng(5).normal(-0.2, 1.4, 12_870),
        "holdout": held,
        "cost_rows": tuple(
            CostRow(
                multiple=m,
                sharpe=0.66 - 0.08 * m,
                total_return=1.4 - 0.2 * m,
                max_drawdown=0.24 + 0.01 * m,
            )
            for m in (0.0, 0.5, 1.0, 2.0, 4.0)
        ),
        "break_even_bps": 21.7,
        "delayed": DelayedRow(bars=1, sharpe=0.49, total_return=1.02, max_drawdown=0.27),
        "data_source": "sample:us_equities_1d",
        "instruments": tuple(
            InstrumentRow(
                symbol=symbol,
                first=datetime(2000, 1, 3, tzinfo=UTC),
                last=datetime(2013, 3, 1, tzinfo=UTC),
                bars=3311,
                missing=i % 3,
                zero_volume=i,
                largest_move=-0.12 - 0.01 * i,
            )
            for i, symbol in enumerate(symbols)
        ),
        "warnings": ("FB: has no bars before 2012-05-18; it joins the panel there.",),
        "configuration": TOML,
        "commands": ("pip install windtunnel==0.1.0", "windtunnel run us_equities.toml"),
        "versions": {"windtunnel": "0.1.0", "python": "3.11.2", "jax": "0.10.2", "numpy": "2.4.6"},
        "conventions": Conventions(
            periods_per_year=252,
            fill="a decision made with a bar's close fills at the next bar's open (next_open)",
            costs="fee 1 bps, half-spread 2 bps of traded value; borrowing 1 %, financing 3 % a "
            "year",
        ),
    }
    if closely:
        values |= {
            "details": details(champion, benchmark, stamps, symbols),
            "path_sharpes": np.array([0.31, -0.12, 0.55, np.nan, 0.48]),
            "deflation": np.linspace(0.0, 0.61, trials) ** 0.5,
            "audits": (
                AuditRow(
                    name="future",
                    passed=True,
                    sentence="Nothing before bar 812 changed.",
                    figures={"changed": 0},
                ),
                AuditRow(
                    name="delay",
                    passed=False,
                    sentence="One bar later nothing is left.",
                    figures={"sharpe": -0.1, "lost": None},
                ),
                AuditRow(name="noise", passed=None, sentence="Not made: no time."),
            ),
            "ledger": (
                LedgerRow(
                    study="first_try",
                    runs=2,
                    trials=512,
                    failed=3,
                    counted=512,
                    best_sharpe=0.71,
                ),
                LedgerRow(
                    study="us_equities", runs=1, trials=256, failed=3, counted=256, best_sharpe=None
                ),
            ),
        }
    renamed = {"trials_table": "trials", "holdout_value": "holdout"}
    return ReportData(**values | {renamed.get(key, key): v for key, v in changes.items()})
