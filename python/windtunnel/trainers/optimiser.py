"""AdamW under a warm-up-cosine schedule, with learning rate and decay as traced values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

WARM_UP_SHARE = 10  # one step in so many warms up
MOMENTS = optax.scale_by_adam()


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


def learning_rate_factor(steps: int, step: jax.Array) -> jax.Array:
    """`schedule` at one step (a scalar int32, may be traced), as float32."""
    with jax.numpy_dtype_promotion("standard"):  # Optax mixes the int32 step with floats
        return jnp.asarray(schedule(steps)(step), jnp.float32)


def update(
    gradient: Any,
    moments: Any,
    params: Any,
    learning_rate: jax.Array,
    weight_decay: jax.Array,
) -> tuple[Any, Any]:
    """One step of AdamW: new parameters and new moments.

    As `optax.adamw` with its defaults (b1 0.9, b2 0.999, eps 1e-8; decay of all
    parameters, scaled by the learning rate), written out so that learning rate and decay
    may be traced (Loshchilov and Hutter 2019, "Decoupled weight decay", algorithm 2).
    """
    with jax.numpy_dtype_promotion("standard"):  # Optax raises a float to an int32 count
        direction, moments = MOMENTS.update(gradient, moments)
    params = jax.tree.map(
        lambda p, d: jnp.subtract(p, learning_rate * (d + weight_decay * p)), params, direction
    )
    return params, moments
