"""The embedding against the exact kernel, and the classifier against pairs counted one by one."""

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.monitoring.drift.embedding import FREQUENCIES, Embedding
from windtunnel.monitoring.drift.multivariate import Discriminant, _auc, squared_mmd


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(6).normal(size=(3000, 3)) * [1.0, 10.0, 0.1] + [0.0, 5.0, 0.0]


def test_products_are_the_gaussian_kernel(rows: np.ndarray) -> None:
    embedding = Embedding.fit(rows)
    standard = (rows[:200] - embedding.centre) / embedding.scale
    squares = ((standard[:, None] - standard[None]) ** 2).sum(axis=2)
    # Column k of the frequencies is normal with variance 1 / bandwidth squared.
    bandwidth = 1 / embedding.frequencies.std()
    kernel = np.exp(-squares / (2 * bandwidth**2))
    products = embedding(rows[:200]) @ embedding(rows[:200]).T
    # Hoeffding: off by more than 4 / sqrt(frequencies) once in 10,000 pairs.
    assert np.abs(products - kernel).mean() < 1 / np.sqrt(FREQUENCIES)
    assert np.diag(products) == pytest.approx(1.0, abs=1e-5)


def test_mmd_is_that_of_the_quadratic_estimate(rows: np.ndarray) -> None:
    embedding = Embedding.fit(rows)
    one, two = embedding(rows[:400]), embedding(rows[400:700] + np.array([1.0, 0.0, 0.0]))
    exact = (one @ one.T).mean() + (two @ two.T).mean() - 2 * (one @ two.T).mean()
    means = (sample.mean(axis=0, dtype=np.float64) for sample in (one, two))
    assert squared_mmd(*means) == pytest.approx(float(exact), rel=1e-3)


def test_auc_counts_pairs() -> None:
    random = np.random.default_rng(7)
    scores, others = random.integers(0, 8, 40), random.integers(0, 8, 30)
    pairs = [(a > b) + 0.5 * (a == b) for a in scores for b in others]
    found = _auc(scores.astype(float), np.sort(others.astype(float)))
    assert found == pytest.approx(np.mean(pairs))


def test_the_classifier_sees_a_shift_and_nothing_where_there_is_none(rows: np.ndarray) -> None:
    embedding = Embedding.fit(rows)
    reference = embedding(rows)
    discriminant, mean = Discriminant(reference), reference.mean(axis=0, dtype=np.float64)
    random = np.random.default_rng(8)

    def auc(shift: float) -> float:
        scale, moved = np.array([1.0, 10.0, 0.1]), np.array([0.0, shift, 0.0])
        halves = [
            embedding((random.normal(size=(300, 3)) + moved) * scale + np.array([0, 5.0, 0]))
            for _ in range(2)
        ]
        return discriminant.auc(*halves, mean)

    assert auc(0.0) == pytest.approx(0.5, abs=0.05)
    assert auc(1.0) > 0.65
    assert discriminant.auc(reference[:0], reference[:5], mean) == 0.5
