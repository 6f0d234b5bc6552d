"""A wide plateau is chosen over a narrow spike, and that pays out of sample."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from windtunnel.judgement.champion import _filled, neighbourhood, stand_out


def planted(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, in-sample and out-of-sample value: a broad hill that lasts, a spike that does not."""
    generator = np.random.default_rng(seed)
    points = generator.uniform(size=(256, 3))
    hill = np.exp(-(((points - 0.3) / 0.25) ** 2).sum(axis=1))
    spike = np.exp(-(((points - points[0]) / 0.03) ** 2).sum(axis=1))
    seen = hill + 1.6 * spike + generator.normal(0, 0.15, len(points))
    return points, seen, hill


def test_plateau_has_less_regret_than_the_peak() -> None:
    regret = {"plateau": [], "peak": []}
    for seed in range(40):
        points, seen, lasting = planted(seed)
        best, _ = stand_out(points, seen[None], neighbourhood(len(points)))
        regret["plateau"].append(lasting.max() - lasting[best])
        regret["peak"].append(lasting.max() - lasting[np.argmax(seen)])
    assert np.mean(regret["plateau"]) < 0.4 * np.mean(regret["peak"])
    assert np.mean(np.array(regret["plateau"]) <= regret["peak"]) > 0.8


def test_ratios_without_a_loss_to_divide_by_are_the_best_and_without_a_trade_nothing() -> None:
    trials = pl.DataFrame(
        {
            "total_return": [0.0, 0.2, 0.1, -0.1],
            "sortino": [None, None, 1.5, -2.0],
        }
    )
    assert trials.select(_filled("sortino"))["sortino"].to_list() == [0.0, 1.5, 1.5, -2.0]
    lost = trials.with_columns(sortino=pl.Series([None, None, -1.0, -2.0]))
    assert lost.select(_filled("sortino"))["sortino"].to_list() == [0.0, 0.0, -1.0, -2.0]
    none = trials.with_columns(sortino=pl.lit(None, pl.Float64))
    assert none.select(_filled("sortino"))["sortino"].to_list() == [0.0] * 4


def test_several_metrics_outvote_an_accident_of_one() -> None:
    points = np.linspace(0, 1, 9)[:, None]
    steady = np.array([0, 1, 2, 3, 4, 3, 2, 1, 0.0])
    accident = steady[::-1].copy()
    accident[0] = 100.0
    best, plateau = stand_out(points, np.stack([accident, steady, steady]), 1)
    assert best == 4
    assert plateau == accident[4]


def test_scale_of_a_metric_does_not_decide() -> None:
    points, seen, _ = planted(3)
    metrics = np.stack([seen, np.roll(seen, 1)])
    scaled = metrics * np.array([[1.0], [1e6]])
    assert stand_out(points, metrics, 9)[0] == stand_out(points, scaled, 9)[0]


@pytest.mark.parametrize(("trials", "size"), [(1, 1), (2, 2), (9, 3), (256, 16), (10**6, 32)])
def test_neighbourhood_grows_with_the_root(trials: int, size: int) -> None:
    assert neighbourhood(trials) == size


def test_ties_go_to_the_earlier_trial() -> None:
    points = np.array([[0.0], [0.5], [1.0]])
    assert stand_out(points, np.ones((2, 3)), 1) == (0, 1.0)
