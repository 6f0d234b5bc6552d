"""The reference that a bundle carries is whole in time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.delivery import _in_time


@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 300), st.integers(0, 2**31 - 1))
def test_rows_are_left_out_by_instrument_or_else_from_the_past(
    bars: int, instruments: int, most: int, seed: int
) -> None:
    used = np.random.default_rng(seed).random((bars, instruments)) < 0.8
    kept = _in_time(used, seed, most)
    assert not (kept & ~used).any()
    assert kept.sum() <= most
    assert kept.any() == used.any()
    if used.sum() <= most:
        assert np.array_equal(kept, used)
    elif (used.sum(axis=0)[used.any(axis=0)].min()) <= most:
        # Each instrument is there whole or not at all, and one more would not fit.
        assert all(
            not kept[:, n].any() or (kept[:, n] == used[:, n]).all() for n in range(instruments)
        )
        missing = [used[:, n].sum() for n in range(instruments) if not kept[:, n].any()]
        assert all(kept.sum() + count > most for count in missing if count)
    else:
        (alone,) = np.flatnonzero(kept.any(axis=0))
        first = int(np.argmax(kept[:, alone]))
        assert (kept[first:, alone] == used[first:, alone]).all()


def test_the_choice_is_a_matter_of_the_seed() -> None:
    used = np.ones((100, 10), bool)
    assert np.array_equal(_in_time(used, 1, 300), _in_time(used, 1, 300))
    assert any(
        not np.array_equal(_in_time(used, 1, 300), _in_time(used, seed, 300))
        for seed in range(2, 9)
    )
