"""What a policy's output means as a decision: discrete levels or a continuous one.

A level in [-1, 1] is a fraction of the largest exposure that an instrument may get. All
functions are elementwise over leading axes; the last axis of `logits` belongs to a decision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_GAIN = 10.0


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

    What is drawn outside the range is the end of the range, and its probability is all the
    mass beyond that end: Fujita and Maeda (2018), "Clipped action policy gradient", equation 9.
    A decision, from -1 to 1, is therefore distributed as it is traded. Squashing by tanh in its
    place reaches the ends only in infinity, where a position is best held whole.
    """

    low: float
    width: int = 2

    def draw(self, logits: jax.Array, noise: jax.Array) -> jax.Array:
        """Draw decisions; `noise` (...) is standard normal."""
        return jnp.clip(_mean(logits) + jnp.exp(_log_deviation(logits)) * noise, -1.0, 1.0)

    def level(self, decision: jax.Array) -> jax.Array:
        """The level of decisions."""
        return decision if self.low < 0 else 0.5 * (decision + 1)

    def best(self, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The level of the mean; a continuous choice is never close."""
        mean = jnp.clip(_mean(logits), -1.0, 1.0)
        return self.level(mean), jnp.ones_like(mean)

    def log_prob(self, logits: jax.Array, decision: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Log-density of decisions, log-probability at the ends; and its entropy, as a sum of both.

        Where the whole mass lies beyond an end, the entropy is 0: there is one decision.
        """
        mean, log_deviation = _mean(logits), _log_deviation(logits)
        per = jnp.exp(-log_deviation)
        below, above = (-1 - mean) * per, (1 - mean) * per
        log_lowest, log_highest = log_ndtr(below), log_ndtr(-above)
        density = _log_density((decision - mean) * per) - log_deviation
        chosen = jnp.where(
            decision >= 1, log_highest, jnp.where(decision <= -1, log_lowest, density)
        )
        lowest, highest = jnp.exp(log_lowest), jnp.exp(log_highest)
        inside = 1 - lowest - highest
        edges = below * jnp.exp(_log_density(below)) - above * jnp.exp(_log_density(above))
        between = inside * (log_deviation + _HALF_LOG_TAU) + 0.5 * (inside + edges)
        return chosen, between - lowest * log_lowest - highest * log_highest


def _log_density(x: jax.Array) -> jax.Array:
    """Of the standard normal distribution."""
    return -0.5 * x**2 - _HALF_LOG_TAU


def _mean(logits: jax.Array) -> jax.Array:
    """Mean of the Gaussian; at the learning rates of levels a smaller factor is slow to move."""
    return _GAIN * logits[..., 0]


def _log_deviation(logits: jax.Array) -> jax.Array:
    """Log deviation, softly held between -4.5 and 0.5, about -0.3 at the start."""
    return -2 + 2.5 * jnp.tanh(_GAIN * logits[..., 1] + 0.85)


Actions = Levels | Continuous
