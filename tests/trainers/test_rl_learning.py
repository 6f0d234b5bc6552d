"""It learns: a small version of the table in docs/reinforcement_learning.md."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest


@pytest.fixture(scope="module")
def learning(root):
    spec = importlib.util.spec_from_file_location("rl_learning", root / "scripts/rl_learning.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["rl_learning"] = module
    spec.loader.exec_module(module)
    return module


def test_the_best_policy_is_the_best(learning) -> None:
    """Value iteration, against every policy of a world small enough to try them all."""
    chain = learning.Chain(
        "tiny",
        moves=np.array([[0.7, 0.3], [0.4, 0.6]]),
        gains=np.array([[0.01, 0.01], [-0.01, -0.01]]),
        seen=np.zeros((2, 1)),
        noise=0.0,
        cost=0.004,
    )
    best = chain.best()
    levels = np.array(learning.LEVELS)

    def average(policy) -> float:
        """Mean reward of a policy (state, held) -> level, by the chain's stationary law."""
        size = 2 * len(levels)
        moves, earned = np.zeros((size, size)), np.zeros(size)
        for state in range(2):
            for held in range(len(levels)):
                taken = policy[state][held]
                at = state * len(levels) + held
                gain = (chain.moves[state] * chain.gains[state]).sum()
                paid = chain.cost * abs(levels[taken] - levels[held])
                earned[at] = levels[taken] * gain - paid
                for following in range(2):
                    moves[at, following * len(levels) + taken] += chain.moves[state, following]
        law = np.full(size, 1 / size)
        for _ in range(2000):
            law = 0.5 * law + 0.5 * law @ moves  # lazy, so that a cycle converges too
        return float(law @ earned)

    rng = np.random.default_rng(0)
    rivals = [rng.integers(0, 3, (2, 3)) for _ in range(300)]
    assert average(best) >= max(average(policy) for policy in rivals) - 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("actions", ["levels", "continuous"])
def test_it_reaches_most_of_the_optimum_with_every_seed(learning, actions) -> None:
    outcomes = learning.learn(
        learning.trend_with_costs(), learning.default_settings(actions=actions), seeds=5
    )
    shares = [one.share for one in outcomes]
    assert outcomes[0].best_growth > 0.3
    assert min(shares) > 0.8, shares
    assert np.median(shares) > 0.9, shares


def test_where_nothing_can_be_known_it_learns_not_to_trade(learning) -> None:
    outcomes = learning.learn(
        learning.noise(), learning.default_settings(updates=80), seeds=5, bars=3000
    )
    assert outcomes[0].best_growth == 0
    turnover = [one.turnover for one in outcomes]
    assert np.median(turnover) < 0.02, turnover  # even odds would turn over 0.9 a bar
    assert max(turnover) < 0.15, turnover
