"""What a minibatch is penalised for, and what a logit means as a score; one pair a label kind."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from windtunnel.protocols import Kind


def loss(kind: Kind, logits: jax.Array, labels: jax.Array, smoothing: jax.Array) -> jax.Array:
    """Mean loss of a minibatch.

    Parameters
    ----------
    kind : "direction" or "forward_return"
        Sigmoid cross-entropy, or Huber's loss with delta 1 (Huber 1964, "Robust estimation
        of a location parameter"): quadratic up to one standardised unit, linear beyond.
    logits, labels : (rows,) float32
        Labels are 0 or 1 for direction, standardised returns otherwise.
    smoothing : float32 scalar in [0, 1)
        Draws direction labels towards one half: y becomes (1 - smoothing) y + smoothing / 2
        (Szegedy et al. 2016, section 7). Without effect on forward_return.
    """
    if kind == "direction":
        soft = labels * (1 - smoothing) + smoothing / 2
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, soft))
    return jnp.mean(optax.huber_loss(logits, labels, delta=1.0))


def score(kind: Kind, logits: jax.Array) -> jax.Array:
    """Logits as scores: 2 p - 1 in [-1, 1] for direction, the logit itself otherwise."""
    return 2 * jax.nn.sigmoid(logits) - 1 if kind == "direction" else logits
