"""Adjusted p-values against SciPy, and the rate that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.drift.discovery import adjusted_p_values


@given(st.lists(st.floats(0, 1), max_size=30), st.sampled_from(["bh", "by"]))
def test_equal_to_scipys(p_values: list[float], method: str) -> None:
    stats = pytest.importorskip("scipy.stats")
    ours = adjusted_p_values(np.array(p_values), method)  # type: ignore[arg-type]
    if p_values:
        expected = stats.false_discovery_control(p_values, method=method)
        # `atol`: below the smallest normal number the order of the factors decides on digits.
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-307)
    else:
        assert not len(ours)


def test_the_share_of_false_discoveries_is_kept() -> None:
    random = np.random.default_rng(9)
    false, all_found = 0.0, 0
    for _ in range(400):
        p = random.random(40)
        p[:10] = random.random(10) * 1e-4  # true
        found = adjusted_p_values(p) <= 0.2
        false += found[10:].sum() / max(found.sum(), 1)
        all_found += int(found[:10].sum())
    assert false / 400 <= 0.2
    assert all_found == 4000


@pytest.mark.parametrize("bad", [[0.5, np.nan], [1.5], [-0.1]])
def test_what_is_no_p_value_is_refused(bad: list[float]) -> None:
    with pytest.raises(MonitoringError, match="p_values"):
        adjusted_p_values(np.array(bad))
