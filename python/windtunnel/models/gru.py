"""Gated recurrent units over a window of bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from windtunnel.models.dropout import drop
from windtunnel.models.factory import register
from windtunnel.models.readout import readout

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection


class GRU(nn.Module):
    """Layers of gated recurrent units; the last bar's state gives the logit.

    The gates are those of Cho et al. (2014), "Learning phrase representations using RNN
    encoder-decoder", with the reset gate after the recurrent product, as PyTorch and cuDNN
    have it. What does not depend on the state (the products with the inputs) is one product
    for the whole window. A unit that is dropped is dropped at every bar of the window (Gal
    and Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural
    networks").

    Attributes
    ----------
    width, depth : int
        Units a layer, and layers.
    window : int
        Bars.
    outputs : int
        Numbers a row.
    """

    width: int = 32
    depth: int = 1
    window: int = 16
    outputs: int = 1

    @property
    def masked_units(self) -> int:
        """Columns of random bits wanted: one for each unit."""
        return self.width * self.depth

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        rate: jax.Array | float = 0.0,
        bits: jax.Array | None = None,
    ) -> jax.Array:
        """Map windows (rows, window, F), oldest bar first, to logits (rows,) or (rows, outputs)."""
        h = jnp.swapaxes(x, 0, 1)  # the bars lead: the loop takes one after another
        for layer in range(self.depth):
            h = self._layer(h, layer)
            own = None if bits is None else bits[:, layer * self.width : (layer + 1) * self.width]
            h = drop(h, rate, own)
        return readout(h[-1], self.outputs)

    def _layer(self, x: jax.Array, layer: int) -> jax.Array:
        """(window, rows, inputs) to states (window, rows, width)."""
        width = self.width
        given = nn.Dense(3 * width, name=f"input_{layer}")(x)
        kernel = self.param(
            f"recurrent_{layer}", nn.initializers.lecun_normal(), (width, 3 * width)
        )
        bias = self.param(f"recurrent_bias_{layer}", nn.initializers.zeros_init(), (width,))

        def step(state: jax.Array, now: jax.Array) -> tuple[jax.Array, jax.Array]:
            product = state @ kernel
            gates = nn.sigmoid(now[:, : 2 * width] + product[:, : 2 * width])
            reset, keep = gates[:, :width], gates[:, width:]
            new = jnp.tanh(now[:, 2 * width :] + reset * (product[:, 2 * width :] + bias))
            state = new + keep * (state - new)
            return state, state

        _, states = lax.scan(step, jnp.zeros_like(given[0, :, :width]), given)
        return states


@register("gru")
def gru(section: ModelSection) -> GRU:
    """Build `model.depth` layers of `model.width` units over `model.window` bars."""
    return GRU(section.width, section.depth, section.window, section.outputs)
