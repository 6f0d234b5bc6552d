"""Which rows a split may train on: purge by label windows, embargo after the test.

A label is known only when its window has ended. A row whose window overlaps a test window
would carry the answer of the test into training, so it is purged; rows soon after a test
block still see it through their features, so they are embargoed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from windtunnel.errors import SplitError

if TYPE_CHECKING:
    from windtunnel.splits.groups import Split
    from windtunnel.splits.walk_forward import Fold

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def train_rows(fold: Fold, label_end: Int64Array, usable: BoolArray, embargo: int) -> BoolArray:
    """Rows that a fold may train on: purged and embargoed by the end of each label window.

    A row at bar t is trained on only if its label was fully known, with `embargo` whole
    bars to spare, before the first validation bar. The purge follows each row's own
    label end, so labels of varying length are safe (Lopez de Prado 2018, Advances in
    Financial Machine Learning, 7.4.1 and 7.4.2; here training precedes validation, so
    only the leading edge needs it).

    Parameters
    ----------
    fold : Fold
        Training and validation ranges.
    label_end : (T, N) int64
        Bar whose open ends the label window; negative where the label is undefined.
    usable : (T, N) bool
        Rows whose features are defined.
    embargo : int
        Bars left empty between the last label end and the first validation bar. Zero
        lets serial correlation of the features leak over the edge.

    Returns
    -------
    (T, N) bool
        True for the rows to train on. All False when everything is purged.

    Raises
    ------
    SplitError
        Arrays that do not have one shape, a fold that reaches beyond them, or a negative
        embargo.
    """
    _check(label_end, usable, embargo)
    start, stop = fold.train
    edge = fold.validation[0]
    if not 0 <= start <= stop <= edge <= len(label_end):
        raise SplitError(
            f"fold {fold.index}: train {fold.train} and validation {fold.validation} must follow "
            f"one another within {len(label_end)} bars",
            "Make the fold with walk_forward on the same panel",
        )
    rows = np.zeros(label_end.shape, dtype=np.bool_)
    ends = label_end[start:stop]
    rows[start:stop] = usable[start:stop] & (ends >= 0) & (ends + embargo < edge)
    return rows


def purged_rows(split: Split, label_end: Int64Array, usable: BoolArray, embargo: int) -> BoolArray:
    """Rows that a split with training on both sides of its tests may train on.

    Every run of test bars [a, b) owns the window [a, E]: E is the last bar at which the
    label of any of its rows, of any instrument, ends. A row at bar t with label window
    [t, end] is trained on only if, for each run of test bars, it ends before the window
    (end < a) or begins after it and the embargo (t > E + embargo): Lopez de Prado (2018),
    Advances in Financial Machine Learning, 7.4.1 and 7.4.2. The purge follows each row's own
    label end, so labels of varying length are safe.

    Parameters
    ----------
    split : Split
        Test groups and the bars that training rows may come from.
    label_end : (T, N) int64
        Bar whose open ends the label window; negative where the label is undefined.
    usable : (T, N) bool
        Rows whose features are defined.
    embargo : int
        Bars left empty after the last test label's end. Zero lets rows train whose
        features still look back into the test bars.

    Returns
    -------
    (T, N) bool
        True for the rows to train on. All False when everything is purged.

    Raises
    ------
    SplitError
        Arrays that do not have one shape, a split that reaches beyond them, a label that
        ends before its bar, or a negative embargo.

    Notes
    -----
    A walk-forward fold has no training after its test; `train_rows` keeps its embargo
    before the validation slice instead. Test windows count the labels of rows that are not
    usable too: which rows have features must not decide what is purged.
    """
    _check(label_end, usable, embargo)
    start, stop = split.within
    if not 0 <= start <= split.test[0][0] < split.test[-1][1] <= stop <= len(label_end):
        raise SplitError(
            f"split {split.index}: tests {split.test} must lie within {split.within} and within "
            f"{len(label_end)} bars",
            "Make the split for the same panel",
        )
    bar = np.arange(len(label_end), dtype=np.int64)[:, None]
    defined = label_end >= 0
    if (defined & (label_end < bar)).any():
        t, n = np.argwhere(defined & (label_end < bar))[0]
        raise SplitError(
            f"label_end: bar {t} of instrument {n} ends at bar {label_end[t, n]}, before it begins",
            "Give the bar at which each label's window ends",
        )
    rows = usable & defined & (bar >= start) & (bar < stop)
    for first, beyond in split.test:
        last = max(beyond - 1, int(label_end[first:beyond].max(initial=-1)))
        rows &= (label_end < first) | (bar > last + embargo)
    return rows


def _check(label_end: Int64Array, usable: BoolArray, embargo: int) -> None:
    if label_end.ndim != 2 or label_end.shape != usable.shape:
        raise SplitError(
            f"label_end and usable: both must be (T, N), got {label_end.shape} and {usable.shape}",
            "Compute labels and features on the same panel",
        )
    if embargo < 0:
        raise SplitError(
            f"embargo: must be zero or more bars, got {embargo}", "Set embargo_bars >= 0"
        )
