"""The standard normal distribution, and the largest of N draws from it."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]

EULER_GAMMA = float(np.euler_gamma)


def cdf(z: Float64Array) -> Float64Array:
    """Phi(z), exact in the lower tail too; NaN stays NaN."""
    values = [0.5 * math.erfc(-x / math.sqrt(2.0)) for x in np.ravel(z)]
    return np.array(values, dtype=np.float64).reshape(np.shape(z))


def quantile(p: float) -> float:
    """Inverse of Phi for 0 < p < 1."""
    return NormalDist().inv_cdf(p)


def variance_of_maximum(trials: float) -> float:
    """Variance of the largest of `trials` independent standard normal draws.

    By quadrature of the density N phi(x) Phi(x)**(N-1); the trapezoid rule converges
    geometrically on it. N may be fractional (an effective number of trials).
    """
    x = np.linspace(-12.0, 12.0, 4801)
    density = np.exp(-0.5 * x * x) * cdf(x) ** (trials - 1.0)
    density /= density.sum()
    mean = float((density * x).sum())
    return float((density * (x - mean) ** 2).sum())
