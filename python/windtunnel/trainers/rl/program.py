"""What one device computes: its configurations through folds, seeds and updates, then decisions.

Loops, from the outside: folds, seeds, chunks of lanes, updates. A lane is one configuration;
a chunk is a fixed small number of lanes trained side by side, so that a lane is computed by
the same instructions wherever it stands, and what it draws follows from (study seed, fold,
seed, update) alone. Decisions walk through the bars once, all folds in one run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from windtunnel.trainers.minibatches import model_keys
from windtunnel.trainers.rl import evolution, ppo
from windtunnel.trainers.rl.decision import Decider, decide
from windtunnel.trainers.rl.environment import OWN_STATE, Scale, Tastes, read_bar
from windtunnel.trainers.rl.ppo import Sizes
from windtunnel.trainers.rl.rollout import Stage, World

LANES = 2  # of a chunk; bench/test_rl.py has the figures


class Data(NamedTuple):
    """What all lanes read, held once on every device.

    table (T, N, 6 + F) float32; scale with leading axis K; starts (K, M) int32 first bars of
    episodes, padded; counts (K,) int32 how many of them count; bars (V,) int32 to decide on
    in order, fold (V,) int32 whose model decides, anew (V,) bool where a model takes over and
    flat (V,) bool where the account starts afresh; seed the study's.
    """

    table: Any
    scale: Scale
    starts: Any
    counts: Any
    bars: Any
    fold: Any
    anew: Any
    flat: Any
    seed: Any


class Hyper(NamedTuple):
    """What one configuration is: float32 scalars, and a mask (F,) of the features it sees."""

    settings: Any
    tastes: Tastes
    mask: Any


@dataclass(frozen=True)
class Plan:
    """What a program is compiled for, apart from the data's shapes."""

    stage: Stage
    sizes: Sizes
    algorithm: str
    seeds: int
    lanes: int = LANES

    @property
    def learner(self) -> Any:
        """The module with `start`, `draw` and `update` of the algorithm."""
        return ppo if self.algorithm == "ppo" else evolution


def start_state(plan: Plan, data: Data) -> Any:
    """Learners before the first update, leaves (K, S, ...): the same for every configuration."""
    module = plan.stage.module
    seen = jnp.zeros((1, data.scale.mean.shape[1] + len(OWN_STATE)), jnp.float32)
    nothing = jnp.zeros((1, module.memory), jnp.float32)

    def one(fold: jax.Array, seed: jax.Array) -> Any:
        initial, _ = model_keys(data.seed, fold, seed)
        params = module.init(initial, nothing, seen)["params"]
        still = Tastes(*(jnp.ones((), jnp.float32) for _ in Tastes._fields))
        world = World(data.table, jax.tree.map(lambda leaf: leaf[fold], data.scale), still)
        return plan.learner.start(plan.stage, world, plan.sizes, params)

    folds, seeds = jnp.arange(len(data.counts)), jnp.arange(plan.seeds)
    return lax.map(lambda fold: lax.map(lambda seed: one(fold, seed), seeds), folds)


def train_lanes(
    plan: Plan, data: Data, hyper: Hyper, state: Any, first: jax.Array, stop: jax.Array
) -> Any:
    """Learners of a chunk, leaves (lanes, K, S, ...), from update `first` to `stop` - 1."""
    instruments = data.table.shape[1]

    def one(given: tuple[Any, jax.Array, jax.Array]) -> Any:
        learners, fold, seed = given
        _, key = model_keys(data.seed, fold, seed)
        scale = jax.tree.map(lambda leaf: leaf[fold], data.scale)

        def step(index: jax.Array, learners: Any) -> Any:
            draws = plan.learner.draw(
                plan.stage, plan.sizes, key, index, data.starts[fold], data.counts[fold],
                instruments,
            )  # fmt: skip

            def lane(own: Hyper, learner: Any) -> Any:
                world = World(data.table, _masked(scale, own.mask), own.tastes)
                return plan.learner.update(
                    plan.stage, plan.sizes, world, own.settings, learner, draws, index
                )

            return jax.vmap(lane)(hyper, learners)

        return lax.fori_loop(first, stop, step, learners)

    # One after another, folds and seeds alike: (lanes, K, S, ...) to (K * S, lanes, ...).
    folds, seeds = len(data.counts), plan.seeds
    flat = jax.tree.map(
        lambda leaf: jnp.moveaxis(leaf.reshape(len(leaf), folds * seeds, *leaf.shape[3:]), 0, 1),
        state,
    )
    number = jnp.arange(folds * seeds)
    done = lax.map(one, (flat, number // seeds, number % seeds))
    return jax.tree.map(
        lambda leaf: jnp.moveaxis(leaf, 1, 0).reshape(leaf.shape[1], folds, seeds, *leaf.shape[2:]),
        done,
    )


def decide_lanes(plan: Plan, data: Data, hyper: Hyper, params: Any, mix: jax.Array) -> jax.Array:
    """Levels (lanes, V, A, N) that trained lanes decide on, bar after bar.

    Parameters
    ----------
    params : pytree, leading axes (lanes, K, S)
    mix : (A, S) float32
        Each row is an account of its own, and the weights of the seeds that decide for it.
    """

    def walk(hyper: Hyper, own: Any) -> jax.Array:
        def begin(weights: jax.Array) -> Decider:
            return Decider.flat(plan.stage, weights, read_bar(data.table[data.bars[0]]))

        fresh = jax.vmap(begin)(mix)

        def bar(state: Decider, now: Any) -> tuple[Decider, jax.Array]:
            at, fold, anew, flat = now
            row = read_bar(data.table[at])
            state = jax.tree.map(lambda new, old: jnp.where(flat, new, old), fresh, state)
            carry = jnp.where(anew, jnp.zeros_like(state.carry), state.carry)
            here = jax.tree.map(lambda leaf: leaf[fold], own)
            scale = _masked(jax.tree.map(lambda leaf: leaf[fold], data.scale), hyper.mask)
            after, level, _ = jax.vmap(
                lambda one: decide(plan.stage, here, scale, hyper.tastes.leverage, one, row)
            )(state._replace(carry=carry))
            return after, level

        _, levels = lax.scan(bar, fresh, (data.bars, data.fold, data.anew, data.flat))
        walked: jax.Array = levels
        return walked

    found: jax.Array = jax.vmap(walk)(hyper, params)
    return found


def _masked(scale: Scale, mask: jax.Array) -> Scale:
    return scale._replace(gain=scale.gain * mask)


def for_chunks(chunks: jax.Array, work: Callable[[Any], Any], given: Any) -> Any:
    """`work` on each of the first `chunks` of the leading axis of `given`; zeros beyond.

    The count is traced, so that no cohort size is compiled differently.
    """

    def at(index: jax.Array) -> Any:
        return jax.tree.map(
            lambda leaf: lax.dynamic_index_in_dim(leaf, index, 0, keepdims=False), given
        )

    capacity = len(jax.tree.leaves(given)[0])
    shapes = jax.eval_shape(lambda: work(at(jnp.asarray(0))))
    room = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), shapes)

    def one(index: jax.Array, room: Any) -> Any:
        return jax.tree.map(
            lambda leaf, new: lax.dynamic_update_index_in_dim(leaf, new, index, 0),
            room,
            work(at(index)),
        )

    return lax.fori_loop(0, chunks, one, room)
