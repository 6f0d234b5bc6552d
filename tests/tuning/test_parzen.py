"""Densities against SciPy and by quadrature; axes there and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from scipy.special import logsumexp
from scipy.stats import kstest, truncnorm

from windtunnel.tuning import parzen
from windtunnel.tuning.axes import Axis, axis

SPACE: dict[str, BaseDistribution] = {
    "real": FloatDistribution(-1.0, 3.0),
    "log": FloatDistribution(1e-4, 1e-1, log=True),
    "whole": IntDistribution(2, 20, step=3),
    "double": IntDistribution(1, 64, log=True),
    "name": CategoricalDistribution(("a", "b", "c")),
}
VALUES = {
    "real": [0.0, 2.5, -0.5, 2.4],
    "log": [1e-3, 1e-2, 5e-2, 1e-4],
    "whole": [2, 11, 20, 11],
    "double": [1, 8, 64, 7],
    "name": ["a", "c", "c", "b"],
}
AXES = [axis(kind) for kind in SPACE.values()]


def observed() -> np.ndarray:
    return np.array(
        [each.coordinates(VALUES[name]) for name, each in zip(SPACE, AXES, strict=True)]
    ).T


def test_axes_there_and_back() -> None:
    for (name, values), each in zip(VALUES.items(), AXES, strict=True):
        back = [each.value(x) for x in each.coordinates(values)]
        assert back == pytest.approx(values) if name in ("real", "log") else back == values


@given(u=st.floats(0, 1))
def test_every_coordinate_has_a_value_in_the_range(u: float) -> None:
    for each in [*AXES, axis(IntDistribution(0, 10_000)), axis(FloatDistribution(0, 1, step=0.25))]:
        x = u if each.continuous else float(min(int(u * each.levels), each.levels - 1))
        value = each.value(x)
        assert each.distribution._contains(each.distribution.to_internal_repr(value))


def test_one_dimension_by_hand() -> None:
    """Kernels reach to the farther neighbour, clipped; the prior is as wide as the range."""
    (only,) = [axis(FloatDistribution(0, 1))]
    points = np.array([[0.2], [0.5], [0.6]])
    mixture = parzen.fit([only], points)
    centres, widths = [0.2, 0.5, 0.6, 0.5], [0.3, 0.3, 0.2, 1.0]
    at = np.linspace(0, 1, 7)
    expected = np.mean(
        [
            truncnorm.pdf(at, -c / w, (1 - c) / w, loc=c, scale=w)
            for c, w in zip(centres, widths, strict=True)
        ],
        axis=0,
    )
    np.testing.assert_allclose(np.exp(mixture.log_density(at[:, None])), expected, rtol=1e-12)


def test_density_integrates_to_one_over_mixed_axes() -> None:
    mixture = parzen.fit(AXES, observed())
    rng = np.random.default_rng(0)
    count = 200_000
    uniform = _anywhere(AXES, rng, count)
    cells = math.prod(each.levels for each in AXES if not each.continuous)
    assert np.exp(mixture.log_density(uniform)).mean() * cells == pytest.approx(1.0, rel=0.03)


def test_samples_follow_the_density() -> None:
    mixture = parzen.fit(AXES, observed())
    drawn = mixture.sample(np.random.default_rng(1), 40_000)
    # E_p[1/p] over the support is its volume.
    cells = math.prod(each.levels for each in AXES if not each.continuous)
    assert np.mean(np.exp(-mixture.log_density(drawn))) == pytest.approx(cells, rel=0.1)
    names = np.bincount(drawn[:, 4].astype(int), minlength=3) / len(drawn)
    share = 1 / 5  # the prior's weight, shared by the choices of every kernel
    kernels = (np.eye(3)[[0, 2, 2, 1]] + share) / (1 + 3 * share)
    np.testing.assert_allclose(names, (kernels.sum(0) + 1 / 3) / 5, atol=0.01)


def test_an_absent_dimension_says_nothing() -> None:
    """Uniform where an observation lacks the axis, left out where the point does."""
    points = observed()
    points[1, 0] = points[3, 4] = np.nan
    mixture = parzen.fit(AXES, points)
    here = observed()[:1].repeat(2, axis=0)
    here[1, 0] = np.nan
    _, without = mixture.log_density(here)
    rest = parzen.fit(AXES[1:], points[:, 1:]).log_density(here[:1, 1:])
    assert without == pytest.approx(rest[0])


def test_against_optuna() -> None:
    """The same widths, weights and prior as the densities of Optuna's own sampler."""
    module = pytest.importorskip("optuna.samplers._tpe.parzen_estimator")
    rng = np.random.default_rng(2)
    space = {"x": FloatDistribution(-1, 3), "n": CategoricalDistribution(("a", "b"))}
    raw = {"x": rng.uniform(-1, 3, 40), "n": rng.integers(2, size=40).astype(float)}
    from optuna.samplers._tpe.sampler import default_weights

    theirs = module._ParzenEstimator(
        raw,
        space,
        module._ParzenEstimatorParameters(1.0, True, False, default_weights, True),
    )
    axes = [axis(kind) for kind in space.values()]
    points = np.column_stack([(raw["x"] + 1) / 4, raw["n"]])
    ours = parzen.fit(axes, points)
    at = {"x": rng.uniform(-1, 3, 9), "n": rng.integers(2, size=9).astype(float)}
    found = ours.log_density(np.column_stack([(at["x"] + 1) / 4, at["n"]])) - math.log(4)
    np.testing.assert_allclose(found, theirs.log_pdf(at), rtol=1e-9)


@given(
    kinds=st.lists(
        st.sampled_from([FloatDistribution(0, 1), IntDistribution(5, 204), *SPACE.values()]),
        min_size=1,
        max_size=30,
    ),
    count=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_log_density_by_scipy_s_log_sum_exp(
    kinds: list[BaseDistribution], count: int, seed: int
) -> None:
    """Finite over any number of axes, where the density itself may be less than any float."""
    axes = [axis(kind) for kind in kinds]
    rng = np.random.default_rng(seed)
    points, at = (_anywhere(axes, rng, n) for n in (count, 5))
    points[rng.random(points.shape) < 0.2] = np.nan
    mixture = parzen.fit(axes, points)
    terms = np.log(mixture.weights) + np.zeros((len(at), 1))
    smooth = row = 0
    for place, each in enumerate(axes):
        if each.continuous:
            apart = at[:, place, None] - mixture.centre[smooth]
            terms += mixture.log_height[smooth] - 0.5 * (apart / mixture.width[smooth]) ** 2
            smooth += 1
        else:
            terms += mixture.tables[row + at[:, place].astype(int)]
            row += each.levels
    expected = logsumexp(terms, axis=1)
    np.testing.assert_allclose(mixture.log_density(at), expected, rtol=1e-12, atol=1e-12)


def test_sampling_an_axis_that_observations_lack_is_uniform() -> None:
    """And without a warning: warnings are errors here."""
    (only,) = [axis(FloatDistribution(0, 1))]
    mixture = parzen.fit([only], np.full((40, 1), np.nan))
    drawn = mixture.sample(np.random.default_rng(3), 4_000)[:, 0]
    assert kstest(drawn, "uniform").pvalue > 0.01  # of 41 components one is the prior's bell


def _anywhere(axes: list[Axis], rng: np.random.Generator, count: int) -> np.ndarray:
    return np.column_stack(
        [
            rng.random(count) if each.continuous else rng.integers(each.levels, size=count)
            for each in axes
        ]
    ).astype(float)
