"""A state goes to the client and comes back: every real account is taken, an impossible one not."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution
from windtunnel.deployment.manifest import Session
from windtunnel.deployment.session import beginning, pack, unpack
from windtunnel.errors import BundleError
from windtunnel.trainers.rl.account import Account, Quote, Terms, open_account, settle

N, BARS = 3, 80


def accounts(fill, leverage):
    """States of an account that trades at random, as a policy's program gives them."""
    random = np.random.default_rng(5)
    terms = Terms.of(
        Costs(1e-3, 5e-4, 0.05, 0.1, impact=0.05),
        Execution(fill, 1000.0, 0.1, participation=0.3),
        band=0.01,
        periods_per_year=252.0,
    )
    step = jax.jit(lambda account, target, quote: settle(account, target, quote, terms)[0])
    mark = 100 * np.exp(np.cumsum(random.normal(0, 0.03, (BARS, N)), axis=0))
    account = None
    for close in mark.astype(np.float32):
        price = (close * np.exp(random.normal(0, 0.01, N))).astype(np.float32)
        volume = random.uniform(0.01, 1, N).astype(np.float32)
        quote = Quote(
            price if fill == "next_open" else close, close, volume, random.random(N) < 0.9
        )
        target = (leverage * random.integers(-1, 2, N)).astype(np.float32)
        target[random.random(N) < 0.1] = np.nan
        account = open_account(quote) if account is None else step(account, target, quote)
        state = {name: np.asarray(getattr(account, name), np.float32) for name in Account._fields}
        yield state | {"pending": target, "carry": np.tanh(random.normal(0, 9, (2, N, 4)))}


def session_of(state):
    return Session(state={name: np.shape(value) for name, value in state.items()})


@pytest.mark.parametrize("fill", ["next_open", "same_close", "next_close"])
@pytest.mark.parametrize("leverage", [0.3, 8.0])
def test_every_real_account_is_taken_to_the_bit(fill, leverage):
    closed = False
    for state in accounts(fill, leverage):
        taken = unpack(pack(state), session_of(state))
        for name, value in state.items():
            np.testing.assert_array_equal(taken[name], value.astype(np.float32), strict=True)
        closed |= bool(state["closed"])
    assert closed == (leverage > 1)
    fresh = beginning(session_of(state))
    assert unpack(pack(fresh), session_of(state)).keys() == fresh.keys()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cash", -1e6, "equity is not cash and positions"),
        ("units", 1e9, "entry and units|equity is not cash"),
        ("equity", -1.0, "equity is not cash and positions"),
        ("mark", 1e-30, "equity is not cash and positions"),
        ("mark", 0.0, "mark holds a value"),
        ("closed", 1.0, "a liquidated account holds something"),
        ("closed", 0.5, "closed holds a value"),
        ("tradable", 2.0, "tradable holds a value"),
        ("entry", -3.0, "entry holds a value"),
        ("entry", 0.0, "entry and units name different positions"),
        ("held", -7.0, "held holds a value"),
        ("held", 0.5, "held holds a value"),
        ("carry", 1e30, "carry holds a value"),
        ("pending", np.inf, "pending holds a value"),
    ],
)
def test_what_no_account_can_have_is_refused(name, value, message):
    state = next(one for one in list(accounts("next_open", 0.3))[20:] if (one["units"] != 0).any())
    with pytest.raises(BundleError, match=message):
        unpack(pack(state | {name: np.full_like(state[name], value)}), session_of(state))
