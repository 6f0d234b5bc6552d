from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.metrics.calibration import calibration_curve


def test_bins_worked_by_hand():
    scores = np.array([[-0.6, 0.2], [0.2, np.nan], [-0.6, 0.4], [0.9, 0.0]])
    labels = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [np.nan, 1.0]])
    found = calibration_curve(scores, labels, bins=2)
    assert found.rows.tolist() == [3, 3]
    assert found.predicted == pytest.approx([0.3, 1.9 / 3])
    assert found.observed == pytest.approx([2 / 3, 2 / 3])
    # Wilson's interval for 2 of 3.
    assert found.low[0] == pytest.approx(0.2077, abs=1e-4)
    assert found.high[0] == pytest.approx(0.9385, abs=1e-4)


def test_a_calibrated_forecast_lies_on_the_diagonal():
    rng = np.random.default_rng(3)
    chance = rng.uniform(0, 1, (4000, 3))
    labels = (rng.uniform(0, 1, chance.shape) < chance).astype(float)
    found = calibration_curve(2 * chance - 1, labels)
    assert len(found.rows) == 10
    assert found.rows.sum() == 12_000
    np.testing.assert_allclose(found.observed, found.predicted, atol=0.05)
    assert ((found.low < found.predicted) & (found.predicted < found.high)).mean() >= 0.8


def test_one_opinion_is_one_bin_and_none_is_none():
    same = calibration_curve(np.full((5, 2), 0.1), np.ones((5, 2)))
    assert same.rows.tolist() == [10]
    assert len(calibration_curve(np.full((5, 2), np.nan), np.ones((5, 2))).rows) == 0


@pytest.mark.parametrize(
    ("scores", "labels", "bins"),
    [([[1.5]], [[1.0]], 5), ([[0.5]], [[0.3]], 5), ([[0.5]], [[1.0]], 0), ([[0.5]], [[1.0, 1]], 5)],
)
def test_bad_arguments(scores, labels, bins):
    with pytest.raises(MetricError):
        calibration_curve(np.array(scores), np.array(labels), bins)


def test_a_rounding_beyond_certainty_is_certainty():
    scores = np.array([[1 + 1e-7, -1 - 1e-7]])
    found = calibration_curve(scores, np.array([[1.0, 0.0]]), bins=2)
    np.testing.assert_array_equal(found.predicted, [0.0, 1.0])
    with pytest.raises(MetricError, match=r"at \(0, 1\) they are -1.5 and 0"):
        calibration_curve(np.array([[0.5, -1.5]]), np.array([[1.0, 0.0]]))
