"""Proximal policy optimisation: one update of one configuration.

Schulman et al. (2017), "Proximal policy optimization algorithms", with the clipped objective of
equation 7 and advantages by Schulman et al. (2016), "High-dimensional continuous control using
generalized advantage estimation", equation 16. Departures: each instrument is an agent that is
paid its own part of the account's return, and all share one network; a minibatch is whole
environments over the whole rollout, so that a recurrent policy is trained as it acted; the
weight of the entropy falls to nothing over the training, since a small one lets some seeds
settle on trading one side of the market, and one that stays pays for not deciding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from windtunnel.trainers import optimiser
from windtunnel.trainers.rl.actions import Levels
from windtunnel.trainers.rl.networks import through_time
from windtunnel.trainers.rl.rollout import Envs, Path, Stage, World, begin, begin_some, roll

MAX_GRADIENT_NORM = 0.5


@dataclass(frozen=True)
class Sizes:
    """Sizes of an update: environments, bars a rollout, rollouts an episode, passes, parts."""

    environments: int
    rollout_bars: int
    episode_rollouts: int
    updates: int
    epochs: int
    minibatches: int

    @property
    def steps(self) -> int:
        """Optimiser steps of a whole training."""
        return self.updates * self.epochs * self.minibatches


class Settings(NamedTuple):
    """Hyperparameters of one configuration, float32 scalars."""

    learning_rate: Any
    weight_decay: Any
    discount: Any
    gae_lambda: Any
    clip: Any
    entropy: Any
    value: Any


class Learner(NamedTuple):
    """State of one configuration in training.

    loss and earned (mean reward a decision) are the last update's; failed_at is the first
    update whose loss was not finite, -1 while there is none.
    """

    params: Any
    moments: optimiser.Moments
    envs: Envs
    loss: Any
    earned: Any
    failed_at: Any


class Draws(NamedTuple):
    """What all configurations share in an update.

    noise (L, E, N); starts (E,) int32 first bars of new episodes; order (epochs, E) int32.
    """

    noise: Any
    starts: Any
    order: Any


def draw(
    stage: Stage, sizes: Sizes, key: jax.Array, update: jax.Array, starts: jax.Array,
    count: jax.Array, instruments: int,
) -> Draws:  # fmt: skip
    """Random numbers of one update, keyed by it and by nothing of a configuration."""
    of_noise, of_starts, of_order = jax.random.split(jax.random.fold_in(key, update), 3)
    shape = (sizes.rollout_bars, sizes.environments, instruments)
    kind = jax.random.uniform if isinstance(stage.actions, Levels) else jax.random.normal
    words = jax.random.bits(of_starts, (sizes.environments,), jnp.uint32)
    order = jax.random.bits(of_order, (sizes.epochs, sizes.environments), jnp.uint32)
    return Draws(
        kind(of_noise, shape, jnp.float32),
        starts[(words % count.astype(jnp.uint32)).astype(jnp.int32)],
        _ranks(order),
    )


def _ranks(words: jax.Array) -> jax.Array:
    """Rank of every entry in its row: a permutation, without a sort and its compilation."""
    number = jnp.arange(words.shape[1])
    ahead = words[:, None, :] < words[:, :, None]
    ahead |= (words[:, None, :] == words[:, :, None]) & (number[None, None] < number[None, :, None])
    return jnp.sum(ahead, axis=2, dtype=jnp.int32)


def start(stage: Stage, world: World, sizes: Sizes, params: Any) -> Learner:
    """A configuration before its first update, whose environments that update begins."""
    return Learner(
        params,
        optimiser.start(params),
        begin(stage, world, jnp.zeros(sizes.environments, jnp.int32)),
        jnp.asarray(jnp.inf, jnp.float32),
        jnp.zeros((), jnp.float32),
        jnp.asarray(-1, jnp.int32),
    )


def fresh_envs(
    stage: Stage, world: World, sizes: Sizes, envs: Envs, update: jax.Array, starts: jax.Array
) -> Envs:
    """Begin the episodes that are due: a share of them at every update, all at the first."""
    turn = jnp.arange(sizes.environments) * sizes.episode_rollouts // sizes.environments
    due = (update == 0) | ((turn + update) % sizes.episode_rollouts == 0)
    return begin_some(begin(stage, world, starts), envs, due | envs.account.closed)


def update(
    stage: Stage,
    sizes: Sizes,
    world: World,
    settings: Settings,
    learner: Learner,
    draws: Draws,
    index: jax.Array,
) -> Learner:
    """Act for a rollout and learn from it."""
    envs = fresh_envs(stage, world, sizes, learner.envs, index, draws.starts)
    carry = envs.carry
    envs, path, last = roll(stage, world, learner.params, envs, draws.noise)
    advantage = advantages(path, last, settings)
    # By environment, so that a minibatch gathers whole blocks.
    batch = jax.tree.map(
        lambda leaf: jnp.moveaxis(leaf, 0, 1),
        (path.observation, path.decision, path.log_prob, path.weight, advantage,
         advantage + path.value),
    )  # fmt: skip
    batch = (carry, *batch)
    size = sizes.environments // sizes.minibatches
    fading = settings._replace(entropy=settings.entropy * (1 - index / sizes.updates))
    first = index * (sizes.epochs * sizes.minibatches)

    def learn(state: tuple[Any, Any], now: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        params, moments = state
        chosen, number = now
        part = jax.tree.map(lambda leaf: jnp.take(leaf, chosen, axis=0), batch)
        loss, gradient = jax.value_and_grad(_loss)(params, stage, fading, *part)
        gradient = clipped(gradient)
        moved = optimiser.update(
            gradient,
            moments,
            params,
            optimiser.pace(sizes.steps, first + number),
            settings.learning_rate,
            settings.weight_decay,
        )
        return moved, loss

    parts = draws.order.reshape(sizes.epochs * sizes.minibatches, size)
    numbers = jnp.arange(len(parts), dtype=jnp.int32)
    (params, moments), losses = jax.lax.scan(
        learn, (learner.params, learner.moments), (parts, numbers)
    )
    loss = jnp.mean(losses)
    failed = (learner.failed_at < 0) & ~jnp.isfinite(loss)
    return Learner(
        params,
        moments,
        envs,
        loss,
        jnp.sum(path.reward) / jnp.maximum(jnp.sum(path.weight), 1),
        jnp.where(failed, index, learner.failed_at),
    )


def advantages(path: Path, last: jax.Array, settings: Settings) -> jax.Array:
    """Generalised advantages (L, E, N); beyond the rollout stands the value `last`, (E, N)."""

    def back(
        state: tuple[jax.Array, jax.Array], now: tuple[jax.Array, jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        following, advantage = state
        reward, value, goes_on = now
        kept = settings.discount * goes_on[:, None]
        surprise = reward + kept * following - value
        advantage = surprise + kept * settings.gae_lambda * advantage
        return (value, advantage), advantage

    _, found = jax.lax.scan(
        back, (last, jnp.zeros_like(last)), (path.reward, path.value, path.goes_on), reverse=True
    )
    return found


def clipped(gradient: Any) -> Any:
    """A gradient whose norm is at most `MAX_GRADIENT_NORM`."""
    norm = jnp.sqrt(sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(gradient)))
    factor = MAX_GRADIENT_NORM / jnp.maximum(norm, MAX_GRADIENT_NORM)
    return jax.tree.map(lambda leaf: leaf * factor, gradient)


def _loss(
    params: Any,
    stage: Stage,
    settings: Settings,
    carry: jax.Array,
    seen: jax.Array,
    decision: jax.Array,
    log_prob: jax.Array,
    weight: jax.Array,
    advantage: jax.Array,
    wanted: jax.Array,
) -> jax.Array:
    """Policy, value and entropy loss of a minibatch of environments; axes (B, L, N)."""
    if stage.module.memory:
        logits, value = through_time(stage.module, params, carry, jnp.moveaxis(seen, 0, 1))
        logits, value = jnp.moveaxis(logits, 0, 1), jnp.moveaxis(value, 0, 1)
    else:
        logits, value = through_time(stage.module, params, carry, seen)
    now, entropy = stage.actions.log_prob(logits, decision)
    count = jnp.maximum(jnp.sum(weight), 1.0)

    def mean(x: jax.Array) -> jax.Array:
        return jnp.sum(x * weight) / count

    centred = advantage - mean(advantage)
    scaled = centred / (jnp.sqrt(mean(centred**2)) + 1e-6)
    ratio = jnp.exp(now - log_prob)
    held = jnp.clip(ratio, 1 - settings.clip, 1 + settings.clip)
    gain = jnp.minimum(ratio * scaled, held * scaled)
    off = 0.5 * (value - wanted) ** 2
    loss: jax.Array = settings.value * mean(off) - mean(gain) - settings.entropy * mean(entropy)
    return loss
