"""A market to act in: what the policy sees at a close, and what its decision earns.

One environment is one account on a panel of N instruments. At the close of bar t the policy
sees, for every instrument, its features and the account's own state in it; it decides a
level in [-1, 1] for each, which is turned into a target exposure; `account.settle` carries
the account to the close of bar t + 1. All functions are for one environment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from windtunnel.backtest.market import COLUMNS, market_rows
from windtunnel.data.panel import Panel
from windtunnel.trainers.rl.account import Account, Quote, Settled, Terms

OWN_STATE = ("exposure", "unrealised_return", "time_in_position")
_HORIZON = 20.0  # bars over which own state is scaled
_MARKET = len(COLUMNS) + 1  # columns of a table before the features


@dataclass(frozen=True)
class Rules:
    """What is fixed for all environments of a program.

    Attributes
    ----------
    terms : Terms
        Costs and execution.
    reward : "return" or "differential_sharpe"
        The account's return of a bar, or what it adds to an exponential Sharpe ratio.
    sharpe_rate : float
        Weight of a bar in the running moments of the differential Sharpe ratio.
    """

    terms: Terms
    reward: Literal["return", "differential_sharpe"] = "return"
    sharpe_rate: float = 0.01


class Bar(NamedTuple):
    """One bar of the market.

    quote : Quote; share () the fraction of the leverage that each listed instrument gets;
    defined (N,) bool where all features are, so that there is a decision; x (N, F) raw
    features, 0 where not defined.
    """

    quote: Any
    share: Any
    defined: Any
    x: Any


class Scale(NamedTuple):
    """Normalisation, fitted on the training bars of a fold and frozen.

    mean (F,) of the features and gain (F,), one over their deviation, or 0 for a feature that is
    not to be seen; volatility () the deviation of the return of one bar, which scales rewards
    and unrealised returns.
    """

    mean: Any
    gain: Any
    volatility: Any


class Tastes(NamedTuple):
    """What one configuration wants: leverage and the penalties in its reward, scalars."""

    leverage: Any
    turnover_penalty: Any
    drawdown_penalty: Any


class Memory(NamedTuple):
    """What the reward remembers: highest equity, running mean and square of the returns."""

    peak: Any
    first: Any
    second: Any


def make_table(
    panel: Panel, features: npt.NDArray[np.float32], terms: Terms
) -> npt.NDArray[np.float32]:
    """The whole market as one array, (T, N, 6 + F) float32, so that a step is one gather."""
    rows = market_rows(panel, terms.fill, volume_unit=terms.volume_unit)
    defined = np.isfinite(features).all(axis=2) & panel.listed
    x = np.where(defined[:, :, None], features, np.float32(0))
    return np.concatenate(
        [rows.astype(np.float32), defined[:, :, None], x], axis=2, dtype=np.float32
    )


def read_bar(row: jax.Array) -> Bar:
    """One bar (N, 6 + F) of a table."""
    price, mark, volume, tradable, share, defined = (row[:, column] for column in range(_MARKET))
    return Bar(Quote(price, mark, volume, tradable > 0), share[0], defined > 0, row[:, _MARKET:])


def observation_width(features: int) -> int:
    """Columns of an observation: the features and the own state."""
    return features + len(OWN_STATE)


def observe(account: Account, bar: Bar, scale: Scale, leverage: jax.Array) -> jax.Array:
    """What the policy sees at the close of a bar, (N, F + 3).

    Standardised features; then exposure in units of the largest one, the unrealised return
    since the entry over twenty bars' volatility, and time in position, from 0 to 1, half at
    twenty bars.
    """
    worth = jnp.where(account.equity > 0, account.equity, 1.0)
    exposure = account.units * account.mark / (worth * leverage * bar.share)
    side = jnp.sign(account.units)
    entry = jnp.where(side == 0, 1.0, account.entry)
    gained = side * (account.mark / entry - 1) / (scale.volatility * math.sqrt(_HORIZON))
    waited = jnp.where(side == 0, 0.0, (account.held + 1) / (account.held + 1 + _HORIZON))
    x = (bar.x - scale.mean) * scale.gain
    x = jnp.where(bar.defined[:, None], x, 0.0)
    return jnp.concatenate([x, jnp.stack([exposure, gained, waited], axis=1)], axis=1)


def target(level: jax.Array, bar: Bar, leverage: jax.Array) -> jax.Array:
    """Target exposures (N,) of levels in [-1, 1]; NaN, no decision, where no feature is."""
    return jnp.where(bar.defined, level * leverage * bar.share, jnp.nan)


def new_memory(scale: Scale) -> Memory:
    """Memory of an account that has not begun: moments as in the training bars."""
    one = jnp.ones_like(scale.volatility)
    return Memory(one, 0 * one, scale.volatility**2)


def reward(
    rules: Rules,
    tastes: Tastes,
    scale: Scale,
    before: Account,
    after: Account,
    settled: Settled,
    memory: Memory,
) -> tuple[jax.Array, Memory]:
    """Reward of one bar, attributed to the instruments, (N,), and the memory after it.

    With "return" and no penalty their sum, times the volatility, is the account's return.
    "differential_sharpe" is Moody and Saffell (2001), "Learning to trade via direct
    reinforcement", equation 12, shared equally. The turnover penalty is that multiple of the
    traded value, the drawdown penalty of what the bar adds to the depth of the drawdown.
    """
    worth = jnp.where(before.equity > 0, before.equity, 1.0)
    share = 1.0 / len(settled.gains)
    gain = settled.gains / worth
    total = jnp.sum(gain)
    unit = 1 / scale.volatility
    if rules.reward == "return":
        earned = gain * unit
    else:
        spread = jnp.maximum(memory.second - memory.first**2, (0.1 * scale.volatility) ** 2)
        change = memory.second * (total - memory.first)
        change -= 0.5 * memory.first * (total**2 - memory.second)
        earned = jnp.full_like(gain, share) * change / (spread * jnp.sqrt(spread))
    peak = jnp.maximum(memory.peak, after.equity)
    deeper = jnp.maximum(
        (peak - after.equity) / peak - (memory.peak - before.equity) / memory.peak, 0
    )
    cost = tastes.turnover_penalty * settled.traded / worth
    cost += tastes.drawdown_penalty * deeper * share
    moved = Memory(
        peak,
        memory.first + rules.sharpe_rate * (total - memory.first),
        memory.second + rules.sharpe_rate * (total**2 - memory.second),
    )
    return earned - cost * unit, moved
