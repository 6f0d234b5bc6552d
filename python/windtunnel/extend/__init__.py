"""Your own steps, metrics, statistics, tests and sections: one decorated function each.

>>> import numpy as np
>>> from windtunnel import extend
>>> @extend.metric("best_bar", unit="percent", meaning="the best bar's gain")
... def best_bar(equity, initial, periods_per_year):
...     start = np.full((1, equity.shape[1]), initial)
...     return (np.diff(np.vstack([start, equity]), axis=0)).max(axis=0) / initial
>>> extend.forget("best_bar")

What is registered when a study runs becomes part of it: a step and a metric are columns of
`trials.parquet` and rows of the report, a statistic a row beside the built-in ones, a test a row
among the audits, a section a part of the page. A function that fails costs its own result and
is reported, nothing else.
"""

from __future__ import annotations

from windtunnel.extend.calls import measure, put_to_tests, take_steps, weigh
from windtunnel.extend.cohort import Cohort
from windtunnel.extend.registry import (
    KINDS,
    Addition,
    failure,
    forget,
    load,
    metric,
    registered,
    section,
    statistic,
    step,
    test,
)

__all__ = [
    "KINDS",
    "Addition",
    "Cohort",
    "failure",
    "forget",
    "load",
    "measure",
    "metric",
    "put_to_tests",
    "registered",
    "section",
    "statistic",
    "step",
    "take_steps",
    "test",
    "weigh",
]
