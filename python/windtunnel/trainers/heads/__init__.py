"""What a network is trained for and what its outputs mean: one head a file.

A head is a loss of a minibatch and the formula from logits to a score. All are pure functions
of arrays; `choose` finds the one that a study file asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel.trainers.heads import direction, quantile, regression, sharpe
from windtunnel.trainers.heads.base import Batch, Head

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection
    from windtunnel.protocols import Kind

__all__ = ["Batch", "Head", "choose"]

_HEADS = {each.name: each for each in (direction.HEAD, quantile.HEAD, regression.HEAD, sharpe.HEAD)}


def choose(model: ModelSection, kind: Kind, *, long_only: bool = False) -> Head:
    """Find the head of a study: the one named, else the one that follows from its labels.

    `long_only` matters to the head whose score is the exposure.
    """
    follows = {"direction": "direction", "forward_return": "regression"}
    if model.head == "sharpe" and long_only:
        return sharpe.LONG_ONLY
    return _HEADS[follows[kind] if model.head == "auto" else model.head]
