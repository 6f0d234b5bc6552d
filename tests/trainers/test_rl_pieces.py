"""The pieces of reinforcement learning, each against a value worked out apart from it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import SplitError
from windtunnel.protocols import TrainingTask
from windtunnel.trainers.rl import ppo
from windtunnel.trainers.rl.account import Account, Settled
from windtunnel.trainers.rl.actions import Continuous, Levels
from windtunnel.trainers.rl.environment import Memory, Rules, Scale, Tastes, reward
from windtunnel.trainers.rl.episodes import episode_starts, training_bars

LEVELS = Levels((-1.0, 0.0, 0.5))


def f32(*values):
    return jnp.asarray(values, jnp.float32)


def test_levels_are_drawn_as_often_as_they_should() -> None:
    logits = jnp.log(f32(0.2, 0.5, 0.3))
    noise = (jnp.arange(1000, dtype=jnp.float32) + 0.5) / 1000
    drawn = np.asarray(LEVELS.draw(jnp.broadcast_to(logits, (1000, 3)), noise))
    np.testing.assert_array_equal(np.bincount(drawn.astype(int)), [200, 500, 300])
    np.testing.assert_array_equal(LEVELS.level(f32(0, 1, 2)), [-1.0, 0.0, 0.5])
    level, margin = LEVELS.best(logits)
    assert level == 0.0
    assert margin == pytest.approx(0.2)


def test_levels_have_log_probabilities_and_entropy() -> None:
    logits = jnp.broadcast_to(jnp.log(f32(0.2, 0.5, 0.3)), (3, 3))
    logs, entropy = LEVELS.log_prob(logits, f32(0, 1, 2))
    np.testing.assert_allclose(logs, np.log([0.2, 0.5, 0.3]), rtol=1e-6)
    expected = -sum(p * np.log(p) for p in (0.2, 0.5, 0.3))
    np.testing.assert_allclose(entropy, [expected] * 3, rtol=1e-6)


@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(-3, 3))
def test_a_continuous_decision_is_a_gaussian_cut_off_at_the_ends(mean, raw, noise) -> None:
    from scipy import integrate, stats

    actions = Continuous(low=-1.0)
    logits = f32(mean, raw)
    law = stats.norm(10 * np.float32(mean), np.exp(-2 + 2.5 * np.tanh(10 * np.float32(raw) + 0.85)))
    decision = float(actions.draw(logits, jnp.float32(noise)))
    assert decision == pytest.approx(np.clip(law.mean() + law.std() * noise, -1, 1), abs=1e-4)
    for taken, expected in ((-1.0, law.logcdf(-1)), (1.0, law.logsf(1)), (0.3, law.logpdf(0.3))):
        logs, entropy = actions.log_prob(logits, jnp.float32(taken))
        assert float(logs) == pytest.approx(expected, rel=1e-3, abs=1e-3)
    ends = [law.cdf(-1), law.sf(1)]
    inside, _ = integrate.quad(
        lambda x: -law.pdf(x) * law.logpdf(x),
        -1,
        1,
        points=[float(np.clip(law.mean(), -1, 1))],
        limit=200,
    )
    expected = inside - sum(mass * np.log(mass) for mass in ends if mass > 0)
    assert float(entropy) == pytest.approx(expected, abs=2e-3)
    level = float(Continuous(low=0.0).level(jnp.float32(decision)))
    assert level == pytest.approx(0.5 * (decision + 1))
    assert 0 <= level <= 1


@pytest.mark.parametrize("mean", [-40.0, -2.0, 0.0, 2.0, 40.0])
@pytest.mark.parametrize("raw", [-40.0, 0.0, 40.0])
def test_a_continuous_decision_has_finite_gradients_however_sure_it_is(mean, raw) -> None:
    def total(logits):
        logs, entropy = Continuous(low=-1.0).log_prob(logits, f32(-1.0, 0.2, 1.0))
        return jnp.sum(logs) + jnp.sum(entropy)

    assert np.isfinite(jax.grad(total)(f32(mean, raw))).all()


@given(st.integers(0, 2**32 - 1))
def test_advantages_are_discounted_sums_of_surprises(seed) -> None:
    """Schulman et al. (2016), equation 16, written out as a double loop."""
    rng = np.random.default_rng(seed)
    bars, envs = 7, 3
    rewards, values = rng.normal(size=(2, bars, envs, 2)).astype(np.float32)
    last = rng.normal(size=(envs, 2)).astype(np.float32)
    goes_on = (rng.random((bars, envs)) > 0.2).astype(np.float32)
    discount, decay = 0.9, 0.8
    settings = ppo.Settings(*f32(0, 0, discount, decay, 0, 0, 0))
    nothing = jnp.zeros(())
    path = ppo.Path(
        nothing, nothing, nothing, jnp.asarray(values), jnp.asarray(rewards), nothing,
        jnp.asarray(goes_on),
    )  # fmt: skip
    found = np.asarray(ppo.advantages(path, jnp.asarray(last), settings))
    following = np.concatenate([values[1:], last[None]])
    surprise = rewards + discount * goes_on[..., None] * following - values
    for t in range(bars):
        expected, weight = np.zeros((envs, 2)), np.ones((envs, 1))
        for later in range(t, bars):
            expected += weight * surprise[later]
            weight = weight * discount * decay * goes_on[later][:, None]
        np.testing.assert_allclose(found[t], expected, atol=1e-4)


def settled_account(equity: float) -> Account:
    nothing = f32(0, 0)
    return Account(
        jnp.float32(equity), nothing, nothing, nothing, nothing, nothing, nothing,
        jnp.asarray(False), jnp.float32(equity),
    )  # fmt: skip


def test_rewards_by_hand() -> None:
    scale = Scale(f32(0), f32(1), jnp.float32(0.01))
    tastes = Tastes(*f32(1, 0.001, 0.5))
    before, after = settled_account(2.0), settled_account(1.9)
    settled = Settled(f32(0.02, -0.12), jnp.float32(1.9), f32(0.4, 0.0), None, None, None)
    memory = Memory(jnp.float32(2.5), jnp.float32(0.001), jnp.float32(0.0004))
    terms = None
    plain, moved = reward(Rules(terms), tastes, scale, before, after, settled, memory)
    # Gains over equity, less 0.1 % of the traded share, less half of 4 points more drawdown.
    expected = [(0.01 - 0.001 * 0.2 - 0.5 * 0.02), (-0.06 - 0.5 * 0.02)]
    np.testing.assert_allclose(plain, np.array(expected) / 0.01, rtol=1e-4)
    assert float(moved.peak) == 2.5
    assert float(moved.first) == pytest.approx(0.001 + 0.01 * (-0.05 - 0.001))
    assert float(moved.second) == pytest.approx(0.0004 + 0.01 * (0.0025 - 0.0004))


def test_the_differential_sharpe_ratio_is_the_derivative_of_the_sharpe_ratio() -> None:
    """What a bar adds to an exponential Sharpe ratio, for a small weight."""
    scale = Scale(f32(0), f32(1), jnp.float32(0.01))
    tastes = Tastes(*f32(1, 0, 0))
    first, second, total, rate = 0.0005, 0.0002, 0.013, 1e-5
    settled = Settled(f32(total / 2, total / 2), None, f32(0, 0), None, None, None)
    memory = Memory(jnp.float32(1), jnp.float32(first), jnp.float32(second))
    rules = Rules(None, "differential_sharpe", rate)
    found, _ = reward(
        rules, tastes, scale, settled_account(1.0), settled_account(1 + total), settled, memory
    )

    def sharpe(mean, square):
        return mean / np.sqrt(square - mean**2)

    moved = sharpe(first + rate * (total - first), second + rate * (total**2 - second))
    derivative = (moved - sharpe(first, second)) / rate
    assert float(found.sum()) == pytest.approx(derivative, rel=1e-3)


def bare_task(train, features=None) -> TrainingTask:
    folds, bars, instruments = train.shape
    if features is None:
        features = np.zeros((bars, instruments, 1), np.float32)
    return TrainingTask(
        features, np.zeros((bars, instruments), np.float32), train, ((0, 1),) * folds, "direction"
    )


def test_purged_bars_part_a_stretch_and_bars_without_features_do_not() -> None:
    train = np.ones((2, 20, 1), bool)
    train[0, 8:11] = False  # purged: features are there
    train[1, 15:] = False
    features = np.zeros((20, 1, 1), np.float32)
    features[[3, 4]] = np.nan  # nobody could have been trained there
    train[:, [3, 4]] = False
    allowed = training_bars(bare_task(train, features))
    np.testing.assert_array_equal(np.flatnonzero(~allowed[0]), [8, 9, 10])
    np.testing.assert_array_equal(np.flatnonzero(~allowed[1]), [15, 16, 17, 18, 19])
    starts = episode_starts(allowed, 7)
    np.testing.assert_array_equal(starts[0], [0, 1, 11, 12, 13])
    np.testing.assert_array_equal(starts[1], np.arange(9))
    for fold in (0, 1):
        for first in starts[fold]:
            assert allowed[fold, first : first + 7].all()


def test_an_episode_longer_than_every_stretch_is_refused() -> None:
    train = np.ones((1, 20, 1), bool)
    train[0, 9] = False
    with pytest.raises(SplitError, match=r"fold 0: the longest stretch .* has 10 bars.* 11"):
        episode_starts(training_bars(bare_task(train)), 11)


def test_a_long_gradient_is_shortened_and_a_short_one_kept() -> None:
    long = ppo.clipped({"a": f32(3, 0), "b": f32(4)})
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(long)))
    assert float(norm) == pytest.approx(ppo.MAX_GRADIENT_NORM)
    np.testing.assert_array_equal(ppo.clipped({"a": f32(0.1)})["a"], f32(0.1))
