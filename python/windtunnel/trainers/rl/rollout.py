"""Environments of one configuration, side by side: how they begin, and act for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from windtunnel.trainers.rl.account import Account, open_account, settle
from windtunnel.trainers.rl.actions import Actions
from windtunnel.trainers.rl.environment import (
    Memory,
    Rules,
    Scale,
    Tastes,
    new_memory,
    observe,
    read_bar,
    reward,
    target,
)
from windtunnel.trainers.rl.networks import ActorCritic, act


@dataclass(frozen=True)
class Stage:
    """What a rollout is compiled for: the network, its actions, the market's rules."""

    module: ActorCritic
    actions: Actions
    rules: Rules


class World(NamedTuple):
    """What a rollout reads: the market's table (T, N, 6 + F), the fold's scale, the tastes."""

    table: Any
    scale: Scale
    tastes: Tastes


class Envs(NamedTuple):
    """E environments: accounts, memories, bar numbers (E,) int32, rows and carry (E, N, ...).

    `rows` is the bar of the table that each stands at.
    """

    account: Account
    memory: Memory
    bar: Any
    rows: Any
    carry: Any


class Path(NamedTuple):
    """What happened in L bars; leading axes (L, E, N) but for `goes_on`, (L, E).

    `weight` is 1 where there was a decision; `goes_on` is 0 where the account ended.
    """

    observation: Any
    decision: Any
    log_prob: Any
    value: Any
    reward: Any
    weight: Any
    goes_on: Any


def begin(stage: Stage, world: World, bars: jax.Array) -> Envs:
    """Fresh accounts at the closes of `bars`, (E,) int32."""
    rows = world.table[bars]
    quotes = jax.vmap(read_bar)(rows).quote
    one = new_memory(world.scale)
    count = len(bars)
    return Envs(
        account=jax.vmap(open_account)(quotes),
        memory=jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count,)), one),
        bar=bars,
        rows=rows,
        carry=jnp.zeros((*rows.shape[:2], stage.module.memory), jnp.float32),
    )


def begin_some(fresh: Envs, going: Envs, which: jax.Array) -> Envs:
    """Replace the environments where `which`, (E,) bool, by fresh ones."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(which.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    replaced: Envs = jax.tree.map(choose, fresh, going)
    return replaced


def look(world: World, envs: Envs) -> jax.Array:
    """Observations (E, N, D) at the bars where the environments stand."""
    seen: jax.Array = jax.vmap(observe, in_axes=(0, 0, None, None))(
        envs.account, jax.vmap(read_bar)(envs.rows), world.scale, world.tastes.leverage
    )
    return seen


def roll(
    stage: Stage, world: World, params: Any, envs: Envs, noise: jax.Array
) -> tuple[Envs, Path, jax.Array]:
    """Act for L bars; also the values (E, N) of where the environments then stand.

    Parameters
    ----------
    noise : (L, E, N) float32
        As `Actions.draw` takes it.
    """

    def bar(envs: Envs, noise: jax.Array) -> tuple[Envs, Path]:
        seen = look(world, envs)
        carry, logits, value = act(stage.module, params, envs.carry, seen)
        decision = stage.actions.draw(logits, noise)
        log_prob, _ = stage.actions.log_prob(logits, decision)
        after, earned = step(stage, world, envs, stage.actions.level(decision))
        here = jax.vmap(read_bar)(envs.rows)
        weight = (here.defined & ~envs.account.closed[:, None]).astype(jnp.float32)
        goes_on = (~after.account.closed).astype(jnp.float32)
        return after._replace(carry=carry), Path(
            seen, decision, log_prob, value, earned, weight, goes_on
        )

    after, path = jax.lax.scan(bar, envs, noise)
    _, _, last = act(stage.module, params, after.carry, look(world, after))
    return after, path, last


def step(stage: Stage, world: World, envs: Envs, level: jax.Array) -> tuple[Envs, jax.Array]:
    """Carry out levels (E, N) and go to the next close; also the rewards, (E, N)."""
    rows = world.table[envs.bar + 1]

    def one(
        account: Account, memory: Memory, row: jax.Array, following: jax.Array, level: jax.Array
    ) -> tuple[Account, Memory, jax.Array]:
        wanted = target(level, read_bar(row), world.tastes.leverage)
        after, settled = settle(account, wanted, read_bar(following).quote, stage.rules.terms)
        earned, memory = reward(
            stage.rules, world.tastes, world.scale, account, after, settled, memory
        )
        return after, memory, earned

    account, memory, earned = jax.vmap(one)(envs.account, envs.memory, envs.rows, rows, level)
    return Envs(account, memory, envs.bar + 1, rows, envs.carry), earned
