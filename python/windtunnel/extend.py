"""Your own metrics, statistics and sections: one decorated function each.

>>> import numpy as np
>>> from windtunnel import extend
>>> @extend.metric("best_bar", unit="percent", meaning="the best bar's gain")
... def best_bar(equity, initial, periods_per_year):
...     start = np.full((1, equity.shape[1]), initial)
...     return (np.diff(np.vstack([start, equity]), axis=0)).max(axis=0) / initial
>>> extend.forget("best_bar")

What is registered when a study ends becomes part of it: a metric is a column of
`trials.parquet` and a row of the report, a statistic a row beside the built-in ones, a section
a part of the page. A function that fails costs its own result and is reported, nothing else.
"""

from __future__ import annotations

import math
import re
import runpy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError

if TYPE_CHECKING:
    from windtunnel.findings import Findings

Float64Array = npt.NDArray[np.float64]
MetricFunction: TypeAlias = Callable[[Float64Array, float, float], npt.ArrayLike]
StatisticFunction: TypeAlias = Callable[[Float64Array, int, float], float]
SectionFunction: TypeAlias = "Callable[[Findings], Any]"
F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["Addition", "forget", "load", "metric", "registered", "section", "statistic"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Addition:
    """A function that a user added.

    Attributes
    ----------
    kind : str
        'metric', 'statistic' or 'section'.
    name : str
        Column and key; of a section its title.
    unit : str
        'percent', 'ratio', 'probability', 'count', 'bars' and 'money' are written as the
        built-in figures are; any other word is shown beside the name.
    meaning : str
        One plain sentence or phrase for the report.
    function : callable
    """

    kind: str
    name: str
    unit: str
    meaning: str
    function: Callable[..., Any]


_additions: dict[str, Addition] = {}


def metric(name: str, *, unit: str = "", meaning: str = "") -> Callable[[F], F]:
    """Register a function of (equity, initial, periods_per_year) as a metric of every trial.

    The function gets equity (T, C) float64, marked at each close, the capital before the
    first bar, and bars a year; it returns (C,) numbers, NaN where undefined. It is called
    once for all trials and once for buy and hold.

    Raises
    ------
    MetricError
        The name is not lower case letters, digits and underscores, or is taken.
    """
    return _register("metric", name, unit, meaning)


def statistic(name: str, *, unit: str = "", meaning: str = "") -> Callable[[F], F]:
    """Register a function of (returns, champion, periods_per_year) as a statistic.

    The function gets the returns per bar (T, C) of all complete trials, the champion's
    column, and bars a year; it returns one number, NaN where undefined. Raises as `metric`.
    """
    return _register("statistic", name, unit, meaning)


def section(title: str) -> Callable[[F], F]:
    """Register a function of the findings as a section of the report.

    The function gets `windtunnel.findings.Findings` and returns text (blank lines part
    paragraphs), a Polars data frame, or a Plotly figure.

    Raises
    ------
    MetricError
        The title is empty or taken.
    """
    return _register("section", title, "", "")


def forget(name: str) -> None:
    """Take an addition back; one that is not there is ignored."""
    _additions.pop(name, None)


def registered(kind: str) -> tuple[Addition, ...]:
    """All additions of a kind, in the order in which they were made."""
    return tuple(each for each in _additions.values() if each.kind == kind)


def load(path: str | Path) -> tuple[Addition, ...]:
    """Run a Python file for the functions that it registers; `windtunnel run --extend` does.

    Its `__name__` is 'windtunnel_extension'. The file runs with all rights of the process.

    Raises
    ------
    MetricError
        The file cannot be read or raises; or it registers nothing.
    """
    before = set(_additions)
    try:
        runpy.run_path(str(path), run_name="windtunnel_extension")
    except MetricError:
        raise
    except Exception as error:
        raise MetricError(
            f"extension {path}: {type(error).__name__}: {error}", "Mend the file, or leave it out"
        ) from error
    added = tuple(each for name, each in _additions.items() if name not in before)
    if not added:
        raise MetricError(
            f"extension {path}: registers nothing",
            "Decorate a function with windtunnel.extend.metric, statistic or section",
        )
    return added


def measure(
    equity: Float64Array, initial: float, periods_per_year: float, taken: Collection[str]
) -> tuple[dict[str, Float64Array], tuple[str, ...]]:
    """Call every metric on equity (T, C); returns columns and what went wrong, in sentences.

    Infinite values become NaN. `taken` are names that the table already has.
    """
    columns: dict[str, Float64Array] = {}
    problems = []
    for each in registered("metric"):
        if each.name in taken:
            problems.append(f"Metric '{each.name}': the trial table has a column of that name.")
            continue
        try:
            values = _numbers(each.function(equity.copy(), initial, periods_per_year))
            if values.shape != equity.shape[1:]:
                problems.append(
                    f"Metric '{each.name}': must return one number a trial, shape "
                    f"{equity.shape[1:]}, got {values.shape}."
                )
                continue
        except Exception as error:  # noqa: BLE001 - whatever a user's function does
            problems.append(failure(each, error))
            continue
        columns[each.name] = values
    return columns, tuple(problems)


def weigh(
    returns: Float64Array, champion: int, periods_per_year: float, taken: Mapping[str, object]
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Call every statistic on returns (T, C); returns figures and what went wrong."""
    figures: dict[str, float | None] = {}
    problems = []
    for each in registered("statistic"):
        if each.name in taken:
            problems.append(f"Statistic '{each.name}': there is already one of that name.")
            continue
        try:
            value = float(each.function(returns.copy(), champion, periods_per_year))
        except Exception as error:  # noqa: BLE001 - whatever a user's function does
            problems.append(failure(each, error))
            continue
        figures[each.name] = value if math.isfinite(value) else None
    return figures, tuple(problems)


def failure(addition: Addition, error: Exception) -> str:
    """One sentence on an addition that raised."""
    text = " ".join(str(error).split())[:300]
    return (
        f"{addition.kind.capitalize()} '{addition.name}' failed and was left out: "
        f"{type(error).__name__}{': ' + text if text else ''}."
    )


def _register(kind: str, name: str, unit: str, meaning: str) -> Callable[[F], F]:
    legal = bool(name.strip()) if kind == "section" else bool(_NAME.fullmatch(name))
    if not legal:
        rule = "a title" if kind == "section" else "lower case letters, digits and underscores"
        raise MetricError(f"{kind} {name!r}: the name must be {rule}", "Choose another name")

    def keep(function: F) -> F:
        if name in _additions:
            raise MetricError(
                f"{kind} {name!r}: is registered already, as a {_additions[name].kind}",
                "Choose another name, or take the first back with windtunnel.extend.forget",
            )
        _additions[name] = Addition(kind, name, unit, meaning, function)
        return function

    return keep


def _numbers(values: npt.ArrayLike) -> Float64Array:
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)
