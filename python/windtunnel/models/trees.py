"""Boosted trees as arrays: grown by LightGBM, scored and exported like any other model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from windtunnel.errors import StudyFileError
from windtunnel.models.factory import register

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection


@dataclass(frozen=True)
class Trees:
    """A sum of decision trees; not trained by gradients, hence without `init`.

    Its parameters are arrays (trees, nodes): `feature` int32 and `threshold` float32 of an
    inner node, `left` and `right` int32 its children, `value` float32 of a leaf and 0 of an
    inner node. The root is node 0; a leaf is its own child. What fills arrays up is 0 throughout:
    nodes that no other leads to, and trees whose root is a leaf of value 0.

    Attributes
    ----------
    leaves : int
        Most leaves of a tree, hence its greatest depth plus one.
    """

    leaves: int
    window: int = 0

    @property
    def masked_units(self) -> int:
        """Columns of random bits wanted: none."""
        return 0

    def apply(self, variables: Mapping[str, Any], x: jax.Array) -> jax.Array:
        """Map features (rows, F) float32 to logits (rows,) float32."""
        trees = variables["params"]

        def add(total: jax.Array, tree: Any) -> tuple[jax.Array, None]:
            def descend(_: int, node: jax.Array) -> jax.Array:
                seen = jnp.take_along_axis(x, tree["feature"][node][:, None], axis=1)[:, 0]
                goes_left = seen <= tree["threshold"][node]
                return jnp.where(goes_left, tree["left"][node], tree["right"][node])

            root = jnp.zeros(x.shape[:1], jnp.int32)
            leaf = lax.fori_loop(0, max(self.leaves - 1, 1), descend, root)
            return total + tree["value"][leaf], None

        total, _ = lax.scan(add, jnp.zeros(x.shape[:1], jnp.float32), trees)
        return total


@register("lightgbm")
def lightgbm(section: ModelSection) -> Trees:
    """Build trees of at most `model.width` leaves.

    Raises
    ------
    StudyFileError
        The head or the scope is one that LightGBM has no objective for.
    """
    if section.head in {"sharpe", "quantile"} or section.scope != "instrument":
        raise StudyFileError(
            f"model: 'lightgbm' takes head 'auto', 'direction' or 'regression' and scope "
            f"'instrument', got {section.head!r} and {section.scope!r}",
            "Choose a network for another head or scope",
        )
    return Trees(leaves=max(section.width, 2))
