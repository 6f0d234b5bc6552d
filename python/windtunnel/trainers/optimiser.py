"""AdamW under a warm-up-cosine schedule, with learning rate and decay as traced values.

What depends on the step alone is computed once for all configurations, as a `Pace`.
Bias corrections are multiplied with, never divided by: XLA turns a division by a
broadcast number into a multiplication in some programs and not in others, and a result
would then depend on the number of devices by a last bit.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

WARM_UP_SHARE = 10  # one step in so many warms up
B1, B2, EPSILON = 0.9, 0.999, 1e-8


class Moments(NamedTuple):
    """Running means of the gradient and of its square; pytrees like the parameters."""

    first: Any
    second: Any


class Pace(NamedTuple):
    """What a step does to every configuration alike; float32 scalars.

    `factor` multiplies the learning rate; `correction_1` and `correction_2` undo the bias
    of moments that started at zero.
    """

    factor: Any
    correction_1: Any
    correction_2: Any


def start(params: Any) -> Moments:
    """Moments before the first step."""
    return Moments(jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))


def schedule(steps: int) -> optax.Schedule:
    """Factor in [0, 1] that the learning rate is multiplied by at each of `steps` steps.

    Linear warm-up over the first tenth of the steps, then a cosine that would reach zero
    at the step after the last (Loshchilov and Hutter 2017, "SGDR", equation 5, without
    restarts). Warm-up starts above zero: the first step is not lost.
    """
    warm_up = steps // WARM_UP_SHARE
    return optax.warmup_cosine_decay_schedule(
        init_value=1.0 / (warm_up + 1),
        peak_value=1.0,
        warmup_steps=warm_up,
        decay_steps=steps,
        end_value=0.0,
    )


def pace(steps: int, step: jax.Array) -> Pace:
    """The pace at `step`, an int32 scalar in [0, steps) that may be traced."""
    with jax.numpy_dtype_promotion("standard"):  # Optax mixes the int32 step with floats
        factor = jnp.asarray(schedule(steps)(step), jnp.float32)
    count = step.astype(jnp.float32) + 1
    # expm1 keeps the digits that 1 - b ** count loses while the count is small.
    return Pace(
        factor,
        -1 / jnp.expm1(count * math.log(B1)),
        -1 / jnp.expm1(count * math.log(B2)),
    )


def update(
    gradient: Any,
    moments: Moments,
    params: Any,
    at: Pace,
    learning_rate: jax.Array,
    weight_decay: jax.Array,
) -> tuple[Any, Moments]:
    """One step of AdamW: new parameters and new moments.

    Loshchilov and Hutter (2019), "Decoupled weight decay regularization", algorithm 2. As
    `optax.adamw` with its defaults: all parameters decay, by the scheduled learning rate.
    """
    rate = learning_rate * at.factor

    def move(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        direction = m * at.correction_1 / (jnp.sqrt(v * at.correction_2) + EPSILON)
        moved: jax.Array = p - rate * (direction + weight_decay * p)
        return moved

    first = jax.tree.map(lambda m, g: B1 * m + (1 - B1) * g, moments.first, gradient)
    second = jax.tree.map(lambda v, g: B2 * v + (1 - B2) * g * g, moments.second, gradient)
    return jax.tree.map(move, params, first, second), Moments(first, second)
