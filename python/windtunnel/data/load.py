"""Bars from Parquet, CSV, a bundled sample or the user's own frame, in one normal form.

Files are scanned lazily: only the seven columns and the rows asked for are read. What
cannot be seen any more once the rows are sorted (their order in the source, times that a
change of the clocks makes ambiguous) is checked here; values are checked by the gate.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from polars.exceptions import PolarsError

from windtunnel.data.quality import (
    COLUMNS,
    VALUES,
    refuse_disorder,
    refuse_unknown_symbols,
    when,
)
from windtunnel.data.samples import sample_path
from windtunnel.errors import DataError, first_line

if TYPE_CHECKING:
    from windtunnel.config.study import DataSection


def load_bars(data: DataSection, base: Path) -> pl.DataFrame:
    """Read the bars that `data` describes.

    Parameters
    ----------
    data : DataSection
        The study's data table. `source` is a .parquet or .csv file, or 'sample:NAME'.
    base : Path
        Directory that a relative `source` starts from: that of the study file.

    Returns
    -------
    polars.DataFrame
        As `normalise_bars` gives it.

    Raises
    ------
    DataError
        The file is missing, of another kind or unreadable; else as `normalise_bars`.
    """
    if data.source == "frame":
        raise DataError(
            "data.source: is 'frame', but no DataFrame was given",
            "Give the bars from Python, or name a .parquet or .csv file",
        )
    if data.source.startswith("sample:"):
        path = sample_path(data.source.removeprefix("sample:"))
    else:
        path = base / Path(data.source).expanduser()
    if not path.is_file():
        raise DataError(
            f"data.source: there is no file {str(path)!r}",
            "Give a path relative to the study file, an absolute one, or 'sample:us_equities_1d'",
        )
    kind = path.suffix.lower()
    if kind == ".parquet":
        frame = pl.scan_parquet(path)
    elif kind == ".csv":
        frame = _scan_csv(path, data)
    else:
        raise DataError(
            f"data.source: {path.name!r} ends in {kind!r}, which cannot be read",
            "Give a .parquet or .csv file",
        )
    return normalise_bars(frame, data)


def normalise_bars(frame: pl.DataFrame | pl.LazyFrame, data: DataSection) -> pl.DataFrame:
    """Bring bars to the normal form: our column names and types, UTC, filtered, sorted.

    Zone-aware timestamps are converted to UTC; naive ones (dates too) are local times of
    `data.time_zone`. `data.start` and `data.end` are both kept.

    Parameters
    ----------
    frame : polars.DataFrame or polars.LazyFrame
        Long format, one row a bar. Time must increase within each symbol; the symbols may
        follow one another or be interleaved.
    data : DataSection
        Column names, time zone and filters.

    Returns
    -------
    polars.DataFrame
        timestamp Datetime('us', 'UTC'), symbol String, open, high, low, close, volume
        Float64; sorted by (timestamp, symbol). Values are not judged: that is `gate`'s part.

    Raises
    ------
    DataError
        The frame is none of polars, a column is missing or of the wrong type, timestamps are
        naive without a time zone, ambiguous, nonexistent, unsorted or duplicated, a symbol is
        unknown, or nothing is left after filtering.
    """
    if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
        raise DataError(
            f"bars: must be a polars DataFrame or LazyFrame, got {type(frame).__name__}",
            "Give polars.from_pandas(frame) of a pandas frame; name a file in data.source",
        )
    try:
        lazy = _pick_columns(frame.lazy(), data)
        start, end = _moment(data.start, "start"), _moment(data.end, "end")
        local = pl.col("timestamp").alias("local")
        bars = lazy.with_row_index("row").with_columns(_in_utc(lazy, data), local)
        if data.symbols is not None:
            bars = bars.filter(pl.col("symbol").is_in(data.symbols))
        # Rows whose time is null are kept by the filters, so that they can be refused below.
        if start is not None:
            bars = bars.filter((pl.col("timestamp") >= start) | pl.col("timestamp").is_null())
        if end is not None:
            bars = bars.filter((pl.col("timestamp") <= end) | pl.col("timestamp").is_null())
        # The streaming engine does not promise the order of the rows.
        table = bars.collect().sort("row")
        missing = set(data.symbols or ()) - set(table["symbol"].unique())
        known = lazy.select(pl.col("symbol").unique()).collect()["symbol"] if missing else None
    except (PolarsError, OSError) as error:
        raise DataError(
            f"data.source: the bars cannot be read: {first_line(error)}",
            "Mend the value or the file",
        ) from None
    if known is not None:
        refuse_unknown_symbols(missing, known.drop_nulls())
        raise DataError(
            f"data.symbols: {', '.join(sorted(missing))} has no bars {_span(data)}",
            "Leave it out, or widen data.start and data.end",
        )
    if table.is_empty():
        raise DataError(
            f"data: no bars are left {_span(data)}", "Widen data.start and data.end, or the source"
        )
    _refuse_unplaced(table, data)
    refuse_disorder(table)
    return table.select(COLUMNS).sort("timestamp", "symbol")


# Years first. 01/02/2020 is two days, and whoever guesses takes one of them without a word.
_ISO = r"^\d{4}([-/]\d{2}[-/]\d{2}|\d{4}T)"


def _scan_csv(path: Path, data: DataSection) -> pl.LazyFrame:
    """Scan a CSV file; symbols stay text ('0005'), whole-number prices become Float64."""
    sources = _sources(data)
    _refuse_other_dates(path, sources["timestamp"])
    types: dict[str, pl.DataType] = {sources[name]: pl.Float64() for name in VALUES}
    types[sources["symbol"]] = pl.String()
    return pl.scan_csv(path, try_parse_dates=True, schema_overrides=types)


def _refuse_other_dates(path: Path, column: str) -> None:
    """Refuse texts that do not begin with a year, month and day."""
    texts = pl.scan_csv(path, infer_schema=False)
    try:
        if column not in texts.collect_schema():
            return  # refused by name, with the other columns
        other = (
            texts.select(pl.col(column).alias("text"))
            .with_row_index("row")
            .filter(~pl.col("text").str.contains(_ISO))
            .head(1)
            .collect()
        )
    except (PolarsError, OSError):
        return  # what cannot be read is refused where all of it is
    for row, text in other.iter_rows():
        raise DataError(
            f"column {column!r} (timestamp): row {row} (counted from 0) holds {text!r}, which does "
            "not begin with year, month and day",
            "Write ISO 8601 times, like 2020-01-31 or 2020-01-31T14:30:00Z, or give Parquet",
        )


def _sources(data: DataSection) -> dict[str, str]:
    """Name of the source's column for each of ours."""
    given: dict[str, str] = {str(name): source for name, source in data.columns.items()}
    return {name: given.get(name, name) for name in COLUMNS}


def _pick_columns(lazy: pl.LazyFrame, data: DataSection) -> pl.LazyFrame:
    """Select the seven columns under our names, refusing what is absent or mistyped."""
    schema = lazy.collect_schema()
    sources = _sources(data)
    for name, source in sources.items():
        if source not in schema:
            listed = ", ".join(map(repr, schema.names())) or "none"
            raise DataError(
                f"data.columns.{name}: the source has no column {source!r}; its columns are "
                f"{listed}",
                f'Name the column that holds {name}: columns = {{ {name} = "..." }}',
            )
    if lazy.limit(1).collect().is_empty():
        raise DataError("data.source: holds no rows", "Give a source with at least two bars")
    for name, source in sources.items():
        found = schema[source]
        if name == "timestamp":
            fits, rule = found == pl.Date or isinstance(found, pl.Datetime), "Datetime or Date"
        elif name == "symbol":
            texts = (pl.String, pl.Categorical, pl.Enum)
            fits, rule = isinstance(found, texts), "String"
        else:
            fits, rule = found.is_numeric(), "a number"
        if not fits:
            raise DataError(
                f"column {source!r} ({name}) has type {found}, it must be {rule}",
                "Convert the column before giving it",
            )
    return lazy.select(pl.col(sources[name]).alias(name) for name in COLUMNS).with_columns(
        pl.col("symbol").cast(pl.String), pl.col(*VALUES).cast(pl.Float64)
    )


def _in_utc(lazy: pl.LazyFrame, data: DataSection) -> pl.Expr:
    """Express the timestamps in UTC; times that no clock or two clocks showed become null."""
    found = lazy.collect_schema()["timestamp"]
    stamp = pl.col("timestamp").cast(pl.Datetime("us", getattr(found, "time_zone", None)))
    if getattr(found, "time_zone", None) is None:
        if data.time_zone is None:
            raise DataError(
                f"data.time_zone: is not given, and the timestamps carry no time zone "
                f"(type {found})",
                "Say which zone's clock they show, for example time_zone = 'UTC' or "
                "'America/New_York'",
            )
        try:
            pl.Series([datetime(2000, 1, 1)]).dt.replace_time_zone(data.time_zone)
        except PolarsError:
            raise DataError(
                f"data.time_zone: {data.time_zone!r} is not a time zone",
                "Give an IANA name, for example 'UTC' or 'America/New_York'",
            ) from None
        stamp = stamp.dt.replace_time_zone(data.time_zone, ambiguous="null", non_existent="null")
    return stamp.dt.convert_time_zone("UTC").alias("timestamp")


def _refuse_unplaced(table: pl.DataFrame, data: DataSection) -> None:
    """Refuse rows without a symbol or time, and local times that are not one moment."""
    for name in ("symbol", "local"):
        nothing = pl.col(name).is_null()
        if name == "symbol":
            nothing |= pl.col(name) == ""
        empty = table.filter(nothing)
        if not empty.is_empty():
            column = "timestamp" if name == "local" else name
            raise DataError(
                f"{column}: is null or empty in row {empty['row'][0]} of the source (counted from "
                f"0); {empty.height} such rows",
                "Drop or mend these rows",
            )
    unplaced = table.filter(pl.col("timestamp").is_null())
    if unplaced.is_empty() or data.time_zone is None:
        return
    first = unplaced.row(0, named=True)
    earliest = (
        unplaced["local"]
        .head(1)
        .cast(pl.Datetime("us"))
        .dt.replace_time_zone(data.time_zone, ambiguous="earliest", non_existent="null")
    )
    reason = (
        "does not exist (the clocks went forward over it)"
        if earliest[0] is None
        else "is ambiguous (the clocks went back and showed it twice)"
    )
    raise DataError(
        f"{first['symbol']} at {when(first['local'])}: this local time {reason} in "
        f"{data.time_zone}; {unplaced.height} such bars",
        "Give timestamps in UTC or with their offset",
    )


def _moment(text: str | None, field: str) -> datetime | None:
    """Read an ISO 8601 filter bound; naive means UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DataError(
            f"data.{field}: {text!r} is not an ISO 8601 time",
            "Write it like '2012-05-18' or '2012-05-18T14:30:00Z'",
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _span(data: DataSection) -> str:
    """Say between which bounds bars were looked for."""
    return f"between {data.start or 'the first bar'} and {data.end or 'the last bar'}"
