"""Which of many p-values to believe, at a stated share of false discoveries."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MonitoringError

Float64Array = npt.NDArray[np.float64]


def adjusted_p_values(p_values: Float64Array, method: Literal["bh", "by"] = "bh") -> Float64Array:
    """Adjusted p-values: what is at most q may be called a discovery at false-discovery rate q.

    Parameters
    ----------
    p_values : (n,) float64
    method : {'bh', 'by'}
        'bh' is the step-up rule of Benjamini and Hochberg (1995), which holds for independent
        and for positively dependent statistics (Benjamini and Yekutieli 2001, theorem 1.2);
        'by' that of the latter's theorem 1.3, which holds under any dependence and costs a
        factor of about ln n.

    Raises
    ------
    MonitoringError
        A p-value is NaN or outside [0, 1].
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise MonitoringError("p_values: must be (n,) between 0 and 1", "Leave undefined ones out")
    n = len(p)
    if n == 0:
        return p.copy()
    order = np.argsort(p)
    factor = (1.0 / np.arange(1, n + 1)).sum() if method == "by" else 1.0
    scaled = p[order] * n * factor / np.arange(1, n + 1)
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
