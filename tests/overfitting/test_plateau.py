from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import MetricError
from windtunnel.overfitting import plateau


def test_by_hand() -> None:
    points = np.array([[0.0], [0.1], [0.25], [0.9]])
    objective = np.array([1.0, 2.0, 6.0, 5.0])
    np.testing.assert_allclose(plateau(points, objective, 1), objective)
    np.testing.assert_allclose(plateau(points, objective, 2), [1.5, 1.5, 4.0, 5.5])
    np.testing.assert_allclose(plateau(points, objective, 9), [3.5] * 4)


def test_failed_configurations_are_nobodys_neighbour() -> None:
    points = np.array([[0.0], [0.1], [0.25], [0.9]])
    objective = np.array([1.0, np.nan, 6.0, 5.0])
    got = plateau(points, objective, 2)
    assert np.isnan(got[1])
    np.testing.assert_allclose(got[[0, 2, 3]], [3.5, 3.5, 5.5])
    assert np.isnan(plateau(points, np.full(4, np.nan), 3)).all()
    assert plateau(np.empty((0, 2)), np.empty(0), 3).shape == (0,)


def test_all_at_the_same_distance_count() -> None:
    points = np.array([[0.5, 0.5], [0.5, 0.6], [0.6, 0.5], [0.5, 0.4], [0.4, 0.5]])
    objective = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert plateau(points, objective, 2)[0] == pytest.approx(2.0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 40))
def test_against_a_loop_and_in_any_order(seed: int, neighbours: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3))
    objective = np.where(rng.random(count) < 0.2, np.nan, rng.normal(size=count))
    got = plateau(points, objective, neighbours)
    known = np.flatnonzero(~np.isnan(objective))
    for c in known:
        near = known[np.argsort(((points[known] - points[c]) ** 2).sum(axis=1))][:neighbours]
        assert got[c] == pytest.approx(objective[near].mean(), abs=1e-12)
    order = rng.permutation(count)
    np.testing.assert_allclose(plateau(points[order], objective[order], neighbours), got[order])


def test_more_rows_than_a_chunk() -> None:
    rng = np.random.default_rng(0)
    points, objective = rng.random((700, 2)), rng.normal(size=700)
    distance = ((points[:, None] - points) ** 2).sum(axis=2)
    near = np.argsort(distance, axis=1)[:, :8]
    np.testing.assert_allclose(plateau(points, objective, 8), objective[near].mean(axis=1))


def test_a_wide_plateau_beats_a_narrow_spike() -> None:
    wins = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        points = rng.random((300, 2))
        hill = np.exp(-((points - 0.3) ** 2).sum(axis=1) / 0.05)
        observed = hill + rng.normal(0, 0.05, 300)
        spike = int(np.argmin(((points - 0.85) ** 2).sum(axis=1)))
        observed[spike] = 2.0
        assert int(np.argmax(observed)) == spike
        chosen = int(np.argmax(plateau(points, observed, 10)))
        wins += hill[chosen] > 0.8
    assert wins == 20


@pytest.mark.parametrize(
    ("points", "objective", "neighbours", "message"),
    [
        (np.zeros(3), np.zeros(3), 1, "points and objective"),
        (np.zeros((3, 1)), np.zeros(4), 1, "points and objective"),
        (np.zeros((3, 1)), np.zeros(3), 0, "neighbours"),
        (np.full((3, 1), 1.5), np.zeros(3), 1, "configuration 0 is 1.5"),
        (np.full((3, 1), np.nan), np.zeros(3), 1, "outside"),
        (np.zeros((3, 1)), np.array([0, np.inf, 0]), 1, "objective: configuration 1"),
    ],
)
def test_misuse_is_refused(
    points: np.ndarray, objective: np.ndarray, neighbours: int, message: str
) -> None:
    with pytest.raises(MetricError, match=message):
        plateau(points, objective, neighbours)
