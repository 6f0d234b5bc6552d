from __future__ import annotations

import math

import numpy as np
import pytest

from windtunnel.config.study import LabelSection
from windtunnel.data.panel import Panel
from windtunnel.labels import make_labels

NAN = math.nan


def panel_of(opening, close=None) -> Panel:
    opening = np.array(opening, np.float64)
    opening = opening[:, None] if opening.ndim == 1 else opening
    close = opening if close is None else np.array(close, np.float64).reshape(opening.shape)
    high, low = np.maximum(opening, close), np.minimum(opening, close)
    return Panel(
        timestamps=np.arange(len(opening)).astype("datetime64[us]"),
        symbols=tuple("ABC"[: opening.shape[1]]),
        open=opening,
        high=high,
        low=low,
        close=close,
        volume=np.where(np.isnan(close), NAN, 1.0),
        tradable=~np.isnan(close),
        fingerprint="made up",
    )


def label(kind="direction", horizon=2) -> LabelSection:
    return LabelSection(kind=kind, horizon=horizon)


def random_panel(bars=60, seed=3) -> Panel:
    rng = np.random.default_rng(seed)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, (bars, 2)), axis=0))
    return panel_of(close * np.exp(rng.normal(0, 0.01, close.shape)), close)


def test_direction_by_hand():
    # Opens from t+1 to t+3: 11 -> 13 up, 12 -> 10 down, 13 -> 13 level, then past the end.
    labels = make_labels(panel_of([10, 11, 12, 13, 10, 13]), label())
    np.testing.assert_array_equal(labels.values[:, 0], [1, 0, 0, NAN, NAN, NAN])
    np.testing.assert_array_equal(labels.end[:, 0], [3, 4, 5, -1, -1, -1])
    assert labels.values.dtype == np.float32
    assert labels.end.dtype == np.int64
    assert (labels.kind, labels.horizon) == ("direction", 2)


def test_closes_do_not_enter_a_direction():
    opening = [10, 11, 12, 13, 10, 13]
    one = make_labels(panel_of(opening), label())
    other = make_labels(panel_of(opening, [3, 99, 1, 7, 50, 2]), label())
    np.testing.assert_array_equal(one.values, other.values)


def test_forward_return_by_hand():
    """Log returns alternate +a, -a: over 20 of them the mean is 0, s = a * sqrt(20/19)."""
    close = np.where(np.arange(24) % 2 == 0, 100.0, 110.0)
    opening = np.full(24, 50.0)
    opening[21:] = 50, 55, 48
    labels = make_labels(panel_of(opening, close), label("forward_return", 1))
    scale = math.log(1.1) * math.sqrt(20 / 19)
    assert np.isnan(labels.values[:20]).all()
    assert labels.values[20, 0] == pytest.approx((55 / 50 - 1) / scale, rel=1e-6)
    assert labels.values[21, 0] == pytest.approx((48 / 55 - 1) / scale, rel=1e-6)
    assert np.isnan(labels.values[22:]).all()
    np.testing.assert_array_equal(labels.end[18:, 0], [-1, -1, 22, 23, -1, -1])


@pytest.mark.parametrize("horizon", [1, 4])
def test_forward_return_is_scaled_by_what_was_known_at_the_decision(horizon):
    panel = random_panel()
    labels = make_labels(panel, label("forward_return", horizon))
    for t in range(20, 59 - horizon):
        for n in range(2):
            s = np.std(np.diff(np.log(panel.close[t - 20 : t + 1, n])), ddof=1)
            r = panel.open[t + 1 + horizon, n] / panel.open[t + 1, n] - 1
            assert labels.values[t, n] == pytest.approx(r / (s * math.sqrt(horizon)), rel=1e-5)
    assert (labels.end[20 : 59 - horizon] >= 0).all()


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("kind", ["direction", "forward_return"])
def test_window_that_touches_a_missing_bar_is_undefined(kind, horizon):
    panel = random_panel()
    for name in ("open", "high", "low", "close", "volume"):
        getattr(panel, name)[30, 1] = NAN
    before = make_labels(random_panel(), label(kind, horizon))
    labels = make_labels(panel, label(kind, horizon))
    # From the decision whose last open is bar 30 to the one made at bar 30; a scale needs 21
    # bars without a gap besides.
    last = 50 if kind == "forward_return" else 30
    touched = np.zeros(60, bool)
    touched[30 - 1 - horizon : last + 1] = True
    np.testing.assert_array_equal(labels.values[:, 0], before.values[:, 0])
    np.testing.assert_array_equal(labels.values[~touched, 1], before.values[~touched, 1])
    assert np.isnan(labels.values[touched, 1]).all()
    assert (labels.end[touched, 1] == -1).all()
    assert np.isfinite(before.values[touched & (np.arange(60) >= 20), 1][:3]).all()


@pytest.mark.parametrize("kind", ["direction", "forward_return"])
def test_label_reads_no_bar_after_its_end(kind):
    """What purging relies on: bars after `end` cannot change the label."""
    panel = random_panel()
    labels = make_labels(panel, label(kind, 3))
    for t in range(25, 30):
        end = int(labels.end[t, 0])
        assert end == t + 4
        changed = random_panel()
        for name in ("open", "high", "low", "close", "volume"):
            getattr(changed, name)[end + 1 :] = NAN
        other = make_labels(changed, label(kind, 3))
        assert (other.values[: t + 1] == labels.values[: t + 1])[20:].all()
        # The open at `end` itself is read.
        changed.open[end] *= 0.5
        assert make_labels(changed, label("forward_return", 3)).values[t, 0] < -1


def test_value_and_end_are_defined_together():
    for kind in ("direction", "forward_return"):
        labels = make_labels(random_panel(), label(kind, 5))
        np.testing.assert_array_equal(np.isnan(labels.values), labels.end == -1)


@pytest.mark.parametrize("growth", [1.0, 1.01])
def test_close_without_variance_gives_no_scale(growth):
    """The same return bar after bar: what is left of its spread is rounding."""
    opening = np.linspace(10, 20, 30)
    close = 15.3 * growth ** np.arange(30)
    labels = make_labels(panel_of(opening, close), label("forward_return", 1))
    assert np.isnan(labels.values).all()
    assert (labels.end == -1).all()


@pytest.mark.parametrize("bars", [1, 2, 6, 7])
def test_history_as_short_as_the_horizon_has_no_labels(bars):
    labels = make_labels(panel_of(np.arange(1.0, bars + 1)), label(horizon=5))
    assert labels.values.shape == (bars, 1)
    assert (labels.end >= 0).sum() == max(0, bars - 6)
