"""One decision of a trained policy: what the study evaluates, the bundle holds, the service asks.

The policy trades an account of its own along with the bars it is shown, so that its own state
is what it was in the backtest, whoever asks. An ensemble of seeds decides for one account
together, by the mean of their levels.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp

from windtunnel.trainers.rl.account import Account, open_account, settle
from windtunnel.trainers.rl.environment import Bar, Scale, observe, target
from windtunnel.trainers.rl.networks import act
from windtunnel.trainers.rl.rollout import Stage


class Decider(NamedTuple):
    """State between two bars.

    account; pending (N,) target exposures decided and not yet filled, NaN for no decision;
    carry (S, N, memory) of the recurrent cells; weights (S,) of the seeds.
    """

    account: Account
    pending: Any
    carry: Any
    weights: Any

    @classmethod
    def flat(cls, stage: Stage, weights: jax.Array, bar: Bar) -> Self:
        """Cash alone, nothing decided, nothing remembered."""
        instruments = len(bar.defined)
        return cls(
            open_account(bar.quote),
            jnp.full(instruments, jnp.nan, jnp.float32),
            jnp.zeros((len(weights), instruments, stage.module.memory), jnp.float32),
            weights,
        )


def decide(
    stage: Stage, params: Any, scale: Scale, leverage: jax.Array, state: Decider, bar: Bar
) -> tuple[Decider, jax.Array, jax.Array]:
    """Settle what was decided at the last close with the new bar, and decide at its close.

    Parameters
    ----------
    params : pytree with leading axis S
    bar : Bar
        The next bar; after `Decider.flat` the very bar it was given.

    Returns
    -------
    state : Decider
    level : (N,) float32
        In [-1, 1], of the largest exposure that an instrument may get: the score. NaN, no
        decision, where a feature is not defined.
    margin : (N,) float32
        How clear the closest of the seeds' choices was, a difference of probabilities.
    """
    account, _ = settle(state.account, state.pending, bar.quote, stage.rules.terms)
    seen = observe(account, bar, scale, leverage)
    carry, logits, _ = jax.vmap(lambda one, carry: act(stage.module, one, carry, seen))(
        params, state.carry
    )
    levels, margins = stage.actions.best(logits)
    level = jnp.where(bar.defined, jnp.sum(levels * state.weights[:, None], axis=0), jnp.nan)
    wanted = target(level, bar, leverage)
    # A seed without weight has no say in how close the choice was.
    margin = jnp.min(jnp.where(state.weights[:, None] > 0, margins, 1.0), axis=0)
    return Decider(account, wanted, carry, state.weights), level, margin
