from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from windtunnel.errors import MemoryBankError

if TYPE_CHECKING:
    from .conftest import Make


def test_undefined_and_numpy_figures_become_plain(make_entry: Make) -> None:
    entry = make_entry(
        figures={"a": math.nan, "b": np.float64(0.5), "c": np.int64(3), "d": -math.inf, "e": None}
    )
    assert entry.figures == {"a": None, "b": 0.5, "c": 3, "d": None, "e": None}
    assert {type(value) for value in entry.figures.values()} == {float, int, type(None)}


def test_the_moment_is_kept_in_utc_to_the_second(make_entry: Make) -> None:
    east = timezone(timedelta(hours=2))
    entry = make_entry(created=datetime(2026, 3, 1, 1, 0, 0, 999, tzinfo=east))
    assert entry.created == datetime(2026, 2, 28, 23, 0, 0, tzinfo=UTC)
    assert entry.created.tzinfo is UTC


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"run_id": "../../etc"}, "run_id: .* cannot be a file's name"),
        ({"run_id": "a b"}, "run_id"),
        ({"run_id": ""}, "run_id"),
        ({"run_id": "a.md"}, "run_id"),
        ({"run_id": "a\n"}, "run_id"),
        ({"study": "  "}, "study: is empty"),
        ({"command": ""}, "command: is empty"),
        ({"headline": "\n"}, "headline: is empty"),
        ({"created": datetime(2026, 3, 1)}, "has no time zone"),
        ({"created": "2026-03-01"}, "created: got str"),
        ({"verdict": None}, "verdict: got NoneType"),
        ({"figures": [1.0]}, "figures: got list"),
        ({"figures": {"a": [1.0]}}, r"figures\['a'\]: must be"),
        ({"figures": {1: 1.0}}, r"figures\[1\]: must be"),
        ({"headline": "\ud800"}, "headline: is not valid text"),
        ({"champion": {"\ud800": 1}}, "is not valid text"),
        ({"links": {"x": "/etc/passwd"}}, "is neither a web address nor a relative path"),
        ({"links": {"x": "javascript:alert(1)"}}, "is neither"),
        ({"links": {"x": "a\nb"}}, "is neither"),
        ({"links": {"x": ""}}, "is neither"),
    ],
)
def test_what_cannot_be_kept_is_named(
    make_entry: Make, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(MemoryBankError, match=problem):
        make_entry(**changes)


@pytest.mark.parametrize("target", ["https://example.org/a?b=c", "../progress.md", "a b.md#c"])
def test_web_and_relative_links_are_taken(make_entry: Make, target: str) -> None:
    assert make_entry(links={"x": target}).links == {"x": target}


def test_the_same_experiment_at_another_moment(make_entry: Make) -> None:
    entry = make_entry()
    assert entry.same_experiment(make_entry(created=datetime(2027, 1, 1, tzinfo=UTC)))
    assert entry.same_experiment(make_entry(versions={**entry.versions, "code": "other"}))
    assert not entry.same_experiment(make_entry(versions={**entry.versions, "jax": "other"}))
    assert not entry.same_experiment(make_entry(headline="Other"))
    assert not entry.same_experiment(make_entry(figures={**entry.figures, "metrics.sharpe": 0.5}))
