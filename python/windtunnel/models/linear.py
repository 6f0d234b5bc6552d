"""Linear and logistic regression: one weight a feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
from flax import linen as nn

from windtunnel.models.factory import register
from windtunnel.models.readout import readout

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection


class Linear(nn.Module):
    """A weighted sum of the features.

    Logistic regression under the direction loss, linear regression under the Huber loss.
    Weights start at zero: the problem is convex, so seeds differ in their minibatches
    alone. There are no hidden units, so the dropout rate has no effect.

    Attributes
    ----------
    outputs : int
        Numbers a row.
    """

    outputs: int = 1

    @property
    def masked_units(self) -> int:
        """Columns of random bits wanted: none."""
        return 0

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        rate: jax.Array | float = 0.0,  # noqa: ARG002 - the contract of all families
        bits: jax.Array | None = None,  # noqa: ARG002 - the same
    ) -> jax.Array:
        """Map features (rows, F) float32 to logits (rows,), or (rows, outputs) where several."""
        return readout(x, self.outputs, zero=True)


@register("linear")
def linear(section: ModelSection) -> Linear:
    """Build the linear family; it has neither width nor depth."""
    return Linear(outputs=section.outputs)
