"""Make the bundled daily prices from the public-domain source file.

Usage: python scripts/bundle_us_equities.py SOURCE.parquet

The source has unadjusted open, high, low, close and volume with adj_close beside them. The
output holds prices adjusted for splits and dividends, and the provenance note with the digest
of what was written. The same source and polars version give the same bytes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

BUNDLED = Path(__file__).parents[1] / "python/windtunnel/data/bundled"
TARGET = BUNDLED / "us_equities_1d.parquet"
# Rounding of one multiplication and one division, with room to spare.
ROUNDING = 1e-12

NOTE = """\
# us_equities_1d.parquet

Daily bars of AAPL, FB, GOOG, IBM and MSFT, 2000-03-01 to 2013-03-01: {rows:,} rows of
`timestamp, symbol, open, high, low, close, volume`, ordered by symbol, then time.

SHA-256 of the file: `{target}` (written by polars {polars})

## Source and licence

Quandl WIKI end-of-day prices, as packaged in bokeh_sampledata 2026.1 on PyPI, whose
`datasets.json` states that they are in the public domain. SHA-256 of the source table from
which `scripts/bundle_us_equities.py` made this file: `{source}`.

## What was changed

- open, high and low were multiplied by adj_close / close, and close replaced by adj_close:
  the prices are adjusted for splits and dividends. They are not prices at which anyone
  traded on the day.
- volume was divided by the same factor, so that close x volume is the value traded on the
  day; it is therefore no longer a whole number.
- After the multiplication high was raised to max(high, open, close) and low lowered to
  min(low, open, close). This undoes floating-point rounding only: {mended} bars changed, none by
  more than 1e-12 of its price, and the script stops at anything larger.
- timestamp is midnight UTC of the session date. It labels the session; the bar's values are
  known at the close of the New York session.
- adj_close was dropped. No row was added, dropped or otherwise altered.

## What to know before using them

- The adjustment takes these splits, visible in the unadjusted source, out of the prices:
  AAPL 2000-06-21 (2 for 1), AAPL 2005-02-28 (2 for 1), MSFT 2003-02-18 (2 for 1).
- AAPL on 2000-09-29 (-51.9 %) is a real crash after a profit warning, not a split. The
  quality gate warns of it, rightly.
- GOOG starts 2004-08-19 and FB 2012-05-18, their first trading days. Every instrument has a
  bar at every one of the 3,270 sessions from then on.
- Five companies that are known today to have survived: a result on them says nothing about a
  strategy's worth on stocks chosen at the time.
"""


def main(
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Source parquet.")],
) -> None:
    """Write the bundled parquet file and its provenance note."""
    raw = pl.read_parquet(source)
    factor = pl.col("adj_close") / pl.col("close")
    adjusted = raw.select(
        pl.col("timestamp").dt.truncate("1d").dt.replace_time_zone("UTC"),
        "symbol",
        open=pl.col("open") * factor,
        high=pl.col("high") * factor,
        low=pl.col("low") * factor,
        close=pl.col("adj_close"),
        volume=pl.col("volume") / factor,
    ).sort("symbol", "timestamp")
    mended = adjusted.with_columns(
        high=pl.max_horizontal("high", "open", "close"),
        low=pl.min_horizontal("low", "open", "close"),
    )
    change = pl.max_horizontal(
        *((mended[name] - adjusted[name]).abs() / adjusted["close"] for name in ("high", "low"))
    )
    shift = mended.select(change.alias("shift"))["shift"]
    worst = float(shift.max() or 0.0)  # type: ignore[arg-type]
    if worst > ROUNDING:
        typer.echo(f"a bar breaks low <= open, close <= high by {worst:.2g} of its price", err=True)
        raise typer.Exit(1)
    BUNDLED.mkdir(parents=True, exist_ok=True)
    mended.write_parquet(TARGET, compression="zstd", compression_level=19, statistics=True)
    note = NOTE.format(
        rows=mended.height,
        target=hashlib.sha256(TARGET.read_bytes()).hexdigest(),
        source=hashlib.sha256(source.read_bytes()).hexdigest(),
        polars=pl.__version__,
        mended=int((shift > 0).sum()),
    )
    (BUNDLED / "PROVENANCE.md").write_text(note, encoding="utf-8")
    typer.echo(f"wrote {TARGET} ({TARGET.stat().st_size:,} bytes), {mended.height:,} rows")


if __name__ == "__main__":
    typer.run(main)
