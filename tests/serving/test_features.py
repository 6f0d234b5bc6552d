from __future__ import annotations

import numpy as np
import pytest

from windtunnel.serving.features import read_features, read_float32
from windtunnel.serving.refusal import Refusal

NAMES = ("a", "b")


@pytest.mark.parametrize("value", [1.8446743523953738e19, -3e38, 0.0])
def test_numbers_whose_squares_overflow_are_numbers(value):
    """Warnings are errors here, and an overflow on the way is none of the client's."""
    row = np.array([[value, 1.0]], "<f4")
    np.testing.assert_array_equal(read_features(row.tolist(), NAMES), row)
    np.testing.assert_array_equal(read_float32(row.tobytes(), NAMES), row)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(value):
    row = np.array([[1.0, 1e30], [0.0, value]], "<f4")
    for refused in (
        lambda: read_float32(row.tobytes(), NAMES),
        lambda: read_features(row.tolist(), NAMES),
    ):
        with pytest.raises(Refusal) as found:
            refused()
        assert found.value.field == "features[1][1]"
