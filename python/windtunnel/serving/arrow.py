"""Rows of features from an Arrow IPC stream, read without a library that would be slower to load.

A table's columns carry their names, so that they may come in any order. Two layouts are taken:
a column of float32 or float64 a feature, and one column of fixed-size lists of float32, a row a
list, which is smaller and quicker. The format's columns lie in a body of plain numbers; what is
read here is where, from the flatbuffers before it (`Message.fbs` and `Schema.fbs` of the Arrow
columnar format, version 1.0 and later).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from windtunnel.data.panel import Float32Array
from windtunnel.serving.features import all_finite, check_finite
from windtunnel.serving.flatbuffer import MalformedError, Table
from windtunnel.serving.refusal import Refusal

ARROW = "application/vnd.apache.arrow.stream"

_CONTINUATION = 0xFFFFFFFF
_SCHEMA, _RECORD_BATCH = 1, 3  # of the union MessageHeader
_FLOATING_POINT, _FIXED_SIZE_LIST = 3, 16  # of the union Type
_SINGLE: np.dtype[Any] = np.dtype("<f4")
_WIDTHS: dict[int, np.dtype[Any]] = {1: _SINGLE, 2: np.dtype("<f8")}  # of the enumeration Precision
_REMEDY = (
    "Send a stream (not a file) of uncompressed record batches: a column of float32 or float64 a "
    "feature, or one column of fixed-size lists of float32"
)
_FEW = 64  # rows; so many are picked at once, more of them column by column
_WORTH_KEEPING = 64 * 2**10  # bytes
_MOST_SEEN = 64
_ENDS = (b"", struct.pack("<Ii", _CONTINUATION, 0))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a model's features are in the batches of a schema.

    Attributes
    ----------
    buffers : int
        How many a batch has.
    values : (F,) int64, or (1,) for fixed-size lists
        Indices of the buffers of values, in the order of the model's input.
    dtypes : tuple of dtypes
        One a buffer in `values`.
    width : int
        Numbers a row in each buffer of `values`.
    columns : tuple of str
        The column of each node of a batch.
    lists : bool
        Whether it is one column of lists.
    """

    buffers: int
    values: npt.NDArray[np.int64]
    dtypes: tuple[np.dtype[Any], ...]
    width: int
    columns: tuple[str, ...]
    lists: bool = False


@dataclass(frozen=True, slots=True)
class _Batch:
    """Where the numbers of one record batch are in the body of a request.

    Attributes
    ----------
    layout : _Layout
    first : tuple of int
        First byte of each column, in the order of the model's input.
    count : int
        Rows.
    end : int
        Where the batch ends.
    picks : (count, F) int64, or None
        Each number's place among the float32 numbers of the body, where few are asked for.
    """

    layout: _Layout
    first: tuple[int, ...]
    count: int
    end: int
    picks: npt.NDArray[np.int64] | None = None

    def rows(self, body: bytes) -> Float32Array:
        """The numbers as rows (R, F)."""
        layout, first, count = self.layout, self.first, self.count
        rows: Float32Array
        if layout.lists:
            rows = np.frombuffer(body, _SINGLE, count * layout.width, first[0])
            return rows.reshape(count, layout.width)
        if self.picks is not None:
            rows = np.frombuffer(body, _SINGLE, self.end // 4).take(self.picks)
            return rows
        rows = np.empty((count, len(first)), np.float32)
        # What is beyond float32 becomes infinite, and a NaN of any kind stays one: refused.
        with np.errstate(over="ignore", invalid="ignore"):
            for column, (at, dtype) in enumerate(zip(first, layout.dtypes, strict=True)):
                rows[:, column] = np.frombuffer(body, dtype, count, at)
        return rows


def read_arrow(body: bytes, names: Sequence[str]) -> Float32Array:
    """Rows of a request in Arrow's stream format.

    Parameters
    ----------
    body : bytes
    names : sequence of F str
        Features in the order of the model's input.

    Returns
    -------
    (rows, F) float32

    Raises
    ------
    Refusal
        It is no such stream, its columns are not the model's features, or a number is missing,
        not finite, or beyond float32.
    """
    names = tuple(names)
    key = (_before_numbers(body), names)
    batch = _seen.get(key)
    if batch is not None and len(body) >= batch.end and body[batch.end :] in _ENDS:
        rows = batch.rows(body)
    else:
        try:
            batches = _batches(body, names)
            parts = [batch.rows(body) for batch in batches]
        except (MalformedError, struct.error) as error:
            _refuse(f"is damaged: {error}")
        rows = parts[0] if len(parts) == 1 else np.concatenate([*parts, _none(len(names))])
        if len(batches) == 1 and len(key[0]) <= _WORTH_KEEPING:
            if len(_seen) >= _MOST_SEEN:
                _seen.clear()
            _seen[key] = batches[0]
    if not len(rows):
        raise Refusal("shape", "body", 0, "holds no row", "Send at least one row")
    if not all_finite(rows):
        check_finite(rows, "is not a finite number of float32", lambda i: float(rows.flat[i]))
    return rows


# A client's requests differ in their numbers alone, most of the time: what comes before them
# is the same to the last byte, and has been read and checked then.
_seen: dict[tuple[bytes, tuple[str, ...]], _Batch] = {}


def _before_numbers(body: bytes) -> bytes:
    """A schema and the head of one record batch, byte for byte, as far as the body is such."""
    try:
        (schema,) = struct.unpack_from("<i", body, 4)
        (head,) = struct.unpack_from("<i", body, 12 + schema)
    except struct.error:
        return b""
    return body[: 16 + schema + head] if schema > 0 and head > 0 else b""


def _batches(body: bytes, names: tuple[str, ...]) -> list[_Batch]:
    layout: _Layout | None = None
    batches = []
    for kind, header, start, size in _messages(body):
        if layout is None:
            if kind != _SCHEMA:
                _refuse("does not begin with a schema")
            layout = _layout(header, names)
        elif kind == _RECORD_BATCH:
            batches.append(_batch(header, start, size, layout))
        else:
            _refuse(f"holds a message of kind {kind}, which is no record batch")
    if layout is None:
        _refuse("is empty")
    return batches


def _messages(body: bytes) -> Iterator[tuple[int, Table, int, int]]:
    """Kind, header, and first byte and size of the body, of each message."""
    at = 0
    while at < len(body):
        mark, size = struct.unpack_from("<Ii", body, at)
        if mark != _CONTINUATION:
            _refuse("is no Arrow stream")
        at += 8
        if size == 0:
            return
        if size < 0 or at + size > len(body):
            raise MalformedError("a message is cut off")
        message = Table.root(body[at : at + size])
        length = message.integer(3, "<q")
        at += size
        if length < 0 or at + length > len(body):
            raise MalformedError("the body of a message is cut off")
        yield message.integer(1, "<B"), message.table(2), at, length
        at += length


def _layout(schema: Table, names: tuple[str, ...]) -> _Layout:
    if schema.integer(0, "<h"):
        _refuse("has numbers in big-endian order")
    fields = schema.tables(1)
    if len(fields) == 1 and fields[0].integer(2, "<B") == _FIXED_SIZE_LIST:
        return _layout_of_lists(fields[0], names)
    columns: list[str] = []
    dtypes: list[np.dtype[Any]] = []
    for field in fields:
        columns.append(field.string(0)[:80])
        dtype = _WIDTHS.get(_precision(field))
        if dtype is None:
            raise Refusal(
                "type",
                f"body.{columns[-1]}",
                None,
                "must be a column of float32 or float64",
                _REMEDY,
            )
        dtypes.append(dtype)
    place = {name: i for i, name in enumerate(columns)}
    if len(place) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise Refusal("shape", f"body.{twice}", None, "is there twice", "Send each column once")
    for name in names:
        if name not in place:
            raise Refusal("missing_field", f"body.{name}", None, "is missing", _all(names))
    for name in columns:
        if name not in names:
            problem = "is not a feature of this model"
            raise Refusal("unknown_field", f"body.{name}", None, problem, _all(names))
    order = [place[name] for name in names]
    return _Layout(
        buffers=2 * len(columns),
        values=np.array([2 * i + 1 for i in order], np.int64),
        dtypes=tuple(dtypes[i] for i in order),
        width=1,
        columns=tuple(columns),
    )


def _layout_of_lists(field: Table, names: tuple[str, ...]) -> _Layout:
    name, size = field.string(0)[:80], field.table(3).integer(0, "<i")
    children = field.tables(5)
    if len(children) != 1 or _WIDTHS.get(_precision(children[0])) is not _SINGLE:
        raise Refusal("type", f"body.{name}", None, "must be lists of float32", _REMEDY)
    if size != len(names):
        problem = f"has lists of {size} numbers, the model takes {len(names)}"
        raise Refusal("shape", f"body.{name}", size, problem, _all(names))
    return _Layout(3, np.array([2], np.int64), (_SINGLE,), size, (name, name), lists=True)


def _precision(field: Table) -> int:
    """Of a plain column of floating-point numbers; -1 of any other."""
    if field.integer(2, "<B") != _FLOATING_POINT or field.has(4):
        return -1
    return field.table(3).integer(0, "<h")


def _batch(header: Table, start: int, size: int, layout: _Layout) -> _Batch:
    """Hold a record batch to its schema and its own size."""
    if header.has(3):
        _refuse("is compressed")
    count = header.integer(0, "<q")
    nodes, buffers = header.pairs(1), header.pairs(2)
    if len(nodes) != len(layout.columns) or len(buffers) != layout.buffers or count < 0:
        raise MalformedError("a record batch does not fit its schema")
    nulls = nodes[:, 1]
    if nulls.any():
        name, remedy = layout.columns[int(np.argmax(nulls != 0))], "Leave out what is missing"
        raise Refusal("not_finite", f"body.{name}", None, "has nulls", remedy)
    whole = count * layout.width  # Python's integers do not overflow
    lengths = [count, whole] if layout.lists else count
    if whole > size or (nodes[:, 0] != lengths).any():
        raise MalformedError("a column has not as many numbers as its record batch")
    if whole * sum(dtype.itemsize for dtype in layout.dtypes) > size:  # one buffer for several
        raise MalformedError("its columns overlap")
    first = []
    for (at, length), dtype in zip(buffers[layout.values].tolist(), layout.dtypes, strict=True):
        needed = whole * dtype.itemsize
        if at < 0 or length < needed or at + needed > size:
            raise MalformedError("a column lies outside its record batch")
        first.append(start + at)
    few = count <= _FEW and set(layout.dtypes) == {_SINGLE} and not any(at % 4 for at in first)
    picks = np.array(first, np.int64) // 4 + np.arange(count)[:, None] if few else None
    return _Batch(layout, tuple(first), count, start + size, picks)


def _none(features: int) -> Float32Array:
    return np.empty((0, features), np.float32)


def _all(names: Sequence[str]) -> str:
    return f"Send the columns {', '.join(names)}"


def _refuse(problem: str) -> NoReturn:
    raise Refusal("shape", "body", None, problem, _REMEDY)
