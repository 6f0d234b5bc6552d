from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import rankdata

from windtunnel.errors import MetricError
from windtunnel.overfitting import pbo


def reference(returns: np.ndarray, blocks: int) -> tuple[float, np.ndarray, float]:
    """The procedure of the paper on the rows themselves, one split after another."""
    bars, trials = returns.shape
    pieces = np.split(np.arange(bars), np.arange(1, blocks) * bars // blocks)
    logits, losses = [], []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([pieces[b] for b in chosen])
        outside = np.setdiff1d(np.arange(bars), inside)
        a, b = (sharpe(returns[rows]) for rows in (inside, outside))
        best = int(np.argmax(a))
        w = rankdata(np.round(b, 10))[best] / (trials + 1)
        logits.append(np.log(w / (1 - w)))
        losses.append(b[best] < 0)
    values = np.array(logits)
    return float((values <= 1e-12).mean()), np.sort(values), float(np.mean(losses))


def sharpe(returns: np.ndarray) -> np.ndarray:
    """Without variation: 0 where nothing is earned."""
    deviation = returns.std(axis=0, ddof=1)
    moving = deviation > 1e-15
    return np.where(moving, returns.mean(axis=0) / np.where(moving, deviation, 1), 0.0)


@pytest.mark.parametrize(
    ("bars", "trials", "blocks"),
    [(60, 2, 2), (64, 5, 4), (83, 8, 6), (120, 33, 8), (107, 4, 10)],
)
def test_agrees_with_the_rows_themselves(bars: int, trials: int, blocks: int) -> None:
    rng = np.random.default_rng(bars)
    returns = rng.normal(0.0002, 0.01, (bars, trials))
    returns[:, 0] += 0.002
    returns[bars // 2 :, 1] = 0.0  # stopped trading half-way
    result = pbo(returns, blocks)
    wanted, logits, loss = reference(returns, blocks)
    assert result.pbo == pytest.approx(wanted, abs=1e-12)
    np.testing.assert_allclose(np.sort(result.logits), logits, atol=1e-9)
    assert result.probability_of_loss == pytest.approx(loss, abs=1e-12)
    assert result.splits == len(logits)
    assert result.reason == ""


def test_sixteen_blocks_give_12870_splits() -> None:
    result = pbo(np.random.default_rng(0).normal(0, 0.01, (160, 6)))
    assert result.splits == len(result.logits) == 12_870
    assert result.blocks == 16


def test_one_good_trial_is_found_again() -> None:
    returns = np.random.default_rng(0).normal(0, 0.01, (500, 50))
    returns[:, 17] += 0.004
    result = pbo(returns)
    assert result.pbo < 0.01
    assert result.probability_of_loss < 0.01
    assert np.allclose(result.logits, np.log(50.0))  # rank 50 of 50, w = 50 / 51


def test_noise_averages_one_half() -> None:
    # A single draw has a standard deviation of about .2, so look at the mean of many.
    rng = np.random.default_rng(11)
    values = [pbo(rng.normal(0, 0.01, (160, 20)), 8).pbo for _ in range(200)]
    assert np.mean(values) == pytest.approx(0.5, abs=0.05)
    assert np.std(values) > 0.1


def test_demeaned_columns_force_one() -> None:
    # The trap that the implementation must not walk into, shown from outside.
    returns = np.random.default_rng(0).normal(0, 0.01, (320, 20))
    returns[:, 3] += 0.003
    assert pbo(returns).pbo < 0.05
    assert pbo(returns - returns.mean(axis=0)).pbo > 0.95


def test_a_common_offset_keeps_its_meaning() -> None:
    rng = np.random.default_rng(2)
    losing = rng.normal(0, 0.001, (320, 10)) - 0.01
    assert pbo(losing).probability_of_loss == 1.0
    assert pbo(losing + 0.02).probability_of_loss == 0.0


def test_order_and_leverage_of_trials_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    returns = rng.normal(0, 0.01, (200, 12))
    result = pbo(returns, 8)
    order = rng.permutation(12)
    assert np.array_equal(pbo(returns[:, order], 8).logits, result.logits)
    geared = pbo(returns * rng.uniform(0.1, 5, 12), 8)
    np.testing.assert_allclose(geared.logits, result.logits)


@pytest.mark.parametrize("factor", [np.ones(7), np.linspace(0.3, 3, 7)])
def test_identical_trials_are_degenerate(factor: np.ndarray) -> None:
    one = np.random.default_rng(0).normal(0.001, 0.01, (160, 1))
    result = pbo(one * factor)
    assert np.isnan(result.pbo)
    assert np.isnan(result.probability_of_loss)
    assert "nothing to choose" in result.reason


@pytest.mark.parametrize("value", [0.0, 0.01])
def test_constant_trials_are_degenerate(value: float) -> None:
    assert "nothing to choose" in pbo(np.full((160, 5), value)).reason


def test_copies_share_their_rank() -> None:
    rng = np.random.default_rng(4)
    good = rng.normal(0.01, 0.01, (160, 1))
    bad = rng.normal(-0.01, 0.01, (160, 1))
    result = pbo(np.column_stack([good, 2 * good, 3 * good, bad]), 4)
    # The three copies share rank 3 of 4 out of sample in every split.
    assert np.allclose(result.logits, np.log(0.6 / 0.4))


def test_the_middle_rank_counts_as_failure() -> None:
    # Two trials that are each better in one half: the loser has rank 1 of 2.
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 1e-4, (40, 2))
    first = np.repeat([[0.01, -0.01], [-0.01, 0.01]], 20, axis=0)
    assert pbo(first + noise, 2).pbo == 1.0


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_ties_are_judged_without_regard_to_order(order: list[int]) -> None:
    # Both idle in the second half: tied out of sample there (rank 1.5 of 2, logit 0), and
    # tied in sample, where the worse one (rank 1 of 2) stands for the choice.
    returns = np.zeros((40, 2))
    returns[:20, 0] = np.resize([0.01, 0.02], 20)
    result = pbo(returns[:, order], 2)
    assert sorted(result.logits.tolist()) == pytest.approx([np.log(0.5), 0.0])
    assert result.pbo == 1.0


@pytest.mark.parametrize(
    ("returns", "blocks", "message"),
    [
        (np.ones((100, 1)), 16, "C >= 2"),
        (np.ones((31, 3)), 16, "T >= 32"),
        (np.ones(100), 16, "returns"),
        (np.full((100, 3), np.nan), 16, "bar 0 of trial 0 is nan"),
        (np.ones((100, 3)), 5, "blocks"),
        (np.ones((100, 3)), 22, "blocks"),
        (np.ones((100, 3)), 0, "blocks"),
    ],
)
def test_misuse_is_refused(returns: np.ndarray, blocks: int, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        pbo(returns, blocks)
