"""Rows as random Fourier features, in which a difference of means is a difference of laws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

FREQUENCIES = 64
_CLIP = 5.0  # robust standard deviations; one wild value must not decide for a window
_NORMAL_IQR = 1.3489795003921634


@dataclass(frozen=True)
class Embedding:
    """phi(x) with E phi(x)' phi(y) = the Gaussian kernel of the standardised rows.

    Rahimi and Recht (2007), equation 2 and algorithm 1 with cosine and sine pairs. The
    squared distance of two samples' means of phi is their maximum mean discrepancy (Gretton
    et al. 2012, equation 5) with that kernel, in linear instead of quadratic time (Zhao and
    Meng 2015). The bandwidth is the median distance between rows.

    Attributes
    ----------
    centre, scale : (F,) float64
        Median, and interquartile range as a normal's standard deviation.
    frequencies : (F, FREQUENCIES) float64
    """

    centre: Float64Array
    scale: Float64Array
    frequencies: Float64Array

    @classmethod
    def fit(cls, rows: Float64Array, *, seed: int = 0) -> Self:
        """Learn scale and bandwidth from reference rows (R, F)."""
        random = np.random.default_rng(seed)
        low, centre, high = np.quantile(rows, [0.25, 0.5, 0.75], axis=0)
        scale = (high - low) / _NORMAL_IQR
        spread = rows.std(axis=0)
        scale = np.where(scale > 0, scale, np.where(spread > 0, spread, 1.0))
        chosen = random.choice(len(rows), min(len(rows), 500), replace=False)
        some = np.clip((rows[chosen] - centre) / scale, -_CLIP, _CLIP)
        squares = ((some[:, None, :] - some[None, :, :]) ** 2).sum(axis=2)
        median = np.sqrt(np.median(squares[np.triu_indices(len(some), 1)]))
        bandwidth = median if median > 0 else 1.0
        frequencies = random.normal(0.0, 1.0 / bandwidth, (rows.shape[1], FREQUENCIES))
        return cls(centre, scale, frequencies)

    def __call__(self, rows: Float64Array) -> Float32Array:
        """Embed rows (n, F): (n, 2 FREQUENCIES) float32."""
        standard = np.clip((rows - self.centre) / self.scale, -_CLIP, _CLIP)
        angles = standard @ self.frequencies
        both = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        return np.asarray(both / np.sqrt(FREQUENCIES), dtype=np.float32)
