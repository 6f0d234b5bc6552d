from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.overfitting import effective_trials


def equicorrelated(rho: float, trials: int, bars: int = 400) -> np.ndarray:
    """Returns whose sample correlations are all exactly rho."""
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(np.column_stack([np.ones(bars), rng.normal(size=(bars, trials + 1))]))
    common, own = q[:, 1:2], q[:, 2:]
    return 0.001 + np.sqrt(rho) * common + np.sqrt(1 - rho) * own


def test_known_value() -> None:
    result = effective_trials(equicorrelated(0.5, 100))
    assert result.by_correlation == pytest.approx(50.5)
    assert result.mean_correlation == pytest.approx(0.5)
    # Eigenvalues 1 + 99 / 2 once and 1 / 2 ninety-nine times.
    assert result.by_participation == pytest.approx(100**2 / (50.5**2 + 99 * 0.25))


def test_independent_and_identical_trials() -> None:
    independent = effective_trials(equicorrelated(0.0, 30))
    assert independent.by_correlation == pytest.approx(30)
    assert independent.by_participation == pytest.approx(30)
    copies = effective_trials(np.random.default_rng(0).normal(size=(50, 1)) * np.arange(1, 9))
    assert copies.by_correlation == pytest.approx(1)
    assert copies.by_participation == pytest.approx(1)


@pytest.mark.parametrize("trials", [3, 39, 40, 200])
def test_against_eigenvalues(trials: int) -> None:
    rng = np.random.default_rng(trials)
    returns = rng.normal(0, 0.01, (40, trials)) + rng.normal(0, 0.01, (40, 1))
    correlation = np.corrcoef(returns, rowvar=False)
    values = np.linalg.eigvalsh(correlation)
    result = effective_trials(returns)
    assert result.by_participation == pytest.approx(values.sum() ** 2 / (values**2).sum())
    rho = correlation[~np.eye(trials, dtype=bool)].mean()
    assert result.mean_correlation == pytest.approx(rho)
    assert result.by_correlation == pytest.approx(rho + (1 - rho) * trials)


def test_constant_trials_are_counted_apart() -> None:
    returns = equicorrelated(0.5, 10)
    padded = np.column_stack([returns, np.zeros(400), np.full(400, 0.01), np.full(400, 0.1)])
    result = effective_trials(padded)
    assert (result.trials, result.constant) == (13, 3)
    assert result.by_correlation == pytest.approx(effective_trials(returns).by_correlation)
    nothing = effective_trials(np.zeros((30, 4)))
    assert nothing.constant == 4
    assert np.isnan(nothing.by_correlation)
    assert np.isnan(nothing.by_participation)
    single = effective_trials(padded[:, [0, 10]])
    assert single.by_correlation == single.by_participation == 1.0


def test_opposed_trials_are_no_more_than_there_are() -> None:
    x = np.random.default_rng(0).normal(size=(60, 1))
    assert effective_trials(np.column_stack([x, -x])).by_correlation == 2.0


@pytest.mark.parametrize("returns", [np.ones(5), np.ones((1, 3)), np.full((5, 2), np.nan)])
def test_misuse_is_refused(returns: np.ndarray) -> None:
    with pytest.raises(MetricError, match="returns"):
        effective_trials(returns)
