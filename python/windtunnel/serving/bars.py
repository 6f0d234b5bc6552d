"""Bars of a request, held to the rules of the study's quality gate, as a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel.data.align import to_panel
from windtunnel.data.panel import PRICE_TOLERANCE, BoolArray, Float64Array, Panel
from windtunnel.data.quality import COLUMNS, PRICES, VALUES
from windtunnel.serving.features import read_numbers
from windtunnel.serving.refusal import Refusal

Place: TypeAlias = Callable[[str, int], str]  # column and row to the field as the client wrote it

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ISO = "Write ISO 8601 with a zone, for example '2012-01-03T00:00:00Z'"


def read_bars(bars: object, known: Sequence[str]) -> Panel:
    """Check the bars of a request and align them.

    Parameters
    ----------
    bars : object
        Parsed JSON: a list of objects, or an object of lists, with the columns timestamp,
        symbol, open, high, low, close, volume. Time must increase within each symbol.
    known : sequence of str
        Instruments that the model was made for.

    Raises
    ------
    Refusal
        Naming the first field that breaks a rule.
    """
    columns, place = _columns(bars)
    stamps = _timestamps(columns["timestamp"], place)
    _check_symbols(columns["symbol"], place, known)
    symbols = np.array(columns["symbol"])
    values = {name: read_numbers(columns[name], partial(place, name)) for name in VALUES}
    _check_values(values, place)
    _check_order(stamps, symbols, columns, place)
    time = pl.Series(stamps).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return to_panel(pl.DataFrame({"timestamp": time, "symbol": symbols, **values}))


def read_timestamp(text: object, field: str) -> int:
    """Microseconds since 1970 UTC of an ISO 8601 timestamp with a zone."""
    if not isinstance(text, str):
        raise Refusal("timestamp", field, text, "must be a timestamp in a string", _ISO)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("timestamp", field, text, "is not an ISO 8601 timestamp", _ISO) from None
    if moment.tzinfo is None:
        raise Refusal("timestamp", field, text, "has no time zone", _ISO)
    return (moment - _EPOCH) // _MICROSECOND


def _columns(bars: object) -> tuple[Mapping[str, list[object]], Place]:
    """The seven columns, whichever way they were sent, and how to name a place in them."""
    if isinstance(bars, dict):
        _check_names(set(bars), "bars")
        for name in COLUMNS:
            if not isinstance(bars[name], list):
                raise Refusal(
                    "type", f"bars.{name}", bars[name], "must be an array", "Give one value a bar"
                )
        rows = len(bars["timestamp"])
        for name in COLUMNS:
            if len(bars[name]) != rows:
                raise Refusal(
                    "shape",
                    f"bars.{name}",
                    len(bars[name]),
                    f"has {len(bars[name])} values, bars.timestamp has {rows}",
                    "Give columns of equal length",
                )
        _check_some(rows)
        return bars, lambda name, row: f"bars.{name}[{row}]"
    if isinstance(bars, list):
        _check_some(len(bars))
        for row, bar in enumerate(bars):
            if not isinstance(bar, dict):
                raise Refusal(
                    "type", f"bars[{row}]", bar, "must be an object", "Give one object a bar"
                )
            if len(bar) != len(COLUMNS) or any(name not in bar for name in COLUMNS):
                _check_names(set(bar), f"bars[{row}]")
        return (
            {name: [bar[name] for bar in bars] for name in COLUMNS},
            lambda name, row: f"bars[{row}].{name}",
        )
    raise Refusal(
        "type",
        "bars",
        bars,
        "must be an array of bars or an object of columns",
        'Give [{"timestamp": ..., ...}, ...] or {"timestamp": [...], ...}',
    )


def _check_names(found: set[str], field: str) -> None:
    needed = ", ".join(COLUMNS)
    for name in COLUMNS:
        if name not in found:
            raise Refusal(
                "missing_column", f"{field}.{name}", None, "is missing", f"Each bar has {needed}"
            )
    for name in sorted(found - set(COLUMNS)):
        raise Refusal(
            "unknown_field",
            f"{field}.{name[:40]}",
            None,
            "is not a column of bars",
            f"Leave it out; a bar has {needed}",
        )


def _check_some(rows: int) -> None:
    if rows == 0:
        raise Refusal("too_few_bars", "bars", rows, "holds no bars", "Give at least one bar")


def _timestamps(column: list[object], place: Place) -> npt.NDArray[np.int64]:
    seen: dict[object, int] = {}
    stamps = np.empty(len(column), np.int64)
    for row, text in enumerate(column):
        # Instruments share timestamps, so most of them are looked up.
        stamp = seen.get(text) if isinstance(text, str) else None
        if stamp is None:
            stamp = seen[text] = read_timestamp(text, place("timestamp", row))
        stamps[row] = stamp
    return stamps


def _check_symbols(column: list[object], place: Place, known: Sequence[str]) -> None:
    allowed = frozenset(known)
    for row, symbol in enumerate(column):
        if not isinstance(symbol, str) or symbol not in allowed:
            raise Refusal(
                "unknown_instrument",
                place("symbol", row),
                symbol,
                "is not an instrument of this model",
                f"Its instruments are {', '.join(known)}",
            )


def _check_values(values: dict[str, Float64Array], place: Place) -> None:
    """The rules of the quality gate, the plainest first."""
    for name in PRICES:
        _refuse(values[name] <= 0, name, values, place, "must be above zero")
    _refuse(values["volume"] < 0, "volume", values, place, "must not be negative")
    low, high = values["low"], values["high"]
    _refuse(low > high, "low", values, place, "is above high")
    for name in ("open", "close"):
        slack = PRICE_TOLERANCE * values[name]
        _refuse(values[name] < low - slack, name, values, place, "is below low")
        _refuse(values[name] > high + slack, name, values, place, "is above high")


def _refuse(
    broken: BoolArray, name: str, values: dict[str, Float64Array], place: Place, problem: str
) -> None:
    if broken.any():
        row = int(np.argmax(broken))
        raise Refusal(
            "bad_bar",
            place(name, row),
            float(values[name][row]),
            problem,
            "Mend the bar, or leave it out",
        )


def _check_order(
    stamps: npt.NDArray[np.int64],
    symbols: npt.NDArray[np.str_],
    columns: Mapping[str, list[object]],
    place: Place,
) -> None:
    """Time increases within each symbol; the symbols may be interleaved or not."""
    order = np.argsort(symbols, kind="stable")
    same = symbols[order][1:] == symbols[order][:-1]
    wrong = same & (np.diff(stamps[order]) <= 0)
    if not wrong.any():
        return
    row = int(order[1:][wrong].min())
    twin = (stamps[:row] == stamps[row]) & (symbols[:row] == symbols[row])
    problem = (
        f"is a second bar of {symbols[row]} at this time"
        if twin.any()
        else f"comes after a later bar of {symbols[row]}"
    )
    raise Refusal(
        "order",
        place("timestamp", row),
        columns["timestamp"][row],
        problem,
        "Give each instrument's bars once and oldest first",
    )
