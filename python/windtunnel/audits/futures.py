"""Other futures: the same bars up to a moment, and something else after it.

Three kinds, because each hides what another shows: a maximum in the past is not moved by a
future that is cut off, a mask of survivors not by one whose prices are changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeAlias

import numpy as np
import polars as pl

from windtunnel.data.quality import PRICES, VALUES

Future: TypeAlias = Callable[[pl.DataFrame, datetime, np.random.Generator], pl.DataFrame]


def changed(bars: pl.DataFrame, last: datetime, rng: np.random.Generator) -> pl.DataFrame:
    """Multiply the prices of each later bar by e^u, u uniform in [-1, 1], its volume by e^3u.

    A tenth of the later bars lose their volume. The moves are far beyond what markets do,
    so that they reach every maximum, range and sum that looks at them.
    """
    later = (bars["timestamp"] > last).to_numpy()
    price = np.where(later, np.exp(rng.uniform(-1, 1, len(bars))), 1.0)
    volume = np.where(later, np.exp(rng.uniform(-3, 3, len(bars))), 1.0)
    volume[later & (rng.random(len(bars)) < 0.1)] = 0.0
    return bars.with_columns(
        *(pl.Series(name, bars[name].to_numpy() * price) for name in PRICES),
        pl.Series("volume", bars["volume"].to_numpy() * volume),
    )


def truncated(bars: pl.DataFrame, last: datetime, rng: np.random.Generator) -> pl.DataFrame:  # noqa: ARG001
    """Cut the later bars off, as if they had not happened yet."""
    return bars.filter(pl.col("timestamp") <= last)


def blanked(bars: pl.DataFrame, last: datetime, rng: np.random.Generator) -> pl.DataFrame:  # noqa: ARG001
    """Leave the later timestamps and make all their values NaN."""
    return bars.with_columns(
        pl.when(pl.col("timestamp") > last).then(np.nan).otherwise(pl.col(name)).alias(name)
        for name in VALUES
    )


FUTURES: Mapping[str, Future] = {
    "changed": changed,
    "cut off": truncated,
    "blanked": blanked,
}


def with_holes(bars: pl.DataFrame, stamps: list[datetime]) -> pl.DataFrame:
    """Take one instrument's bar out at each of the stamps, another instrument each time.

    A pipeline that fills gaps in from behind shows it only where there is a gap. Nothing is
    taken out where an instrument is alone: a timestamp without bars is no gap.
    """
    for turn, stamp in enumerate(stamps):
        here = bars.filter(pl.col("timestamp") == stamp)["symbol"].sort()
        if len(here) > 1:
            gone = here[turn % len(here)]
            bars = bars.filter(~((pl.col("timestamp") == stamp) & (pl.col("symbol") == gone)))
    return bars
