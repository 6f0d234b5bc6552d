"""Temporal convolution: dilated causal convolutions over a window of bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import linen as nn

from windtunnel.models.dropout import drop
from windtunnel.models.factory import register
from windtunnel.models.readout import readout

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection


class TCN(nn.Module):
    """Residual layers of causal convolutions of two taps, each dilated twice as far as the last.

    Bai, Kolter and Koltun (2018), "An empirical evaluation of generic convolutional and
    recurrent networks for sequence modeling", with one convolution a layer and no weight
    normalisation. As many layers as it takes to see the whole window; before the window all
    is zero.

    Only the last bar's output is asked for, and only what it depends on is computed: in a
    layer with dilation d that is every 2 d-th bar, counted back from the last (the dependency
    tree of van den Oord et al. 2016, "WaveNet"). A layer is therefore one matrix product of
    pairs of neighbours, and the whole costs as much as two layers of an ordinary convolution.

    Attributes
    ----------
    width : int
        Channels.
    window : int
        Bars.
    outputs : int
        Numbers a row.
    """

    width: int = 32
    window: int = 16
    outputs: int = 1

    @property
    def layers(self) -> int:
        """Layers, so that 2 ** layers bars are seen."""
        return max(1, (self.window - 1).bit_length())

    @property
    def masked_units(self) -> int:
        """Columns of random bits wanted: one for each channel of each layer."""
        return self.width * self.layers

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        rate: jax.Array | float = 0.0,
        bits: jax.Array | None = None,
    ) -> jax.Array:
        """Map windows (rows, window, F), oldest bar first, to logits (rows,) or (rows, outputs)."""
        rows = x.shape[0]
        h = jnp.pad(x, ((0, 0), (2**self.layers - x.shape[1], 0), (0, 0)))
        for layer in range(self.layers):
            channels = h.shape[-1]
            pairs = h.reshape(rows, -1, 2 * channels)
            later = pairs[..., channels:]
            if channels != self.width:
                later = nn.Dense(self.width, use_bias=False, name=f"skip_{layer}")(later)
            new = nn.relu(nn.Dense(self.width, name=f"taps_{layer}")(pairs))
            own = None
            if bits is not None:
                own = bits[:, None, layer * self.width : (layer + 1) * self.width]
            h = later + drop(new, rate, own)
        return readout(h[:, 0], self.outputs)


@register("tcn")
def tcn(section: ModelSection) -> TCN:
    """Build layers of `model.width` channels that see `model.window` bars."""
    return TCN(section.width, section.window, section.outputs)
