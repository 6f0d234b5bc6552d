from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from windtunnel.errors import MetricError
from windtunnel.metrics.ml import ml_metrics


def case(
    kind: str, seed: int, bars: int = 60, instruments: int = 3, configurations: int = 19
) -> tuple[np.ndarray, np.ndarray]:
    """Scores with every awkward column: coarse ties, constants, no opinion, one row."""
    rng = np.random.default_rng(seed)
    shape = (bars, instruments, configurations)
    scores = np.clip(rng.normal(0, 0.5, shape), -1, 1).astype(np.float32)
    scores[rng.random(shape) < 0.05] = np.nan
    scores[..., 1] = np.round(scores[..., 1], 1) + np.float32(0.0)
    scores[..., 2] = 0.25
    scores[..., 3] = np.nan
    scores[..., 4] = np.nan
    scores[5, 0, 4] = 0.5
    scores[..., 5] = np.where(rng.random(shape[:2]) < 0.5, -0.0, 0.0)
    scores[..., 6] = np.sign(scores[..., 6])
    if kind == "direction":
        labels = (rng.random(shape[:2]) < 0.55).astype(np.float32)
    else:
        labels = rng.normal(0, 1, shape[:2]).astype(np.float32)
        labels[::4] = np.round(labels[::4])
    labels[-4:] = np.nan
    labels[3, 1] = np.nan
    return scores, labels


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


def reference(scores: np.ndarray, labels: np.ndarray, kind: str) -> dict[str, float]:
    """Plain definitions; the area under the curve by comparing every pair."""
    s, y = scores.ravel().astype(float), labels.ravel().astype(float)
    keep = ~np.isnan(s) & ~np.isnan(y)
    s, y = s[keep], y[keep]
    names = (
        ("log_loss", "auc", "accuracy", "brier", "ic", "rank_ic", "calibration_error")
        if kind == "direction"
        else ("mse", "accuracy", "ic", "rank_ic")
    )
    if len(s) == 0:
        return dict.fromkeys(names, math.nan)
    common = {"ic": correlation(s, y), "rank_ic": rank_correlation(s, y)}
    if kind == "forward_return":
        right = np.where(s * y == 0, 0.5, s * y > 0)
        return {"mse": np.mean((s - y) ** 2), "accuracy": right.mean(), **common}
    p = (1 + s) / 2
    clipped = np.clip(p, 1e-7, 1 - 1e-7)
    up, down = s[y == 1], s[y == 0]
    pairs = (up[:, None] > down) + 0.5 * (up[:, None] == down)
    bins = np.minimum((p * 10).astype(int), 9)
    error = sum(
        (bins == b).mean() * abs(p[bins == b].mean() - y[bins == b].mean()) for b in set(bins)
    )
    return {
        "log_loss": -np.mean(y * np.log(clipped) + (1 - y) * np.log(1 - clipped)),
        "auc": pairs.mean() if pairs.size else math.nan,
        "accuracy": np.where(p == 0.5, 0.5, (p > 0.5) == y).mean(),
        "brier": np.mean((p - y) ** 2),
        "calibration_error": error,
        **common,
    }


@pytest.mark.parametrize("kind", ["direction", "forward_return"])
@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_the_plain_definitions(kind: str, seed: int) -> None:
    scores, labels = case(kind, seed)
    metrics = ml_metrics(scores, labels, kind)
    for c in range(scores.shape[2]):
        wanted = reference(scores[..., c], labels, kind)
        assert set(wanted) == set(metrics)
        for name, value in wanted.items():
            np.testing.assert_allclose(
                metrics[name][c], value, rtol=1e-10, atol=1e-12, err_msg=f"{name} {c}"
            )


def test_radix_ranks_on_every_magnitude_and_sign() -> None:
    rng = np.random.default_rng(1)
    magnitudes = 10.0 ** rng.uniform(-44, 38, (4000, 1, 2))
    scores = (magnitudes * rng.choice([-1, 1], magnitudes.shape)).astype(np.float32)
    scores[::7] = 0
    labels = rng.normal(0, 1, (4000, 1)).astype(np.float32)
    got = ml_metrics(scores, labels, "forward_return")["rank_ic"]
    for c in range(2):
        wanted = stats.spearmanr(scores[:, 0, c], labels[:, 0])[0]
        assert got[c] == pytest.approx(wanted, rel=1e-10)


def test_by_hand() -> None:
    # p = .9, .2, .5, .5 against 1, 0, 1, 0
    scores = np.array([0.8, -0.6, 0.0, 0.0], dtype=np.float32)[:, None, None]
    labels = np.array([1, 0, 1, 0], dtype=np.float32)[:, None]
    metrics = {k: v[0] for k, v in ml_metrics(scores, labels, "direction").items()}
    assert metrics["auc"] == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert metrics["accuracy"] == pytest.approx(0.75)
    assert metrics["brier"] == pytest.approx((0.01 + 0.04 + 0.25 + 0.25) / 4)
    assert metrics["log_loss"] == pytest.approx(
        -(math.log(0.9) + math.log(0.8) + 2 * math.log(0.5)) / 4
    )
    assert metrics["calibration_error"] == pytest.approx((0.1 + 0.2 + 0) / 4)


def test_certain_and_wrong_costs_the_clip() -> None:
    scores = np.array([1.0, -1.0], dtype=np.float32)[:, None, None]
    labels = np.array([0.0, 1.0], dtype=np.float32)[:, None]
    assert ml_metrics(scores, labels, "direction")["log_loss"][0] == pytest.approx(-math.log(1e-7))


def test_one_class_has_no_auc() -> None:
    scores = np.linspace(-0.5, 0.5, 8, dtype=np.float32)[:, None, None]
    metrics = ml_metrics(scores, np.ones((8, 1), dtype=np.float32), "direction")
    for name in ("auc", "ic", "rank_ic"):
        assert np.isnan(metrics[name][0]), name
    assert metrics["accuracy"][0] == 0.5


@pytest.mark.parametrize("kind", ["direction", "forward_return"])
def test_all_nan_is_undefined(kind: str) -> None:
    scores, labels = case(kind, 0)
    for metrics in (
        ml_metrics(np.full_like(scores, np.nan), labels, kind),
        ml_metrics(scores, np.full_like(labels, np.nan), kind),
    ):
        assert all(np.isnan(value).all() for value in metrics.values())
        assert all(value.shape == (scores.shape[2],) for value in metrics.values())


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["direction", "forward_return"]))
def test_permuted_configurations_and_rows(seed: int, kind: str) -> None:
    scores, labels = case(kind, seed, bars=20, configurations=33)
    rng = np.random.default_rng(seed)
    order, rows = rng.permutation(33), rng.permutation(20)
    plain = ml_metrics(scores, labels, kind)
    permuted = ml_metrics(scores[:, :, order], labels, kind)
    shuffled = ml_metrics(scores[rows], labels[rows], kind)
    for name, value in plain.items():
        np.testing.assert_array_equal(permuted[name], value[order], err_msg=name)
        np.testing.assert_allclose(shuffled[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_ranks_ignore_a_monotone_map() -> None:
    scores, labels = case("direction", 2)
    bent = np.sign(scores) * np.abs(scores) ** np.float32(0.5)
    plain, mapped = (ml_metrics(s, labels, "direction") for s in (scores, bent))
    for name in ("auc", "rank_ic"):
        np.testing.assert_allclose(mapped[name], plain[name], rtol=1e-12)


def test_no_configurations_give_empty_results() -> None:
    metrics = ml_metrics(np.empty((4, 2, 0), np.float32), np.ones((4, 2), np.float32), "direction")
    assert all(value.shape == (0,) for value in metrics.values())


def broken(kind: str, **places: float) -> tuple[np.ndarray, np.ndarray, str]:
    scores, labels = case(kind, 0)
    if "score" in places:
        scores[7, 2, 17] = places["score"]
    if "label" in places:
        labels[6, 1] = places["label"]
    return scores, labels, kind


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (broken("direction", score=1.5), "bar 7, instrument 2, configuration 17 is 1.5"),
        (broken("direction", score=math.inf), "bar 7, instrument 2, configuration 17 is inf"),
        (broken("forward_return", score=-math.inf), "configuration 17 is -inf"),
        (broken("direction", label=0.5), "labels: bar 6, instrument 1 is 0.5"),
        (broken("forward_return", label=math.inf), "labels: bar 6, instrument 1 is inf"),
        ((*case("direction", 0), "sign"), "kind"),
        ((np.ones((3, 2)), np.ones((3, 2)), "direction"), "scores and labels"),
        ((np.ones((3, 2, 1)), np.ones((4, 2)), "direction"), "scores and labels"),
    ],
)
def test_misuse_is_refused(arguments: tuple[np.ndarray, np.ndarray, str], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        ml_metrics(*arguments)
