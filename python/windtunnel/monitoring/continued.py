"""The bars of a run with what has come since."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from windtunnel.config.study import DataSection
from windtunnel.data import load, quality
from windtunnel.errors import DataError
from windtunnel.runs import Run


def continued_bars(
    run: Run, newer: str | Path | pl.DataFrame | pl.LazyFrame | None
) -> pl.DataFrame:
    """The run's own bars, followed by those of `newer` that lie after its last one.

    Parameters
    ----------
    run : Run
    newer : path or DataFrame, optional
        A Parquet or CSV file or a frame with columns of our names, its timestamps with a
        zone or in UTC. Instruments that the run does not know are left out.

    Returns
    -------
    polars.DataFrame
        As `windtunnel.data.load.normalise_bars` gives it, through the quality gate.

    Raises
    ------
    DataError
        The bars cannot be read, none is newer, or together they do not pass the gate.
    """
    section = run.study().data
    own = load.load_bars(section, run.path)
    if newer is None:
        return own
    plain = DataSection(
        source="frame" if isinstance(newer, pl.DataFrame | pl.LazyFrame) else str(newer),
        symbols=tuple(sorted(own["symbol"].unique().to_list())),
        time_zone="UTC",
        periods_per_year=section.periods_per_year,
        max_missing=section.max_missing,
    )
    fresh = (
        load.normalise_bars(newer, plain)
        if isinstance(newer, pl.DataFrame | pl.LazyFrame)
        else load.load_bars(plain, Path())
    )
    last = own["timestamp"].max()
    added = fresh.filter(pl.col("timestamp") > last)
    if added.is_empty():
        raise DataError(
            f"bars: none is later than the run's last one, of {last!s}",
            "Give bars that have come since",
        )
    together = pl.concat([own, added.select(own.columns)], how="vertical_relaxed")
    together = together.sort("timestamp", "symbol")
    quality.gate(together, section)
    return together
