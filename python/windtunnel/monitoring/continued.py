"""The bars of a run with what has come since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from windtunnel.config.study import DataSection
from windtunnel.data import load, quality
from windtunnel.errors import DataError
from windtunnel.runs import Run

# Relative; half a cent at 10. A factor as near to one as this bends no return that matters.
_ROUNDING = 5e-4


@dataclass(frozen=True)
class Continued:
    """A run's bars and newer ones as one history.

    Attributes
    ----------
    bars : polars.DataFrame
        As `windtunnel.data.load.normalise_bars` gives it, through the quality gate.
    seam : str
        What could not be compared where the two meet, in a sentence; empty when all was.
    warnings : tuple of str
        What the quality gate finds odd, and did not in the run's bars alone.
    """

    bars: pl.DataFrame
    seam: str = ""
    warnings: tuple[str, ...] = ()


def continued_bars(run: Run, newer: str | Path | pl.DataFrame | pl.LazyFrame | None) -> Continued:
    """The run's own bars, followed by those of `newer` that lie after its last one.

    Feeds of adjusted prices multiply all of the past at every split and dividend, and what
    is put behind bars of another adjustment has a return there that never was. So closes of
    bars that both have must be equal, but for rounding.

    Parameters
    ----------
    run : Run
    newer : path or DataFrame, optional
        A Parquet or CSV file or a frame with columns of our names, its timestamps with a
        zone or in UTC. Instruments that the run does not know are left out.

    Raises
    ------
    DataError
        The bars cannot be read, none is newer, those that the run has too close elsewhere,
        or together they do not pass the gate.
    """
    section = run.study().data
    own = load.load_bars(section, run.path)
    if newer is None:
        return Continued(own)
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
    compared = _compare(own, fresh)
    alone = sorted(set(added["symbol"]) - compared)
    seam = (
        f"The newer bars of {', '.join(alone)} share none with the run's own, so whether their "
        "prices are adjusted alike could not be checked."
        if alone
        else ""
    )
    together = pl.concat([own, added.select(own.columns)], how="vertical_relaxed")
    together = together.sort("timestamp", "symbol")
    known = quality.gate(own, section).warnings
    found = quality.gate(together, section).warnings
    return Continued(together, seam, tuple(each for each in found if each not in known))


def _compare(own: pl.DataFrame, fresh: pl.DataFrame) -> set[str]:
    """Refuse newer bars of other closes than the run's own; the instruments that both have."""
    both = own.join(fresh, on=["timestamp", "symbol"], suffix="_newer").sort("symbol", "timestamp")
    ratio = pl.col("close_newer") / pl.col("close")
    other = both.filter((ratio - 1).abs() > _ROUNDING)
    if other.is_empty():
        return set(both["symbol"])
    symbol = other["symbol"][0]
    row = other.filter(pl.col("symbol") == symbol).row(-1, named=True)
    raise DataError(
        f"{symbol} at {quality.when(row['timestamp'])}: the newer bars close at "
        f"{row['close_newer']:.10g}, the run's own at {row['close']:.10g}, a ratio of "
        f"{row['close_newer'] / row['close']:.6g}; {other.height} of {both.height} bars that both "
        "have differ",
        "Give bars adjusted as the run's own are: where the ratio is one and the same, divide the "
        "newer prices by it; where the past itself was corrected, study anew with all bars",
    )
