"""Exposure itself, trained by the Sharpe ratio that it would have earned after costs."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from windtunnel.trainers.heads.base import Batch, Head

# Keeps the ratio's gradient bounded while the network does nothing yet; returns of a bar are
# rarely steadier than a hundredth of a per cent.
_LEAST_DEVIATION = 1e-4


def portfolio_returns(exposure: jax.Array, batch: Batch, cost: float) -> jax.Array:
    """Return of every bar of every piece, capital shared equally over the instruments.

    Parameters
    ----------
    exposure : (pieces, bars, instruments) float32 in [-1, 1]
    batch : Batch
        Returns from fill to fill, and which of them count.
    cost : float
        What a change of exposure by 1 costs. The first bar of a piece is free: what was held
        before it is not known.

    Returns
    -------
    (pieces, bars) float32
    """
    held = exposure * batch.weight
    share = 1 / jnp.maximum(batch.weight.sum(axis=-1), 1)
    gained = (held * batch.returns).sum(axis=-1)
    changed = jnp.abs(held[:, 1:] - held[:, :-1]).sum(axis=-1)
    earned: jax.Array = share * (gained - cost * jnp.pad(changed, ((0, 0), (1, 0))))
    return earned


def _head(name: str, exposure: Callable[[jax.Array], jax.Array]) -> Head:
    """The head whose logits become exposures by `exposure`, in training and as scores."""

    def loss(logits: jax.Array, batch: Batch, smoothing: jax.Array, cost: float) -> jax.Array:
        """Minus the Sharpe ratio a bar of the minibatch's portfolio returns, after costs.

        Moody and Saffell (2001), "Learning to trade via direct reinforcement"; in this form Lim,
        Zohren and Roberts (2019), "Enhancing time-series momentum strategies using deep neural
        networks", equation 13. Smoothing has no meaning here.
        """
        del smoothing
        returns = portfolio_returns(exposure(logits), batch, cost)
        mean = jnp.mean(returns)
        variance = jnp.mean((returns - mean) ** 2)
        return -mean * jax.lax.rsqrt(variance + _LEAST_DEVIATION**2)

    return Head(name, loss, exposure, centre=_as_they_are, stretches=True)


def _as_they_are(labels: jax.Array, mean: jax.Array) -> jax.Array:
    """Leave the labels, which this head does not read."""
    del mean
    return labels


HEAD = _head("sharpe", jnp.tanh)
"""Exposures in [-1, 1]: the sign is the side, the size the conviction."""
LONG_ONLY = _head("sharpe_long_only", jax.nn.sigmoid)
"""Exposures in [0, 1]: a network that says nothing holds half."""
