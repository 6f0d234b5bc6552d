"""Stops: exits that a policy takes without waiting for a score."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from windtunnel.errors import BacktestError

Float64Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stops:
    """The stops of P policies; `oracle_stops` states what each of them does.

    Attributes
    ----------
    loss : (P,) float64, optional
        Leave a position this fraction of its entry price on the wrong side of it; above 0.
    profit : (P,) float64, optional
        Leave it this fraction on the right side; above 0.
    trailing : (P,) float64, optional
        Leave it this fraction away from the best price of the bars since the entry; above 0.
    bars : (P,) float64, optional
        Leave it after this many bars; at least 1.

    Infinity is a policy without that stop, and absence is all policies without it.

    Raises
    ------
    BacktestError
        When an array has another type or a value outside its range.
    """

    loss: Float64Array | None = None
    profit: Float64Array | None = None
    trailing: Float64Array | None = None
    bars: Float64Array | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            values = getattr(self, field.name)
            if values is None:
                continue
            if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.ndim != 1:
                raise BacktestError(
                    f"stops.{field.name}: must be a one-dimensional float64 array or None, "
                    f"got {type(values).__name__} {getattr(values, 'dtype', '')}"
                )
            wrong = ~(values >= 1) if field.name == "bars" else ~(values > 0)
            if wrong.any():
                at = int(wrong.argmax())
                rule = "at least 1" if field.name == "bars" else "above 0"
                raise BacktestError(
                    f"stops.{field.name}[{at}]: must be {rule}, got {values[at]!r}",
                    "Give infinity for a policy without this stop",
                )

    def arrays(self, count: int) -> dict[str, Float64Array | None]:
        """Arrays by name, contiguous; refuses those of another length than `count` policies."""
        found: dict[str, Float64Array | None] = {}
        for field in fields(self):
            values = getattr(self, field.name)
            if values is not None and len(values) != count:
                raise BacktestError(
                    f"stops.{field.name}: must have one entry a policy ({count}), got {len(values)}"
                )
            found[field.name] = None if values is None else np.ascontiguousarray(values)
        return found
