"""A small causal transformer over a window of bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import linen as nn

from windtunnel.errors import StudyFileError
from windtunnel.models.dropout import drop
from windtunnel.models.factory import register
from windtunnel.models.readout import readout

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection


class Transformer(nn.Module):
    """Blocks of causal self-attention and a perceptron, normalised before each.

    Vaswani et al. (2017), "Attention is all you need", decoder without cross-attention; the
    norms stand before the parts (Xiong et al. 2020, "On layer normalization in the transformer
    architecture"), positions are learnt, the perceptron is twice as wide as the model. The
    last block is computed for the last bar alone, since nothing else of it is asked for.

    Attributes
    ----------
    width, depth : int
        Units a bar, and blocks.
    heads : int
        Attention heads; divides `width`.
    window : int
        Bars.
    outputs : int
        Numbers a row.
    """

    width: int = 32
    depth: int = 2
    heads: int = 2
    window: int = 16
    outputs: int = 1

    @property
    def masked_units(self) -> int:
        """Columns of random bits wanted: two for each unit of each block."""
        return 2 * self.width * self.depth

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        rate: jax.Array | float = 0.0,
        bits: jax.Array | None = None,
    ) -> jax.Array:
        """Map windows (rows, window, F), oldest bar first, to logits (rows,) or (rows, outputs)."""
        positions = self.param("positions", nn.initializers.normal(0.02), (self.window, self.width))
        h = nn.Dense(self.width, name="embed")(x) + positions
        for block in range(self.depth):
            seen = slice(-1, None) if block == self.depth - 1 else slice(None)

            def own(part: int, block: int = block) -> jax.Array | None:
                first = (2 * block + part) * self.width
                return None if bits is None else bits[:, None, first : first + self.width]

            attended = self._attend(nn.LayerNorm(name=f"norm_{block}_0")(h), seen, block)
            h = h[:, seen] + drop(attended, rate, own(0))
            inner = nn.Dense(2 * self.width, name=f"widen_{block}")(
                nn.LayerNorm(name=f"norm_{block}_1")(h)
            )
            narrowed = nn.Dense(self.width, name=f"narrow_{block}")(nn.relu(inner))
            h = h + drop(narrowed, rate, own(1))
        return readout(nn.LayerNorm(name="norm")(h[:, -1]), self.outputs)

    def _attend(self, h: jax.Array, seen: slice, block: int) -> jax.Array:
        """Attention of the bars in `seen` to themselves and all before them."""
        rows, bars, width = h.shape
        each = width // self.heads

        def split(values: jax.Array) -> jax.Array:
            return values.reshape(rows, -1, self.heads, each)

        asked = split(nn.Dense(width, name=f"query_{block}")(h[:, seen]))
        keys, values = jnp.split(nn.Dense(2 * width, name=f"key_value_{block}")(h), 2, axis=-1)
        match = jnp.einsum("rqhe,rkhe->rhqk", asked, split(keys)) * each**-0.5
        allowed = jnp.tril(jnp.ones((bars, bars), bool))[seen]
        match = jnp.where(allowed, match, -jnp.inf)
        # A product with the reciprocal, never a quotient: see `trainers.optimiser`.
        weight = jnp.exp(match - match.max(axis=-1, keepdims=True))
        weight = weight * (1 / weight.sum(axis=-1, keepdims=True))
        mixed = jnp.einsum("rhqk,rkhe->rqhe", weight, split(values)).reshape(rows, -1, width)
        out: jax.Array = nn.Dense(width, name=f"mix_{block}")(mixed)
        return out


@register("transformer")
def transformer(section: ModelSection) -> Transformer:
    """Build `model.depth` blocks of `model.width` units over `model.window` bars.

    Raises
    ------
    StudyFileError
        The heads do not divide the width.
    """
    if section.width % section.attention_heads:
        raise StudyFileError(
            f"model.attention_heads: must divide model.width = {section.width}, got "
            f"{section.attention_heads}",
            "Choose a width that is a multiple of the heads",
        )
    return Transformer(
        section.width, section.depth, section.attention_heads, section.window, section.outputs
    )
