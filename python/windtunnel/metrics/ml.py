"""How well scores predict labels, for all configurations at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.metrics._ml_kernel import DIRECTION, FORWARD_RETURN, WIDTH, measure
from windtunnel.metrics.lanes import over_lanes

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]


def ml_metrics(scores: Float32Array, labels: Float32Array, kind: str) -> dict[str, Float64Array]:
    """Measure the scores of C configurations against one set of labels.

    A row is one instrument at one bar. Rows whose label is NaN are left out for all
    configurations, rows whose score is NaN (no opinion) for that configuration. All
    figures pool the remaining rows over bars and instruments.

    Parameters
    ----------
    scores : (T, N, C) float32
        For direction 2 p - 1 in [-1, 1], where p is the probability of a rise; for
        forward_return the predicted standardised return. Other dtypes are converted.
    labels : (T, N) float32
        For direction 1 (rise) or 0; for forward_return the standardised return.
    kind : {"direction", "forward_return"}
        What the labels are.

    Returns
    -------
    dict of str to (C,) float64
        For direction:

        log_loss
            Mean of -log(likelihood), in nats, the likelihood clipped to
            [1e-7, 1 - 1e-7]: closer to 0 or 1 float32 scores cannot tell.
        auc
            Area under the ROC curve from average ranks (Mann and Whitney 1947): ties
            count one half.
        accuracy
            Share of rows on the right side of p = 1/2; a score of 0 counts one half.
        brier
            Mean of (p - label)**2 (Brier 1950).
        ic
            Pearson correlation of score and label.
        rank_ic
            Spearman correlation with average ranks on ties.
        calibration_error
            Sum over ten equal-width bins of p (closed on the left, the last one on both
            sides) of the bin's share of rows times abs(mean p - mean label): the expected
            calibration error of Naeini, Cooper and Hauskrecht (2015).

        For forward_return: mse, accuracy (share of rows where score and label have one
        sign; a product of 0 counts one half), ic, rank_ic.

    Raises
    ------
    MetricError
        Shapes that do not agree, an unknown kind, an infinite score or label, a direction
        score outside [-1, 1], a direction label other than 0 and 1. Names the place.

    Notes
    -----
    Undefined, hence NaN: everything without rows; auc with one class only; ic and rank_ic
    with fewer than two rows or when score or label does not vary.
    """
    if kind not in {"direction", "forward_return"}:
        raise MetricError(
            f"kind: must be 'direction' or 'forward_return', got {kind!r}", "Use one of the two"
        )
    if np.ndim(scores) != 3 or np.ndim(labels) != 2 or np.shape(scores)[:2] != np.shape(labels):
        raise MetricError(
            f"scores and labels: must be (T, N, C) and (T, N), got {np.shape(scores)} and "
            f"{np.shape(labels)}",
            "Use scores[:, :, None] for one configuration",
        )
    direction = kind == "direction"
    instruments, configurations = scores.shape[1:]
    flat = np.ascontiguousarray(scores, dtype=np.float32).reshape(np.size(labels), configurations)
    targets = np.asarray(labels, dtype=np.float64).ravel()
    rows = np.flatnonzero(~np.isnan(targets))
    known = targets[rows]
    wrong = np.isinf(known) if not direction else (known != 0.0) & (known != 1.0)
    if wrong.any():
        row = int(rows[np.argmax(wrong)])
        raise MetricError(
            f"labels: bar {row // instruments}, instrument {row % instruments} is {targets[row]}",
            "A direction label is 0, 1 or NaN" if direction else "Use NaN where undefined",
        )
    names = DIRECTION if direction else FORWARD_RETURN
    out = np.empty((len(names), configurations))
    first_bad = np.empty(configurations, dtype=np.int64)
    order = np.argsort(known, kind="stable")

    def part(start: int, stop: int) -> None:
        measure(flat, rows, known, order, direction, out, first_bad, start, stop)

    over_lanes(part, configurations, width=WIDTH)
    if (first_bad >= 0).any():
        c = int(np.argmax(first_bad >= 0))
        row = int(rows[first_bad[c]])
        rule = "a direction score lies in [-1, 1]" if direction else "a score is finite or NaN"
        raise MetricError(
            f"scores: bar {row // instruments}, instrument {row % instruments}, configuration "
            f"{c} is {flat[row, c]}; {rule}",
            "Mark failed trials with NaN scores",
        )
    return dict(zip(names, out, strict=True))
