from __future__ import annotations

import math

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.metrics import lanes
from windtunnel.overfitting import (
    common_block_length,
    reality_check,
    romano_wolf,
    stationary_block_length,
    superior_predictive_ability,
)
from windtunnel.overfitting._bootstrap_kernel import resample_sharpe
from windtunnel.overfitting._counts_kernel import draw_counts
from windtunnel.overfitting._resampled import long_run_deviation

TESTS = (reality_check, superior_predictive_ability, romano_wolf)


def trials(bars: int, count: int, seed: int = 0, phi: float = 0.0) -> np.ndarray:
    """Noise of unequal scale; the second trial has an edge, the third loses."""
    rng = np.random.default_rng(seed)
    r = rng.normal(0, 0.01, (bars, count)) * np.linspace(0.5, 2.0, count)
    for t in range(1, bars):
        r[t] += phi * r[t - 1]
    r[:, 1] += 0.001
    r[:, 2] -= 0.006
    return r


def counts(bars: int, block: float, resamples: int, seed: int = 0) -> np.ndarray:
    drawn = np.zeros((resamples, bars))
    draw_counts(seed, block, drawn, 0, resamples)
    return drawn


def omega(x: np.ndarray, block: float) -> float:
    """Hansen's page 372 in loops."""
    n, q = len(x), 1.0 / block
    d = x - x.mean()
    g = [sum(d[t] * d[t + i] for t in range(n - i)) / n for i in range(n)]
    k = [(n - i) / n * (1 - q) ** i + i / n * (1 - q) ** (n - i) for i in range(n)]
    return math.sqrt(g[0] + 2 * sum(k[i] * g[i] for i in range(1, n)))


@pytest.mark.parametrize("bars", [20, 61, 90])
@pytest.mark.parametrize("block", [1.0, 3.5, 20.0])
def test_long_run_deviation_is_the_one_of_the_paper(bars: int, block: float) -> None:
    r = trials(bars, 4, phi=0.4)
    wanted = [omega(column, block) for column in r.T]
    np.testing.assert_allclose(long_run_deviation(r - r.mean(axis=0), block), wanted, rtol=1e-9)


def test_long_run_deviation_is_that_of_the_bootstrap_mean() -> None:
    r = trials(80, 3, phi=0.6)
    means = counts(80, 6.0, 40_000) @ (r - r.mean(axis=0)) / 80
    np.testing.assert_allclose(
        means.std(axis=0) * math.sqrt(80),
        long_run_deviation(r - r.mean(axis=0), 6.0),
        rtol=0.02,
    )


def test_counts_are_the_draws_of_the_resampler() -> None:
    series = trials(70, 3)[:, 1]
    drawn = counts(70, 4.0, 30, seed=9)
    np.testing.assert_array_equal(drawn.sum(axis=1), 70)
    out = np.empty(30)
    resample_sharpe(series, 9, 4.0, 0.0, out, 0, 30)
    mean = drawn @ series / 70
    variance = (drawn @ series**2 - 70 * mean**2) / 69
    np.testing.assert_allclose(out, mean / np.sqrt(variance), rtol=1e-9)


@pytest.mark.parametrize(("bars", "count", "block"), [(60, 7, 3.0), (45, 3, 1.0), (100, 700, 5.0)])
def test_agree_with_the_definitions_one_resample_at_a_time(
    bars: int, count: int, block: float
) -> None:
    r = trials(bars, count)
    benchmark = np.random.default_rng(5).normal(0, 0.003, bars)
    resamples = 200
    d = r - benchmark[:, None]
    mean = d.mean(axis=0)
    w = long_run_deviation(d - mean, block)
    root = math.sqrt(bars)
    often = counts(bars, block, resamples)
    drawn = often @ d / bars  # bootstrap means
    spread = np.sqrt(often @ (d - mean) ** 2 / bars - (drawn - mean) ** 2)
    anew = w * spread / d.std(axis=0)  # (B, C): the deviation with that of each resample's bars

    check = reality_check(r, benchmark=benchmark, resamples=resamples, block_length=block)
    best = (root * (drawn - mean)).max(axis=1)
    assert check.statistic == pytest.approx(root * mean.max())
    assert check.best == mean.argmax()
    assert check.p_value == (1 + (best >= root * mean.max()).sum()) / (resamples + 1)

    spa = superior_predictive_ability(
        r, benchmark=benchmark, resamples=resamples, block_length=block
    )
    statistic = max(0.0, (root * mean / w).max())
    assert spa.statistic == pytest.approx(statistic)
    assert spa.best == (mean / w).argmax()
    poor = root * mean / w < -math.sqrt(2 * math.log(math.log(bars)))
    recentring = {
        "lower": np.maximum(mean, 0),
        "consistent": np.where(poor, 0, mean),
        "upper": mean,
    }
    assert poor.any() or bars == 45
    for name, g in recentring.items():
        best = np.maximum(0, (root * (drawn - g) / anew).max(axis=1))
        p = (1 + (best >= statistic).sum()) / (resamples + 1)
        assert getattr(spa, name) == pytest.approx(p, abs=1e-12), name
    assert spa.lower <= spa.consistent <= spa.upper

    step = romano_wolf(r, benchmark=benchmark, resamples=resamples, block_length=block)
    score = root * mean / w
    np.testing.assert_allclose(step.statistics, score)
    rest = list(np.argsort(-score))
    worst_so_far = 0.0
    while rest:
        best = (root * (drawn[:, rest] - mean[rest]) / anew[:, rest]).max(axis=1)
        p = (1 + (best >= score[rest[0]]).sum()) / (resamples + 1)
        worst_so_far = max(worst_so_far, p)
        assert step.p_values[rest[0]] == pytest.approx(worst_so_far, abs=1e-12)
        rest = rest[1:]
    assert step.p_values[spa.best] == spa.upper


@pytest.mark.parametrize("phi", [0.0, 0.4])
def test_agree_with_arch(phi: float) -> None:
    bootstrap = pytest.importorskip("arch.bootstrap")
    r = trials(300, 20, seed=3, phi=phi)
    block, resamples = 5, 4000
    w = long_run_deviation(r - r.mean(axis=0), block)
    # arch leaves out the studentising that it names, and wants losses.
    theirs = bootstrap.SPA(
        np.zeros(300), -r / w, block_size=block, reps=resamples, bootstrap="stationary", seed=1
    )
    theirs.compute()
    ours = superior_predictive_ability(r, resamples=resamples, block_length=block)
    for name in ("lower", "consistent", "upper"):
        # Two estimates of 4,000 resamples: four standard deviations are .045 at most.
        assert getattr(ours, name) == pytest.approx(theirs.pvalues[name], abs=0.045), name
    stepped = bootstrap.StepM(
        np.zeros(300), -r / w, size=0.3, block_size=block, reps=resamples, seed=1
    )
    stepped.compute()
    p = romano_wolf(r, resamples=resamples, block_length=block).p_values
    near = {int(c) for c in np.flatnonzero(np.abs(p - 0.3) < 0.03)}
    assert set(stepped.superior_models) - near == set(np.flatnonzero(p <= 0.3)) - near
    unscaled = bootstrap.SPA(
        np.zeros(300), -r, block_size=block, reps=resamples, bootstrap="stationary", seed=1
    )
    unscaled.compute()
    check = reality_check(r, resamples=resamples, block_length=block)
    assert check.p_value == pytest.approx(unscaled.pvalues["upper"], abs=0.045)


def test_an_edge_is_found_and_named() -> None:
    r = trials(1000, 60)
    r[:, 1] += 0.001
    assert superior_predictive_ability(r).best == reality_check(r).best == 1
    assert superior_predictive_ability(r).consistent < 0.01
    step = romano_wolf(r)
    assert np.flatnonzero(step.p_values < 0.05).tolist() == [1]


def test_no_gain_at_all_has_p_value_one() -> None:
    r = np.random.default_rng(0).normal(-0.01, 0.01, (100, 5))
    spa = superior_predictive_ability(r)
    assert (spa.lower, spa.consistent, spa.upper, spa.statistic) == (1.0, 1.0, 1.0, 0.0)


def test_scale_of_a_trial_does_not_matter_to_the_studentised() -> None:
    r = trials(200, 6)
    scaled = r * np.array([1, 50, 1, 0.01, 3, 1])
    a, b = (
        superior_predictive_ability(r, block_length=2),
        superior_predictive_ability(scaled, block_length=2),
    )
    assert (a.lower, a.consistent, a.upper) == (b.lower, b.consistent, b.upper)
    np.testing.assert_array_equal(
        romano_wolf(r, block_length=2).p_values, romano_wolf(scaled, block_length=2).p_values
    )


def test_copies_of_a_trial_change_nothing() -> None:
    r = trials(200, 5)
    copies = np.tile(r, (1, 40))
    assert (
        superior_predictive_ability(r, block_length=2).consistent
        == superior_predictive_ability(copies, block_length=2).consistent
    )


def test_constant_trials_are_left_out_and_counted() -> None:
    r = trials(200, 5)
    padded = np.column_stack([np.zeros(200), r, np.full(200, 0.01)])
    for test in TESTS:
        assert test(padded).constant == 2
    assert superior_predictive_ability(padded).best == superior_predictive_ability(r).best + 1
    p = romano_wolf(padded).p_values
    assert np.isnan(p[[0, -1]]).all()
    np.testing.assert_array_equal(p[1:-1], romano_wolf(r).p_values)
    nothing = np.zeros((50, 3))
    assert math.isnan(superior_predictive_ability(nothing).consistent)
    assert math.isnan(reality_check(nothing).p_value)
    assert "vary" in reality_check(nothing).reason
    assert np.isnan(romano_wolf(nothing).p_values).all()


def test_same_seed_same_answer_for_any_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    r = trials(150, 30)
    many = superior_predictive_ability(r, seed=4)
    monkeypatch.setitem(vars(lanes.numba.config), "NUMBA_NUM_THREADS", 1)
    assert superior_predictive_ability(r, seed=4) == many
    assert superior_predictive_ability(r, seed=5) != many


def test_common_block_length_is_the_median_of_the_trials() -> None:
    r = np.column_stack([trials(300, 301, phi=0.5), np.zeros(300)])
    each = [stationary_block_length(column) for column in r.T[:-1]]
    assert common_block_length(r) == pytest.approx(np.median(each), rel=1e-9)
    assert common_block_length(np.ones((30, 2))) == 1.0
    assert superior_predictive_ability(r).block_length == common_block_length(r)


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize(
    ("returns", "arguments", "message"),
    [
        (np.ones(30), {}, "returns"),
        (np.ones((19, 2)), {}, "T >= 20"),
        (np.full((30, 2), np.nan), {}, "bar 0 of trial 0"),
        (np.ones((30, 2)), {"benchmark": np.ones(29)}, "benchmark"),
        (np.ones((30, 2)), {"benchmark": np.full(30, np.inf)}, "is inf"),
        (np.ones((30, 2)), {"resamples": 99}, "resamples"),
        (np.ones((30, 2)), {"seed": -1}, "seed"),
        (np.ones((30, 2)), {"block_length": 31.0}, "block_length"),
        (np.ones((30, 2)), {"block_length": 0.5}, "block_length"),
    ],
)
def test_misuse_is_refused(test, returns, arguments, message) -> None:
    with pytest.raises(MetricError, match=message):
        test(returns, **arguments)
