"""What all lanes of a fold share in a block of steps: made once, read by every chunk."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from windtunnel.trainers import minibatches, optimiser
from windtunnel.trainers.arrays import Data, Shape
from windtunnel.trainers.heads import Batch
from windtunnel.trainers.scoring import Network, mean_of_bar, standardise


class Table(NamedTuple):
    """What all lanes share in a block of steps; the leading axis is the step."""

    inputs: Any
    batch: Batch
    bits: Any
    pace: Any


def make_table(
    network: Network, shape: Shape, data: Data, fold: jax.Array, key: jax.Array, steps: jax.Array
) -> Table:
    """Standardised minibatches, dropout bits and paces of a block of steps."""

    def one(step: jax.Array) -> Table:
        drawn = minibatches.draw(
            key, step, shape.batch_size, data.counts[fold], network.module.masked_units
        )
        rows, weight = data.rows[fold, drawn.positions], None
        if shape.pieces:
            rows = _whole_bars(shape, rows[: shape.pieces])
            weight = data.usable[fold, rows]
        inputs = look_back(data.features, rows, network.window, shape.instruments)
        inputs = standardise(inputs, data.mean[fold], data.scale[fold])
        if weight is not None:
            inputs = jnp.where(weight.reshape(-1, *(1,) * (inputs.ndim - 1)), inputs, 0)
        return Table(
            inputs.astype(shape.precision),
            _batch(network, shape, data, rows, weight),
            drawn.bits,
            optimiser.pace(shape.steps, step),
        )

    table: Table = jax.vmap(one)(steps)
    return table


def _whole_bars(shape: Shape, starts: jax.Array) -> jax.Array:
    """Rows of the pieces that begin at bars `starts`: bar after bar, all instruments of each."""
    _, bars, instruments = shape.block
    each = starts[:, None] + jnp.arange(bars)
    return (each[..., None] * instruments + jnp.arange(instruments)).reshape(-1)


def _batch(
    network: Network, shape: Shape, data: Data, rows: jax.Array, weight: jax.Array | None
) -> Batch:
    """What the loss compares with; what does not count is 0."""
    labels = data.labels[rows]
    if weight is None:
        return Batch(labels, None, None)
    counts = weight.reshape(shape.block)
    labels = jnp.where(counts, labels.reshape(shape.block), 0)
    share = counts.astype(jnp.float32)
    if network.relative:
        centred = network.head.centre(labels, mean_of_bar(labels, share))
        labels = jnp.where(counts, centred, 0)
    returns = None
    if data.returns is not None:
        returns = jnp.where(counts, data.returns[rows].reshape(shape.block), 0)
    return Batch(labels, share, returns)


def block_length(network: Network, shape: Shape, features: int) -> int:
    """Steps whose table fits into `table_bytes`; at least one."""
    units = int(network.module.masked_units)
    row_bytes = 4 * features * max(network.window, 1) + 4 + units
    if shape.pieces:
        row_bytes += 8
    step_bytes = shape.batch_size * row_bytes + 4
    return max(1, min(shape.steps, shape.table_bytes // step_bytes))


def look_back(features: jax.Array, rows: jax.Array, window: int, instruments: int) -> jax.Array:
    """Features of rows, or of the `window` bars that end there, oldest first.

    Parameters
    ----------
    features : (R, F) float32
        Row t * N + n is instrument n at bar t.
    rows : (B,) int32
    window : int
        0 for the rows as they are.

    Returns
    -------
    (B, F) or (B, window, F) float32
        NaN before the first bar.
    """
    if not window:
        return features[rows]
    back = rows[:, None] - instruments * jnp.arange(window - 1, -1, -1)
    return jnp.where(back[..., None] >= 0, features[jnp.maximum(back, 0)], jnp.nan)
