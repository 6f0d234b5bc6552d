"""Rows of features as a client sends them: JSON numbers, or raw float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from windtunnel.data.panel import Float32Array, Float64Array
from windtunnel.serving.refusal import Refusal

_NUMBERS = {int, float}
FLOAT32 = "application/octet-stream"
_FLOAT32 = np.dtype("<f4")  # made once: naming it costs more than using it


def read_features(features: object, names: Sequence[str]) -> Float32Array:
    """Rows of a JSON request.

    Parameters
    ----------
    features : object
        Parsed JSON: a non-empty list of rows of F finite numbers.
    names : sequence of F str
        Features in the order of the model's input.

    Returns
    -------
    (rows, F) float32

    Raises
    ------
    Refusal
        Naming the row, and the number in it, that breaks a rule.
    """
    width = len(names)
    if not isinstance(features, list) or not features:
        raise Refusal(
            "shape", "features", features, "must be a non-empty array of rows", _rows(names)
        )
    for i, row in enumerate(features):
        if not isinstance(row, list):
            raise Refusal(
                "type", f"features[{i}]", row, "must be an array of numbers", _rows(names)
            )
        if len(row) != width:
            problem = f"has {len(row)} numbers, the model takes {width}"
            raise Refusal("shape", f"features[{i}]", len(row), problem, _rows(names))
    flat = features[0] if len(features) == 1 else [value for row in features for value in row]
    if set(map(type, flat)) <= _NUMBERS:
        with np.errstate(over="ignore"):  # what is beyond float32 is found and named below
            try:
                narrow = np.array(flat, np.float32)
            except OverflowError:  # an integer beyond float64
                pass
            else:
                if all_finite(narrow):
                    return narrow.reshape(-1, width)
    values = read_numbers(flat, lambda i: f"features[{i // width}][{i % width}]")
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32).reshape(-1, width)
    check_finite(narrow, "is beyond the range of float32", lambda i: flat[i])
    return narrow


def read_float32(body: bytes, names: Sequence[str]) -> Float32Array:
    """Rows of a binary request: float32, little-endian, row after row.

    Returns
    -------
    (rows, F) float32
        A view of `body`, read-only.

    Raises
    ------
    Refusal
        The length is not that of whole rows, or a number is not finite.
    """
    width = len(names)
    if not body or len(body) % (4 * width):
        raise Refusal(
            "shape",
            "body",
            len(body),
            f"has {len(body)} bytes, a row has {4 * width}",
            f"Give rows of {width} little-endian float32 numbers: {', '.join(names)}",
        )
    numbers = np.frombuffer(body, _FLOAT32)
    rows = numbers.reshape(-1, width)
    if not all_finite(numbers):
        check_finite(rows, "is not a finite number", lambda i: float(rows.flat[i]))
    return rows


def all_finite(numbers: npt.NDArray[np.floating]) -> bool:
    """Whether all numbers are finite: of few, in half the time that ``.all()`` takes."""
    return b"\0" not in np.isfinite(numbers).tobytes()


def read_numbers(values: list[object], place: Callable[[int], str]) -> Float64Array:
    """A column of finite numbers; strings, booleans and null are no numbers.

    Raises
    ------
    Refusal
        Naming the first value that is none, by `place`.
    """
    if not set(map(type, values)) <= _NUMBERS:
        row = next(i for i, value in enumerate(values) if type(value) not in (int, float))
        raise Refusal("type", place(row), values[row], "must be a number", "Give a finite number")
    try:
        array = np.array(values, np.float64)
    except OverflowError:
        array = np.array([_as_float(value) for value in values])
    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.argmin(finite))
        raise Refusal(
            "not_finite",
            place(row),
            values[row],
            "is not a finite number",
            "Leave out what is missing, or mend it: a missing bar is one without a row",
        )
    return array


def check_finite(
    rows: npt.NDArray[np.float32], problem: str, value: Callable[[int], object]
) -> None:
    """Refuse rows (R, F) with a number that is not finite.

    Raises
    ------
    Refusal
        Naming the first by row and column, with `value` of its flat index.
    """
    finite = np.isfinite(rows)
    if not finite.all():
        i, width = int(np.argmin(finite)), rows.shape[1]
        raise Refusal(
            "not_finite",
            f"features[{i // width}][{i % width}]",
            value(i),
            problem,
            "Give a feature as the study computes it",
        )


def _rows(names: Sequence[str]) -> str:
    return f"Give rows of {len(names)} numbers: {', '.join(names)}"


def _as_float(value: object) -> float:
    """A JSON number as float, an integer beyond its range as infinity."""
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return float("inf")
