"""W2s: exposure x return minus cost x turnover, the engine's quick look beside other ways to it.

Return arithmetic knows no units and no cash: weights do not drift between decisions. The bound is
reading from memory: an input that no cache holds, added up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from contest import Contestant, Metrics
from contestants import TERMS, loop, ours
from loops import LOOPS
from works import FEE, YEAR, Size, make_panel, make_targets

from windtunnel.backtest.engine import run_exposures

BEYOND_CACHES = 2**29  # bytes


def _numpy(plain: np.ndarray, moves: np.ndarray) -> Metrics:
    held = np.vstack([np.zeros((1, plain.shape[1]), np.float32), plain[:-1]])
    gains = held * moves[:, None] - FEE * np.abs(plain.astype(np.float64) - held)
    worth = np.cumprod(1 + gains, axis=0)
    peak = np.maximum(np.maximum.accumulate(worth, axis=0), 1.0)
    return {
        "total_return": worth[-1] - 1,
        "sharpe": gains.mean(axis=0) / gains.std(axis=0, ddof=1) * np.sqrt(YEAR),
        "max_drawdown": (1 - worth / peak).max(axis=0),
    }


def _polars(frame: object, moves: np.ndarray) -> Metrics:
    import polars as pl

    assert isinstance(frame, pl.DataFrame)
    move = pl.lit(pl.Series(moves))
    wanted = pl.all().cast(pl.Float64)
    held = wanted.shift(1, fill_value=0.0)
    gains = frame.lazy().select(held * move - FEE * (wanted - held).abs()).collect()
    worth = (pl.all() + 1).cum_prod()
    peak = worth.cum_max().clip(1.0)
    found = [
        gains.lazy().select(each).collect().row(0)
        for each in (
            worth.last() - 1,
            pl.all().mean() / pl.all().std() * np.sqrt(YEAR),
            (worth / peak).min() * -1 + 1,
        )
    ]
    return dict(zip(("total_return", "sharpe", "max_drawdown"), map(np.array, found), strict=True))


def work(size: Size, *, tables: bool = True) -> tuple[Size, list[Contestant]]:
    """With `tables` also NumPy and polars, which hold several copies of their input."""
    import polars as pl

    panel, wanted = make_panel(size), make_targets(size)
    plain, close = wanted[:, 0], panel.close[:, 0]
    lanes = np.ascontiguousarray(plain.T)
    moves = np.concatenate([[0.0], close[1:] / close[:-1] - 1])
    copies = -(-BEYOND_CACHES // plain.nbytes)
    much = plain if copies == 1 else np.tile(plain, (copies, 1))
    sums = np.empty(len(much), np.float32)

    def read(threads: int) -> Callable[[], Metrics]:
        def run() -> Metrics:
            LOOPS["read", threads](much, sums)
            return {}

        return run

    count = size.configurations
    frame = pl.DataFrame(plain) if tables else None
    return size, [
        *ours("by returns", lambda threads: run_exposures(
            panel, wanted, band=0.0, threads=threads, by_returns=True, **TERMS), count),
        *loop("return arithmetic", (moves, lanes, FEE), size, 1.0),
        *([Contestant("NumPy", lambda: _numpy(plain, moves), count),
           Contestant("polars, 2 threads", lambda: _polars(frame, moves), count)]
          if tables else []),
        *(Contestant(f"reading alone, {threads} thread{'s' * (threads > 1)}", read(threads),
                     count * copies, tolerance=None,
                     note=f"bound: {much.nbytes / 1e6:,.0f} MB of exposures added up")
          for threads in (2, 1)),
    ]  # fmt: skip
