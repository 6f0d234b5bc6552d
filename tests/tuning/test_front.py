from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from windtunnel.tuning.front import non_dominated


def slow(values: np.ndarray) -> list[bool]:
    """Word for word: no other is at least as good everywhere and better somewhere."""
    return [
        not np.isnan(own).any()
        and not any((other >= own).all() and (other > own).any() for other in values)
        for own in values
    ]


def test_a_front_by_hand() -> None:
    values = np.array([[1.0, 5.0], [2.0, 4.0], [2.0, 3.0], [3.0, 1.0], [2.0, 4.0], [np.nan, 9.0]])
    assert non_dominated(values).tolist() == [True, True, False, True, True, False]


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(0, 30), st.integers(1, 4)),
        # Few values, so that ties are common.
        elements=st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0, np.nan]),
    )
)
def test_the_front_is_what_the_definition_says(values: np.ndarray) -> None:
    assert non_dominated(values).tolist() == slow(values)


def test_many_trials_on_a_wide_front() -> None:
    angle = np.linspace(0, np.pi / 2, 2000)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = non_dominated(np.concatenate([circle, 0.999 * circle]))
    assert found[:2000].all()
    assert not found[2000:].any()
