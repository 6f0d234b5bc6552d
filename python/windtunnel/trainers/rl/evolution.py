"""Evolution strategies: the alternative that needs no gradient through time, value or credit.

Salimans et al. (2017), "Evolution strategies as a scalable alternative to reinforcement
learning", algorithm 2 with antithetic pairs and ranks. Each candidate trades the same stretches
of bars with its best decisions, nothing is drawn; its fitness is the Sharpe ratio of all its
rewards, which no sum of rewards can stand for. It pays where the policy is small (linear, or
few units) and where the aim is a figure of the whole path; with many parameters PPO learns
more from the same bars.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from windtunnel.trainers import optimiser
from windtunnel.trainers.rl import ppo
from windtunnel.trainers.rl.networks import act
from windtunnel.trainers.rl.ppo import Sizes
from windtunnel.trainers.rl.rollout import Envs, Stage, World, begin, look, step

PAIRS = 16  # candidates are twice as many


class Settings(NamedTuple):
    """Hyperparameters of one configuration, float32 scalars; `noise` is the deviation."""

    learning_rate: Any
    weight_decay: Any
    noise: Any


class Learner(NamedTuple):
    """State of one configuration; `loss` is minus the candidates' mean fitness."""

    params: Any
    moments: optimiser.Moments
    loss: Any
    earned: Any
    failed_at: Any


class Draws(NamedTuple):
    """What all configurations share in an update: a key of the noise, and first bars (E,)."""

    key: Any
    starts: Any


def draw(
    stage: Stage, sizes: Sizes, key: jax.Array, update: jax.Array, starts: jax.Array,
    count: jax.Array, instruments: int,
) -> Draws:  # fmt: skip
    """Random numbers of one update, keyed by it and by nothing of a configuration."""
    del stage, instruments  # as other algorithms take them
    of_noise, of_starts = jax.random.split(jax.random.fold_in(key, update))
    words = jax.random.bits(of_starts, (sizes.environments,), jnp.uint32)
    return Draws(of_noise, starts[(words % count.astype(jnp.uint32)).astype(jnp.int32)])


def start(stage: Stage, world: World, sizes: Sizes, params: Any) -> Learner:
    """A configuration before its first update."""
    del stage, world, sizes
    return Learner(
        params,
        optimiser.start(params),
        jnp.asarray(jnp.inf, jnp.float32),
        jnp.zeros((), jnp.float32),
        jnp.asarray(-1, jnp.int32),
    )


def update(
    stage: Stage,
    sizes: Sizes,
    world: World,
    settings: Settings,
    learner: Learner,
    draws: Draws,
    index: jax.Array,
) -> Learner:
    """Try candidates around the parameters and move towards the better half."""
    centre, restore = ravel_pytree(learner.params)
    noise = jax.random.normal(draws.key, (PAIRS, len(centre)), jnp.float32)
    noise = jnp.concatenate([noise, -noise])
    envs = begin(stage, world, draws.starts)

    def fitness(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        rewards = _rewards(stage, sizes, world, restore(centre + settings.noise * offset), envs)
        spread = jnp.sqrt(jnp.mean((rewards - jnp.mean(rewards)) ** 2))
        # A hundredth of the volatility: what hardly trades is worth hardly anything.
        return jnp.mean(rewards) / (spread + 0.01), jnp.mean(rewards)

    found, earned = jax.vmap(fitness)(noise)
    # Ties share a rank, so that equal candidates pull nowhere.
    below = jnp.sum(found[:, None] > found[None, :], axis=1)
    above = jnp.sum(found[:, None] < found[None, :], axis=1)
    ranks = (below - above).astype(jnp.float32) / (2 * len(found))
    climb = (ranks @ noise) / (len(found) * settings.noise)
    moved = optimiser.update(
        ppo.clipped(restore(-climb)),
        learner.moments,
        learner.params,
        optimiser.pace(sizes.updates, index.astype(jnp.int32)),
        settings.learning_rate,
        settings.weight_decay,
    )
    loss = -jnp.mean(found)
    failed = (learner.failed_at < 0) & ~jnp.isfinite(loss)
    return Learner(*moved, loss, jnp.mean(earned), jnp.where(failed, index, learner.failed_at))


def _rewards(stage: Stage, sizes: Sizes, world: World, params: Any, envs: Envs) -> jax.Array:
    """The account's reward of every bar of a rollout with the best decisions, (L, E)."""

    def bar(envs: Envs, _: jax.Array | None) -> tuple[Envs, jax.Array]:
        carry, logits, _ = act(stage.module, params, envs.carry, look(world, envs))
        level, _ = stage.actions.best(logits)
        after, earned = step(stage, world, envs, level)
        return after._replace(carry=carry), jnp.sum(earned, axis=1)

    _, rewards = jax.lax.scan(bar, envs, None, length=sizes.rollout_bars)
    return rewards
