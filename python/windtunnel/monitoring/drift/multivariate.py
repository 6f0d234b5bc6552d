"""How far a window is from the reference in all features together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

STATISTICS = ("mmd", "classifier_auc")
_RIDGE = 0.01
_COMPARED = 1000  # reference rows among which the classifier's scores are ranked


class Discriminant:
    """A domain classifier: it tells from which of two samples a row comes.

    Fisher's linear discriminant on the embedding, with the reference's covariance plus a
    hundredth of its mean variance on the diagonal. It is fitted to one half of the window's
    bars and asked about the other, both ways: an AUC above one half that carries over is a
    difference between the samples, found in whatever direction it lies (Lopez-Paz and
    Oquab 2017). The halves are contiguous, so that neighbours do not stand on both sides.

    Parameters
    ----------
    embedded : (R, D) float32
        The reference.
    seed : int
        Of the choice of rows to compare with.
    """

    def __init__(self, embedded: Float32Array, *, seed: int = 0) -> None:
        wide = embedded.astype(np.float64)
        covariance = np.cov(wide, rowvar=False)
        size = np.trace(covariance) / len(covariance)
        self._inverse = np.linalg.inv(
            covariance + (_RIDGE * size + 1e-12) * np.eye(len(covariance))
        )
        random = np.random.default_rng(seed)
        chosen = random.choice(len(wide), min(len(wide), _COMPARED), replace=False)
        self._compared = wide[chosen]

    def auc(self, first: Float32Array, second: Float32Array, reference: Float64Array) -> float:
        """Mean AUC of the two cross-fitted classifiers; 0.5 when they see no difference.

        Parameters
        ----------
        first, second : (n, D) float32
            The halves of the window; an empty one makes the answer 0.5.
        reference : (D,) float64
            Mean of the reference, or of its resample.
        """
        if not len(first) or not len(second):
            return 0.5
        total = 0.0
        for train, asked in ((first, second), (second, first)):
            direction = self._inverse @ (train.mean(axis=0, dtype=np.float64) - reference)
            total += _auc(asked @ direction, np.sort(self._compared @ direction))
        return total / 2


def squared_mmd(window: Float64Array, reference: Float64Array) -> float:
    """Squared maximum mean discrepancy of two mean embeddings (D,); biased, never negative."""
    gap = window - reference
    return float(gap @ gap)


def _auc(scores: Float64Array, sorted_others: Float64Array) -> float:
    """Share of pairs in which the score exceeds the other, ties as one half."""
    below = np.searchsorted(sorted_others, scores, side="left")
    not_above = np.searchsorted(sorted_others, scores, side="right")
    return float((below + not_above).mean() / (2 * len(sorted_others)))
