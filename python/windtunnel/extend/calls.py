"""Calls of a user's functions: one that fails costs its own result and becomes a sentence."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from windtunnel.extend.cohort import Cohort
from windtunnel.extend.registry import Addition, failure, registered

Float64Array = npt.NDArray[np.float64]
Columns = tuple[dict[str, Float64Array], tuple[str, ...]]


def take_steps(cohort: Cohort, taken: Collection[str]) -> Columns:
    """Call every step on a cohort; returns columns and what went wrong, in sentences.

    Infinite values become NaN. `taken` are names that the table already has.
    """
    return _columns(registered("step"), lambda: (cohort,), len(cohort.params), taken)


def measure(
    equity: Float64Array, initial: float, periods_per_year: float, taken: Collection[str]
) -> Columns:
    """Call every metric on equity (T, C); returns as `take_steps`."""
    given = registered("metric")
    return _columns(
        given, lambda: (equity.copy(), initial, periods_per_year), equity.shape[1], taken
    )


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


def put_to_tests(evidence: object) -> tuple[tuple[tuple[str, bool, str], ...], tuple[str, ...]]:
    """Call every test; returns name, outcome and sentence of each, and what went wrong."""
    outcomes, problems = [], []
    for each in registered("test"):
        try:
            passed, sentence = _outcome(each, each.function(evidence))
        except Exception as error:  # noqa: BLE001 - whatever a user's function does
            problems.append(failure(each, error))
            continue
        outcomes.append((each.name, passed, sentence))
    return tuple(outcomes), tuple(problems)


def _outcome(test: Addition, given: Any) -> tuple[bool, str]:
    passed, sentence = given if isinstance(given, tuple) else (given, test.meaning)
    if not isinstance(passed, bool | np.bool_) or not isinstance(sentence, str):
        raise TypeError(f"must return a bool, or a bool and a sentence, got {given!r}")
    return bool(passed), sentence


def _columns(
    additions: Iterable[Addition], arguments: Any, lanes: int, taken: Collection[str]
) -> Columns:
    columns: dict[str, Float64Array] = {}
    problems = []
    for each in additions:
        kind = each.kind.capitalize()
        if each.name in taken:
            problems.append(f"{kind} '{each.name}': the trial table has a column of that name.")
            continue
        try:
            array = np.asarray(each.function(*arguments()), dtype=np.float64)
        except Exception as error:  # noqa: BLE001 - whatever a user's function does
            problems.append(failure(each, error))
            continue
        if array.shape != (lanes,):
            problems.append(
                f"{kind} '{each.name}': must return one number a trial, shape ({lanes},), got "
                f"{array.shape}."
            )
            continue
        columns[each.name] = np.where(np.isfinite(array), array, np.nan)
    return columns, tuple(problems)
