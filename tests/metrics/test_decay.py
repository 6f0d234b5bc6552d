from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.metrics.decay import ic_decay


def market(bars: int = 300, instruments: int = 4) -> np.ndarray:
    steps = np.random.default_rng(8).normal(0, 0.01, (bars, instruments))
    return 100 * np.exp(np.cumsum(steps, axis=0))


def test_a_score_that_is_the_return_has_a_correlation_of_one_and_it_fades():
    opens = market()
    scores = np.full((250, 4), np.nan)
    scores[:] = opens[6:256] / opens[1:251] - 1  # bar t's return over five bars
    found = ic_decay(scores, opens, horizons=(1, 5, 20), parts=((0, 125), (125, 250)))
    assert found.rank_ic[1] == pytest.approx(1.0, abs=1e-6)
    assert found.by_part[1] == pytest.approx([1.0, 1.0], abs=1e-6)
    assert 0.2 < found.rank_ic[0] < 0.8
    assert 0.2 < found.rank_ic[2] < 0.8
    assert found.rows.tolist() == [1000, 1000, 1000]


def test_no_return_runs_past_the_last_open():
    opens = market(30)
    scores = np.random.default_rng(0).normal(size=(30, 4))
    before = ic_decay(scores[:20], opens[:20], horizons=(1, 8), parts=())
    assert before.rows.tolist() == [18 * 4, 11 * 4]
    later = opens.copy()
    later[20:] *= 7
    after = ic_decay(scores[:20], later[:20], horizons=(1, 8), parts=())
    assert np.array_equal(before.rank_ic, after.rank_ic)
    assert before.by_part.shape == (2, 0)
    assert np.isnan(ic_decay(scores[:20], opens[:20], horizons=(40,), parts=()).rank_ic[0])


def test_bad_arguments():
    with pytest.raises(MetricError, match="opens"):
        ic_decay(np.zeros((5, 2)), np.ones((4, 2)), horizons=(1,), parts=())
    with pytest.raises(MetricError, match="horizons"):
        ic_decay(np.zeros((5, 2)), np.ones((5, 2)), horizons=(0,), parts=())


def test_scores_of_several_configurations_are_refused():
    with pytest.raises(MetricError, match=r"scores: must be \(T, N\), got \(3, 1, 2\)"):
        ic_decay(np.zeros((3, 1, 2)), np.ones((3, 1)), horizons=[1], parts=[(0, 3)])
