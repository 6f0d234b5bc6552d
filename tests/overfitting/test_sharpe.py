from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from windtunnel.errors import MetricError
from windtunnel.overfitting import (
    deflation_threshold,
    dsr,
    expected_maximum,
    minimum_backtest_length,
    minimum_track_record_length,
    psr,
    sidak_p_value,
)
from windtunnel.overfitting._normal import cdf, variance_of_maximum

FAT = {"skewness": -2.448, "kurtosis": 10.164}


def test_psr_of_2012_known_values() -> None:
    sharpe = 1.585 / math.sqrt(12)
    assert psr(sharpe, 24) == pytest.approx(0.98159, abs=5e-6)
    assert psr(sharpe, 24, **FAT) == pytest.approx(0.91323, abs=5e-6)


def test_psr_of_2025_known_values() -> None:
    sharpe = 0.036 / 0.079
    assert psr(sharpe, 24, **FAT, variant="2025") == pytest.approx(0.98721, abs=5e-6)
    assert psr(sharpe, 24, **FAT, variant="2025", benchmark=0.1) == pytest.approx(0.93915, abs=5e-6)


def test_dsr_of_2014_known_values() -> None:
    record = {"trial_variance": 0.5 / 250, "skewness": -3.0, "kurtosis": 10.0}
    sharpe = 2.5 / math.sqrt(250)
    assert deflation_threshold(100, 0.5 / 250) == pytest.approx(0.113172, abs=5e-7)
    assert dsr(sharpe, 1250, trials=100, **record) == pytest.approx(0.900397, abs=5e-7)
    assert dsr(sharpe, 1250, trials=46, **record) == pytest.approx(0.950502, abs=5e-7)


def test_dsr_of_2025_known_values() -> None:
    assert deflation_threshold(10, 0.1) == pytest.approx(0.49793, abs=5e-6)
    deflated = dsr(0.036 / 0.079, 24, trials=10, trial_variance=0.1, **FAT, variant="2025")
    assert deflated == pytest.approx(0.41636, abs=5e-6)


@pytest.mark.parametrize(("bars", "years"), [(250, 2.7312), (52, 2.8288), (12, 3.2398)])
def test_minimum_track_record_known_values(bars: int, years: float) -> None:
    length = minimum_track_record_length(2 / math.sqrt(bars), benchmark=1 / math.sqrt(bars))
    assert length / bars == pytest.approx(years, abs=5e-5)


def test_expected_maximum_known_values() -> None:
    assert expected_maximum(1) == 0.0
    assert expected_maximum(10) == pytest.approx(1.5746, abs=5e-5)
    assert expected_maximum(100) == pytest.approx(2.5306, abs=5e-5)
    assert minimum_backtest_length(45, 1.0) == pytest.approx(4.998087, abs=5e-7)


def test_expected_maximum_against_drawn_maxima() -> None:
    draws = np.random.default_rng(0).normal(size=(4000, 100)).max(axis=1)
    assert expected_maximum(100) == pytest.approx(draws.mean(), abs=0.05)
    assert variance_of_maximum(100) == pytest.approx(draws.var(), rel=0.1)


def test_variance_of_maximum_closed_forms() -> None:
    assert variance_of_maximum(1) == pytest.approx(1.0, abs=1e-12)
    assert variance_of_maximum(2) == pytest.approx(1 - 1 / math.pi, abs=1e-12)
    assert variance_of_maximum(3) == pytest.approx(
        1 + math.sqrt(3) / (2 * math.pi) - 9 / (4 * math.pi), abs=1e-12
    )


@given(st.floats(1, 1e9), st.floats(1, 10))
def test_expected_maximum_rises_with_trials(trials: float, factor: float) -> None:
    assert 0 <= expected_maximum(trials) <= expected_maximum(trials * factor)


@given(
    st.floats(0.01, 0.5),
    st.floats(0.0, 0.9),
    st.floats(-1.5, 1.5),
    st.floats(0.1, 5.0),
    st.floats(0.6, 0.999),
)
def test_a_record_of_the_minimum_length_reaches_the_confidence(
    sharpe: float, share: float, skewness: float, extra: float, confidence: float
) -> None:
    moments = {"skewness": skewness, "kurtosis": 1 + skewness**2 + extra}
    benchmark = share * sharpe
    length = minimum_track_record_length(
        sharpe, benchmark=benchmark, confidence=confidence, **moments
    )
    if length >= 2:
        reached = psr(sharpe, length, benchmark=benchmark, **moments)
        assert reached == pytest.approx(confidence, abs=1e-9)


def test_never_is_nan() -> None:
    lengths = minimum_track_record_length([0.1, 0.2, 0.3], benchmark=0.2)
    assert np.isnan(lengths).tolist() == [True, True, False]


@given(st.floats(-1, 1), st.integers(2, 5000), st.floats(1, 1e6), st.floats(0, 1))
def test_deflation_only_lowers(
    sharpe: float, bars: int, trials: float, trial_variance: float
) -> None:
    deflated = dsr(sharpe, bars, trials=trials, trial_variance=trial_variance)
    assert 0 <= deflated <= psr(sharpe, bars) <= 1


def test_one_trial_is_not_deflated() -> None:
    for variant, plain in (("2014", "2012"), ("2025", "2025")):
        deflated = dsr(0.1, 300, trials=1, trial_variance=0.01, variant=variant, **FAT)
        assert deflated == pytest.approx(psr(0.1, 300, variant=plain, **FAT), abs=1e-12)


def test_arrays_are_taken_elementwise() -> None:
    sharpe = np.array([0.0, 0.05, 0.1])
    skew, kurt = np.array([0.0, -1.0, 1.0]), np.array([3.0, 5.0, 9.0])
    together = psr(sharpe, 500, skewness=skew, kurtosis=kurt)
    alone = [
        psr(s, 500, skewness=a, kurtosis=b) for s, a, b in zip(sharpe, skew, kurt, strict=True)
    ]
    assert together.tolist() == [float(x) for x in alone]
    assert together[0] == 0.5


def test_undefined_trials_pass_only_when_asked() -> None:
    with pytest.raises(MetricError, match="sharpe: must be finite, got nan"):
        psr([0.1, math.nan], 100)
    got = psr([0.1, math.nan], 100, nan_policy="propagate")
    assert np.isnan(got).tolist() == [False, True]
    with pytest.raises(MetricError, match="sharpe: must be finite, got inf"):
        psr([0.1, math.inf], 100, nan_policy="propagate")


def test_a_two_point_distribution_reaches_the_bound() -> None:
    # P(2) = .2, P(-.5) = .8: skewness 1.5, kurtosis exactly 1 + 1.5**2.
    assert np.isfinite(psr(0.1, 100, skewness=1.5, kurtosis=3.25))
    # Where the standard error vanishes there is no ratio to report.
    assert np.isnan(psr(2.0, 100, skewness=1.0, kurtosis=2.0))


def test_cdf_keeps_the_far_tail() -> None:
    z = np.array([-37.0, -10.0, -1.0, 0.0, 2.0, 9.0])
    np.testing.assert_allclose(cdf(z), stats.norm.cdf(z), rtol=1e-12)
    assert np.isnan(cdf(np.array([np.nan])))[0]


def test_sidak() -> None:
    assert sidak_p_value(0.95, 1) == pytest.approx(0.05)
    assert sidak_p_value(0.95, 100) == pytest.approx(1 - 0.95**100)
    assert sidak_p_value(1 - 1e-13, 10) == pytest.approx(1e-12, rel=1e-2)
    assert sidak_p_value([0.0, 1.0], 5).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: psr(0.1, 1), "observations: must be 2 or more, got 1"),
        (lambda: psr(0.1, 50, kurtosis=0.0), r"kurtosis: must be at least 1 \+ skewness"),
        (lambda: psr(0.1, 50, skewness=2.0, kurtosis=4.9), "got 4.9 with skewness 2"),
        (lambda: psr(0.1, 50, variant="2014"), "variant"),
        (lambda: psr(0.1, 50, nan_policy="omit"), "nan_policy"),
        (lambda: psr([0.1, 0.2], 50, skewness=[0.0] * 3), "broadcast"),
        (lambda: dsr(0.1, 50, trials=0.5, trial_variance=0.1), "trials"),
        (lambda: dsr(0.1, 50, trials=5, trial_variance=-0.1), "trial_variance"),
        (lambda: dsr(0.1, 50, trials=5, trial_variance=0.1, variant="2012"), "variant"),
        (lambda: expected_maximum(math.nan), "trials"),
        (lambda: minimum_track_record_length(0.1, confidence=0.5), "confidence"),
        (lambda: minimum_backtest_length(10, 0.0), "sharpe"),
        (lambda: sidak_p_value(1.5, 10), "confidence"),
        (lambda: sidak_p_value(math.nan, 10), "confidence"),
        (lambda: sidak_p_value(0.5, 0), "trials"),
    ],
)
def test_misuse_is_refused(call: object, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        call()  # type: ignore[operator]
