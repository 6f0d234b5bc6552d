"""The sketch's quantiles are as near as promised, merged or not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.sketch import QuantileSketch

VALUES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=200)
SHARES = st.floats(0, 1)


def sketch_of(values: list[float], accuracy: float = 0.01) -> QuantileSketch:
    sketch = QuantileSketch(accuracy)
    for value in values:
        sketch.add(value)
    return sketch


def exact(values: list[float], share: float) -> float:
    return sorted(values)[math.floor(share * (len(values) - 1))]


@given(VALUES, SHARES, st.sampled_from([0.001, 0.01, 0.1]))
def test_a_quantile_is_within_the_accuracy(
    values: list[float], share: float, accuracy: float
) -> None:
    found = sketch_of(values, accuracy).quantile(share)
    assert found == pytest.approx(exact(values, share), rel=accuracy * (1 + 1e-9))


@given(VALUES, VALUES, SHARES)
def test_merging_equals_adding(one: list[float], two: list[float], share: float) -> None:
    merged = sketch_of(one)
    merged.merge(sketch_of(two))
    both = sketch_of(one + two)
    assert merged.quantile(share) == both.quantile(share)
    assert merged.count == both.count
    assert merged.total == pytest.approx(both.total)


@given(VALUES)
def test_it_can_be_written_down(values: list[float]) -> None:
    sketch = sketch_of(values)
    again = QuantileSketch.from_json(sketch.to_json())
    assert again.to_json() == sketch.to_json()
    assert again.count == len(values)


def test_it_agrees_with_the_authors_library() -> None:
    ddsketch = pytest.importorskip("ddsketch")
    values = np.random.default_rng(1).lognormal(-7, 1.5, 5000).tolist()
    theirs = ddsketch.DDSketch(0.01)
    for value in values:
        theirs.add(value)
    ours = sketch_of(values)
    for share in (0.5, 0.95, 0.99, 0.999):
        # Each is within one per cent of the truth.
        assert ours.quantile(share) == pytest.approx(theirs.get_quantile_value(share), rel=0.0203)


def test_what_is_out_of_bounds_is_clamped_and_nothing_is_nan() -> None:
    sketch = sketch_of([0.0, 1e9])
    assert sketch.quantile(0) == pytest.approx(1e-6, rel=0.01)
    assert sketch.quantile(1) == pytest.approx(1e3, rel=0.01)
    assert math.isnan(QuantileSketch().quantile(0.5))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: QuantileSketch(0.0), "accuracy"),
        (lambda: QuantileSketch(low=2.0, high=1.0), "low and high"),
        (lambda: QuantileSketch().quantile(1.5), "share"),
        (lambda: QuantileSketch().merge(QuantileSketch(0.02)), "accuracy"),
    ],
)
def test_what_is_wrong_is_named(make, named: str) -> None:
    with pytest.raises(MonitoringError, match=named):
        make()
