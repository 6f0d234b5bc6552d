"""Bars in which nothing that is known says anything about the return that follows.

The moves of the bars are dealt out anew over time, and each is mirrored or not by the toss
of a coin. Gap and body have coins of their own, which all instruments share, so that the
return from any open to any later one has mean zero whatever was known before, in each
instrument and between them. What stays: which bars exist, how large moves are, how
instruments move together, volumes.

Two things are avoided. Dealing out alone would keep the market's drift, which a policy
that only buys earns without any signal; and reordering a strategy's own returns would not
touch what ties its signal to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from windtunnel.data.align import to_panel
from windtunnel.data.quality import VALUES

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel.data.panel import Float64Array, Panel

# A mirrored move must leave a price above zero.
LARGEST_MOVE = 0.9


def scrambled(bars: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Deal the moves of the bars out anew and mirror each by a coin.

    Parameters
    ----------
    bars : polars.DataFrame
        Long form, as they leave the quality gate.
    rng : numpy Generator

    Returns
    -------
    polars.DataFrame
        The same timestamps and symbols with other prices and volumes, sorted.
    """
    panel = to_panel(bars)
    listed = panel.listed
    previous = _previous_close(panel)
    order = rng.permutation(panel.bars)
    overnight, body = rng.choice((-1.0, 1.0), (2, panel.bars, 1))
    # An instrument that was not there on the day that was dealt keeps its own.
    dealt = listed[order] & ~np.isnan(previous)[order]

    def deal(values: Float64Array) -> Float64Array:
        return np.where(dealt, values[order], values)

    gap = _bounded(deal(panel.open / previous - 1)) * overnight
    close = _bounded(deal(panel.close / panel.open - 1)) * body
    up = _bounded(deal(panel.high / panel.open - 1))
    down = _bounded(deal(panel.low / panel.open - 1))
    mirrored = np.broadcast_to(body < 0, up.shape)
    high, low = np.where(mirrored, -down, up), np.where(mirrored, -up, down)
    opening = _chained(panel, gap, close)
    values = {
        "open": opening,
        "high": opening * (1 + high),
        "low": opening * (1 + low),
        "close": opening * (1 + close),
        "volume": deal(panel.volume),
    }
    bar, instrument = np.nonzero(listed)
    return pl.DataFrame(
        {
            "timestamp": pl.Series(panel.timestamps[bar]).dt.replace_time_zone("UTC"),
            "symbol": np.array(panel.symbols)[instrument],
            **{name: values[name][bar, instrument] for name in VALUES},
        }
    )


def _previous_close(panel: Panel) -> Float64Array:
    """(T, N) last close before each bar; NaN where there is none."""
    last: npt.NDArray[np.int64] = np.where(panel.listed, np.arange(panel.bars)[:, None], -1)
    last = np.maximum.accumulate(last, axis=0)
    before = np.vstack([np.full((1, panel.instruments), -1), last[:-1]])
    found = np.take_along_axis(panel.close, np.maximum(before, 0), axis=0)
    return np.where(before >= 0, found, np.nan)


def _bounded(moves: Float64Array) -> Float64Array:
    return np.clip(moves, -LARGEST_MOVE, LARGEST_MOVE)


def _chained(panel: Panel, gap: Float64Array, close: Float64Array) -> Float64Array:
    """(T, N) opens: from each instrument's first own open, every gap and body applied in turn."""
    listed = panel.listed
    first = np.argmax(listed, axis=0)
    begin = panel.open[first, np.arange(panel.instruments)]
    # Before its first bar an instrument has no previous close: no gap either.
    gaps = np.where(listed & ~np.isnan(gap), 1 + gap, 1.0)
    bodies = np.where(listed, 1 + close, 1.0)
    closes = np.cumprod(gaps * bodies, axis=0)
    return np.asarray(begin * closes / bodies)
