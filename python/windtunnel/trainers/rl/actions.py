"""What a policy's output means as a decision: discrete levels or a continuous one.

A level in [-1, 1] is a fraction of the largest exposure that an instrument may get. All
functions are elementwise over leading axes; the last axis of `logits` belongs to a decision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Levels:
    """A choice among A levels; logits (..., A).

    A decision is kept as the number of its level, float32.
    """

    levels: tuple[float, ...]

    @property
    def width(self) -> int:
        """Logits a decision."""
        return len(self.levels)

    def draw(self, logits: jax.Array, noise: jax.Array) -> jax.Array:
        """Draw decisions by inversion; `noise` (...) is uniform in [0, 1)."""
        below = jnp.cumsum(jax.nn.softmax(logits), axis=-1)[..., :-1]
        return jnp.sum((noise[..., None] >= below).astype(logits.dtype), axis=-1)

    def level(self, decision: jax.Array) -> jax.Array:
        """The level of decisions."""
        # A chain of choices instead of a gather, which a compiler cannot fuse.
        found = jnp.full_like(decision, self.levels[0])
        for number, level in enumerate(self.levels[1:], start=1):
            found = jnp.where(decision >= number, jnp.full_like(decision, level), found)
        return found

    def best(self, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The most probable level, and by how much more probable it is than the second."""
        number = jnp.argmax(logits, axis=-1)
        odds = jax.nn.softmax(logits)
        # Two maxima in place of a sort, which takes seconds to compile.
        chosen = jnp.arange(self.width) == number[..., None]
        second = jnp.max(jnp.where(chosen, 0.0, odds), axis=-1)
        first = jnp.max(jnp.where(chosen, odds, 0.0), axis=-1)
        return self.level(number.astype(logits.dtype)), first - second

    def log_prob(self, logits: jax.Array, decision: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Log-probability of decisions, and entropy of the choice."""
        logs = jax.nn.log_softmax(logits)
        taken = jnp.arange(self.width, dtype=decision.dtype) == decision[..., None]
        chosen = jnp.sum(jnp.where(taken, logs, 0.0), axis=-1)
        return chosen, -jnp.sum(jnp.exp(logs) * logs, axis=-1)


@dataclass(frozen=True)
class Continuous:
    """A level from `low` to 1; logits (..., 2) are mean and log deviation of a Gaussian.

    The draw is squashed by tanh into the range; probabilities are those of the draw before
    it, whose ratio, all that PPO uses, is the same.
    """

    low: float
    width: int = 2

    def draw(self, logits: jax.Array, noise: jax.Array) -> jax.Array:
        """Draw decisions; `noise` (...) is standard normal."""
        return logits[..., 0] + jnp.exp(_log_deviation(logits)) * noise

    def level(self, decision: jax.Array) -> jax.Array:
        """The level of decisions."""
        squashed = jnp.tanh(decision)
        return squashed if self.low < 0 else 0.5 * (squashed + 1)

    def best(self, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The level of the mean; a continuous choice is never close."""
        return self.level(logits[..., 0]), jnp.ones_like(logits[..., 0])

    def log_prob(self, logits: jax.Array, decision: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Log-density of decisions before the squashing, and its entropy."""
        log_deviation = _log_deviation(logits)
        off = (decision - logits[..., 0]) * jnp.exp(-log_deviation)
        density = -0.5 * off**2 - log_deviation - _HALF_LOG_TAU
        return density, log_deviation + 0.5 + _HALF_LOG_TAU


def _log_deviation(logits: jax.Array) -> jax.Array:
    """Log deviation, softly held between -5 and 1, about -0.4 at the start."""
    return -2 + 3 * jnp.tanh(logits[..., 1] + 0.6)


Actions = Levels | Continuous
