"""What the tests of the best trial say about noise, and about edges of growing size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from windtunnel.overfitting import (
    pbo,
    psr,
    reality_check,
    romano_wolf,
    sidak_p_value,
    superior_predictive_ability,
)

BARS, TRIALS, STUDIES = 500, 40, 400


def noise(seed: int, *, edge: float = 0.0, common: float = 0.0) -> np.ndarray:
    """Returns of 40 trials, deviation 1 %; the first has a Sharpe ratio of `edge` a bar."""
    rng = np.random.default_rng([7, seed])
    own, shared = rng.normal(size=(BARS, TRIALS)), rng.normal(size=(BARS, 1))
    returns = np.sqrt(common) * shared + np.sqrt(1 - common) * own
    returns[:, 0] += edge
    return 0.01 * returns


@pytest.fixture(scope="module", params=[0.0, 0.5])
def p_values(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """P-values of 400 studies of noise, with trials that correlate and that do not."""
    rows = []
    for seed in range(STUDIES):
        r = noise(seed, common=request.param)
        spa = superior_predictive_ability(r, resamples=200, seed=seed)
        rows.append(
            {
                "lower": spa.lower,
                "consistent": spa.consistent,
                "upper": spa.upper,
                "step_down": float(romano_wolf(r, resamples=200, seed=seed).p_values.min()),
                "reality_check": reality_check(r, resamples=200, seed=seed).p_value,
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.slow
@pytest.mark.parametrize("test", ["consistent", "upper", "step_down", "reality_check"])
def test_p_values_are_uniform_under_noise(p_values: dict[str, np.ndarray], test: str) -> None:
    # Eight tests look at the same draws: one per mille each, not one per cent.
    assert stats.kstest(p_values[test], "uniform").pvalue > 0.001
    assert (p_values[test] <= 0.05).mean() < 0.09


@pytest.mark.slow
def test_the_lower_bound_is_no_p_value(p_values: dict[str, np.ndarray]) -> None:
    assert p_values["lower"].mean() < p_values["consistent"].mean()
    assert (p_values["lower"] <= p_values["consistent"]).all()


def test_correlated_trials_make_sidak_timid_and_spa_not() -> None:
    sidak, spa = [], []
    for seed in range(100):
        r = noise(seed, common=0.8)
        best = (r.mean(axis=0) / r.std(axis=0, ddof=1)).max()
        sidak.append(float(sidak_p_value(psr(best, BARS), TRIALS)))
        spa.append(superior_predictive_ability(r, resamples=200, seed=seed).consistent)
    assert stats.kstest(sidak, "uniform").pvalue < 1e-6
    assert np.mean(sidak) > 0.65
    assert stats.kstest(spa, "uniform").pvalue > 0.01


def test_power_rises_with_the_edge() -> None:
    found = {}
    for edge in (0.0, 0.12, 0.2):
        spa = [
            superior_predictive_ability(noise(s, edge=edge), resamples=200, seed=s).consistent
            for s in range(40)
        ]
        step = [
            romano_wolf(noise(s, edge=edge), resamples=200, seed=s).p_values[0] for s in range(40)
        ]
        found[edge] = (np.mean(np.array(spa) <= 0.05), np.mean(np.array(step) <= 0.05))
    power = np.array(list(found.values()))
    assert (np.diff(power, axis=0) > 0.1).all()
    assert power[0].max() <= 0.15
    assert power[-1].min() > 0.8


def test_pbo_of_noise_averages_one_half_over_200_seeds() -> None:
    values = [pbo(np.random.default_rng([3, seed]).normal(0, 0.01, (320, 25)), 10).pbo
              for seed in range(200)]  # fmt: skip
    assert np.mean(values) == pytest.approx(0.5, abs=0.04)
    assert np.std(values) > 0.1  # one seed alone says little


def test_many_small_gains_and_few_large_losses_are_no_edge() -> None:
    """Such returns show a small deviation as long as they show a high mean."""
    found = {"spa": 0, "step_down": 0}
    for seed in range(120):
        rng = np.random.default_rng([11, seed])
        r = np.where(rng.random((250, 20)) < 0.02, -0.049, 0.001)
        r += rng.normal(0, 0.003, r.shape)
        found["spa"] += superior_predictive_ability(r, resamples=200, seed=seed).consistent <= 0.05
        found["step_down"] += romano_wolf(r, resamples=200, seed=seed).p_values.min() <= 0.05
    # Of 120, 6 are due, and the bars are few; with the sample's deviation it would be 70.
    assert max(found.values()) <= 20


def test_one_mad_trial_does_not_still_the_others() -> None:
    rng = np.random.default_rng(3)
    r = rng.normal(0, 0.01, (200, 6))
    r[7, 3] = 1e14  # a return from an equity of next to nothing
    sane = np.delete(r, 3, axis=1)
    assert superior_predictive_ability(r, resamples=200).constant == 0
    assert romano_wolf(r, resamples=200).constant == 0
    assert np.isfinite(pbo(r).pbo)
    assert pbo(sane).pbo == pytest.approx(pbo(r).pbo, abs=0.2)
