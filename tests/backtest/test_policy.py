"""From score to exposure, one bar at a time, with expected values by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.backtest.policy import target_exposures
from windtunnel.errors import BacktestError

NAN = float("nan")
# enter, exit, long_only, scores, signals
SERIES = {
    "enters at the threshold and holds above the lower one": (
        (0.5, 0.2, False),
        [0.49, 0.5, 0.2, 0.19, 0.4, -0.5],
        [0, 1, 1, 0, 0, -1],
    ),
    "an opposite score turns only from the entry threshold on": (
        (0.5, 0.2, False),
        [0.6, -0.4, 0.6, -0.5, 0.5],
        [1, 0, 1, -1, 1],
    ),
    "long only closes where it would turn": (
        (0.5, 0.2, True),
        [0.6, -0.9, -0.9, 0.6, -0.1],
        [1, 0, 0, 1, 0],
    ),
    "no opinion changes nothing": (
        (0.5, 0.2, False),
        [NAN, -0.7, NAN, NAN, 0.0, NAN],
        [0, -1, -1, -1, 0, 0],
    ),
    "the lower of exit and enter is in force": (
        (0.3, 0.8, False),
        [0.3, 0.35, 0.29],
        [1, 1, 0],
    ),
    "without thresholds the sign rules": (
        (0.0, 0.0, False),
        [0.0, 1e-30, 0.1, 0.0, -1e-30, NAN, 0.2],
        [0, 1, 1, 0, -1, -1, 1],
    ),
}


def exposures_of(scores, listed=None, **changes):
    values = np.array(scores, np.float64)
    if values.ndim == 1:
        values = values[:, None]
    mask = np.ones(values.shape, bool) if listed is None else np.array(listed)
    given = {"enter": 0.5, "exit": 0.2, "leverage": 1.0, "long_only": False}
    return target_exposures(values, mask, **(given | changes))


@pytest.mark.parametrize("name", SERIES)
def test_series(name) -> None:
    (enter, exit_, long_only), scores, signals = SERIES[name]
    exposures, state = exposures_of(
        scores, enter=enter, exit=exit_, leverage=2.0, long_only=long_only
    )
    np.testing.assert_array_equal(exposures[:, 0], 2.0 * np.array(signals))
    assert state.tolist() == [signals[-1]]
    assert state.dtype == np.int8


def test_leverage_is_shared_by_the_listed() -> None:
    # Three instruments, of which two, three, none and one have a bar.
    listed = [[True, True, False], [True, True, True], [False] * 3, [False, False, True]]
    scores = [[0.9, -0.9, 0.9], [NAN, NAN, 0.9], [NAN] * 3, [NAN] * 3]
    exposures, state = exposures_of(scores, listed, leverage=1.2)
    expected = [[0.6, -0.6, NAN], [0.4, -0.4, 0.4], [NAN] * 3, [NAN, NAN, 1.2]]
    np.testing.assert_allclose(exposures, expected, rtol=1e-15)
    # The score of the third instrument at bar 0, where it has no bar, counted for nothing.
    assert state.tolist() == [1, -1, 1]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 20))
def test_continuing_from_a_state_equals_the_whole(seed, cut) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-1, 1, (20, 3)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = np.nan
    listed = rng.random(scores.shape) < 0.8
    terms = {"enter": 0.4, "exit": 0.1, "leverage": 1.0, "long_only": bool(seed % 2)}
    whole, end = target_exposures(scores, listed, **terms)
    head, state = target_exposures(scores[:cut], listed[:cut], **terms)
    tail, state = target_exposures(scores[cut:], listed[cut:], state=state, **terms)
    np.testing.assert_array_equal(np.concatenate([head, tail]), whole)
    np.testing.assert_array_equal(state, end)


def test_float32_scores_are_widened_before_they_meet_a_threshold() -> None:
    # The float32 nearest to 0.1 lies above the float64 nearest to it; that of 0.3 likewise, that
    # of 0.7 below.
    scores = np.array([[0.1], [0.3], [0.7]], np.float32)
    listed = np.ones((3, 1), bool)
    for threshold, reached in ((0.1, True), (0.3, True), (0.7, False)):
        at = scores[np.isclose(scores[:, 0], threshold)]
        exposures, _ = target_exposures(
            at, listed[:1], enter=threshold, exit=0.0, leverage=1.0, long_only=False
        )
        assert bool(exposures[0, 0]) is reached


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scores": np.zeros((2, 2, 2))}, r"scores: must be a \(T, N\) array of floats"),
        ({"scores": np.zeros((2, 2), int)}, r"got int64 of shape \(2, 2\)"),
        ({"scores": np.array([[0.0, 0.0], [np.inf, 0.0]])}, r"scores\[1, 0\]: .* got inf"),
        ({"listed": np.ones((2, 3), bool)}, r"listed: must be bool of shape \(2, 2\)"),
        ({"listed": np.ones((2, 2))}, r"got float64"),
        ({"enter": -0.1}, r"enter: must be finite and at least 0, got -0.1"),
        ({"exit": np.nan}, r"exit: must be finite"),
        ({"leverage": 0.0}, r"leverage: must lie in \(0, 1000\], got 0.0"),
        ({"state": np.zeros(3, np.int8)}, r"state: must be \(2,\) int8"),
        ({"state": np.full(2, 2, np.int8)}, r"state: must be \(2,\) int8 in \{-1, 0, 1\}"),
    ],
)
def test_refusals(changes, words) -> None:
    given = {
        "scores": np.zeros((2, 2)),
        "listed": np.ones((2, 2), bool),
        "enter": 0.1,
        "exit": 0.1,
        "leverage": 1.0,
        "long_only": True,
    } | changes
    with pytest.raises(BacktestError, match=words):
        target_exposures(given.pop("scores"), given.pop("listed"), **given)


def test_the_served_path_needs_neither_the_core_nor_a_compiler() -> None:
    code = (
        "import sys, windtunnel.backtest.policy; "
        "print([m for m in ('windtunnel._core', 'jax', 'numba') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"volatility": np.array([[-0.3], [0.3]])}, r"volatility\[0, 0\]: .*above 0.*-0.3"),
        ({"volatility": np.array([[0.3], [0.0]])}, r"volatility\[1, 0\]: .*above 0"),
        ({"volatility_target": -0.1}, "volatility_target: must be finite and above 0, got -0.1"),
        ({"volatility": None}, "give both or neither"),
        ({"proportional": True}, "volatility_target: .*a proportional score is the size"),
    ],
)
def test_a_volatility_that_the_engine_refuses_is_refused(changes, words) -> None:
    terms = {"volatility": np.full((2, 1), 0.3), "volatility_target": 0.1} | changes
    with pytest.raises(BacktestError, match=words):
        target_exposures(
            np.ones((2, 1), np.float32),
            np.ones((2, 1), bool),
            enter=0.5,
            exit=0.1,
            leverage=1.0,
            long_only=False,
            **terms,
        )


def test_a_score_without_a_bar_is_not_looked_at() -> None:
    scores = np.array([[np.inf, 1.0]], np.float32)
    exposures, _ = target_exposures(
        scores, np.array([[False, True]]), enter=0.5, exit=0.1, leverage=1.0, long_only=True
    )
    np.testing.assert_array_equal(exposures, [[np.nan, 1.0]])
