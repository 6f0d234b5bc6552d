"""What a user added, by name: the decorators, and the files that hold decorated functions."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from windtunnel.errors import ExtensionError, MetricError

F = TypeVar("F", bound=Callable[..., Any])

# In the order in which they are told of.
KINDS = ("step", "metric", "statistic", "test", "section")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Addition:
    """A function that a user added.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    name : str
        Column and key; of a section its title.
    unit : str
        'percent', 'ratio', 'probability', 'count', 'bars' and 'money' are written as the
        built-in figures are; any other word is shown beside the name.
    meaning : str
        One plain sentence or phrase for the report; of a test its question.
    function : callable
    """

    kind: str
    name: str
    unit: str
    meaning: str
    function: Callable[..., Any]


_additions: dict[str, Addition] = {}


def step(name: str, *, unit: str = "", meaning: str = "") -> Callable[[F], F]:
    """Register a function of a `Cohort` as a step of the pipeline.

    It is called with every cohort as soon as that is trained and backtested, and returns (C,)
    numbers, NaN where undefined: a column of the trial table, kept with the cohort. Beyond a
    metric it sees scores, labels, folds and parameters. Raises as `metric`.
    """
    return _register("step", name, unit, meaning)


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


def test(name: str, question: str) -> Callable[[F], F]:
    """Register a function of the evidence as a test of the result, shown among the audits.

    The function gets `windtunnel.findings.Evidence`, which knows nothing of the holdout, and
    returns whether the result passes, or that and a sentence. False refutes the study: the
    holdout then stays sealed and the verdict says so. Raises as `metric`.
    """
    return _register("test", name, "", question)


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


def registered(*kinds: str) -> tuple[Addition, ...]:
    """All additions of the kinds named, kind by kind, in the order in which they were made."""
    return tuple(each for kind in kinds for each in _additions.values() if each.kind == kind)


def load(path: str | Path) -> tuple[Addition, ...]:
    """Run a Python file for the functions that it registers; `windtunnel run --extend` does.

    Its `__name__` is 'windtunnel_extension'. The file runs with all rights of the process.

    Raises
    ------
    ExtensionError
        The file cannot be read or raises; or it registers nothing.
    """
    before = set(_additions)
    try:
        runpy.run_path(str(path), run_name="windtunnel_extension")
    except MetricError as error:
        raise ExtensionError(f"extension {path}: {error.problem}", error.remedy) from error
    except Exception as error:
        raise ExtensionError(
            f"extension {path}: {type(error).__name__}: {error}", "Mend the file, or leave it out"
        ) from error
    added = tuple(each for name, each in _additions.items() if name not in before)
    if not added:
        raise ExtensionError(
            f"extension {path}: registers nothing",
            f"Decorate a function with windtunnel.extend.{', '.join(KINDS[:-1])} or {KINDS[-1]}",
        )
    return added


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
