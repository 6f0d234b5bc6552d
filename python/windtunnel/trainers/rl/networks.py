"""Actor and critic: one network for every instrument, with or without memory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class ActorCritic(nn.Module):
    """Two perceptrons, one for the decision and one for the value, shared by all instruments.

    Attributes
    ----------
    outputs : int
        Logits of a decision.
    hidden : tuple of int
        Widths of the hidden layers of each, ReLU; empty makes a linear policy.
    memory : int
        Units of a gated recurrent cell (Cho et al. 2014) that the observation passes first;
        0 is none.
    """

    outputs: int
    hidden: tuple[int, ...] = (32, 32)
    memory: int = 0

    @nn.compact
    def __call__(
        self, carry: jax.Array, observation: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Next carry (rows, memory), logits (rows, outputs), values (rows,).

        Parameters
        ----------
        carry : (rows, memory) float32
            What the cell remembers; no columns without a memory.
        observation : (rows, D) float32
        """
        seen = observation
        if self.memory:
            cell = nn.GRUCell(
                self.memory, name="memory", recurrent_kernel_init=nn.initializers.lecun_normal()
            )
            carry, seen = cell(carry, observation)
        heads = []
        # The first decisions are nearly even, so that all of them are tried.
        for name, width, size in (("actor", self.outputs, 0.01), ("critic", 1, 1.0)):
            h = seen
            for layer, units in enumerate(self.hidden):
                start = nn.initializers.he_normal()
                h = nn.relu(nn.Dense(units, kernel_init=start, name=f"{name}_{layer}")(h))
            start = nn.initializers.variance_scaling(size**2, "fan_in", "normal")
            heads.append(nn.Dense(width, kernel_init=start, name=f"{name}_head")(h))
        return carry, heads[0], heads[1][:, 0]


def act(
    module: ActorCritic, params: Any, carry: jax.Array, observation: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Apply the network over any leading axes, (..., D)."""
    lead = observation.shape[:-1]
    flat = observation.reshape(-1, observation.shape[-1])
    found: Any = module.apply({"params": params}, carry.reshape(len(flat), module.memory), flat)
    after, logits, values = found
    return after.reshape(*lead, -1), logits.reshape(*lead, -1), values.reshape(lead)


def through_time(
    module: ActorCritic, params: Any, carry: jax.Array, observations: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Logits and values of sequences: (L, ..., D) from the carry (..., memory) before them."""
    if not module.memory:
        nothing = jnp.zeros((*observations.shape[:-1], 0), observations.dtype)
        return act(module, params, nothing, observations)[1:]

    def one(carry: jax.Array, seen: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        after, logits, values = act(module, params, carry, seen)
        return after, (logits, values)

    _, found = jax.lax.scan(one, carry, observations)
    return found[0], found[1]
