"""What goes into the program of a population and what comes out, and what it is compiled for.

A lane is one configuration, a chunk a fixed small number of lanes that are computed side by
side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

# Lanes of a chunk; see bench/test_training.py for the figures behind the number.
LANES = 2
# Bound of the table of a block of steps; a longer training takes more blocks. It decides
# speed and memory, not results: small blocks stay in the cache, and a stretch that ends
# within a block has drawn little in vain.
TABLE_BYTES = 2 * 2**20


class Data(NamedTuple):
    """What all lanes read, held once on every device.

    features (R, F) and labels (R,) float32 with R = T * N rows; rows (K, M) int32 the
    training rows of each fold, padded, or for minibatches of whole bars the bars at which
    pieces may begin; counts (K,) int32 how many of them count; mean and scale (K, F) float32;
    first (K,) int32 the first validation row; seed the study's, an int32 scalar: another seed
    is no reason to compile anew. For minibatches of whole bars, usable (K, R) bool says which
    rows count, and returns (R,) float32 what an exposure earns, if the head asks; else None.
    """

    features: Any
    labels: Any
    rows: Any
    counts: Any
    mean: Any
    scale: Any
    first: Any
    seed: Any
    usable: Any = None
    returns: Any = None


class Hyper(NamedTuple):
    """Hyperparameters of the lanes: one array each, float32, all of one shape.

    `feature_mask` has one more axis, F: 1 for a feature that the lane sees, 0 for one that
    it does not; None where every lane sees all.
    """

    learning_rate: Any
    weight_decay: Any
    dropout: Any
    label_smoothing: Any
    feature_mask: Any = None


class Lane(NamedTuple):
    """State of one lane in training.

    `loss` belongs to the last step made; `failed_at` is the first step whose loss was not
    finite, -1 while there is none.
    """

    params: Any
    moments: Any
    loss: Any
    failed_at: Any


@dataclass(frozen=True)
class Shape:
    """What a program is compiled for, apart from the data's shapes.

    `batch_size` counts the rows of a minibatch. With `pieces` above zero it consists of that
    many pieces of consecutive whole bars, all `instruments` of each.
    """

    steps: int
    batch_size: int
    seeds: int
    validation_rows: int
    instruments: int = 1
    pieces: int = 0
    cost: float = 0.0
    precision: str = "float32"
    lanes: int = LANES
    table_bytes: int = TABLE_BYTES

    @property
    def block(self) -> tuple[int, int, int]:
        """Pieces, bars and instruments of a minibatch of whole bars."""
        return self.pieces, self.batch_size // (self.pieces * self.instruments), self.instruments


class Trained(NamedTuple):
    """A cohort as it leaves the program.

    state, of type `Lane`, has leaves (K, S, C, ...); scores (K, C, V*N) float32; finite
    (K, S, C) bool says whether all parameters are. On the devices a place stands for fold and
    chunk: state has leaves (S, places, lanes, ...), scores (places, lanes, V*N) and finite
    (S, places, lanes).
    """

    state: Any
    scores: Any
    finite: Any
