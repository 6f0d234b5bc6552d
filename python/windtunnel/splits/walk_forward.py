"""Walk-forward folds and the sealed holdout: where each model may learn and be judged.

Ranges are half-open bar ranges of the whole panel. Time runs one way: a fold's training
slice lies before its validation slice, the validation slices follow one another without
a gap, and the holdout lies after all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.config.study import ValidationSection
from windtunnel.errors import SplitError

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MIN_VALIDATION_BARS = 20
"""A Sharpe ratio of fewer bars is noise; shorter validation slices are refused."""


@dataclass(frozen=True)
class Fold:
    """One step of the walk.

    Attributes
    ----------
    index : int
        0 to K - 1; K for the final fit on all development bars.
    train, validation : (int, int)
        Half-open bar ranges. `train` is where rows may come from; which of its rows are
        used is decided by `train_rows`, which purges and embargoes them.
    """

    index: int
    train: tuple[int, int]
    validation: tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """How the history is cut.

    Attributes
    ----------
    folds : tuple of K Fold
        Their validation slices are contiguous and of equal length.
    development, holdout : (int, int)
        Half-open bar ranges that together cover the history. No trial sees the holdout.
    final : Fold
        Train is what the champion is refitted on, validation is the holdout.
    """

    folds: tuple[Fold, ...]
    development: tuple[int, int]
    holdout: tuple[int, int]
    final: Fold

    @property
    def out_of_sample(self) -> tuple[int, int]:
        """Half-open range of all validation slices: first validation bar, last + 1."""
        return self.folds[0].validation[0], self.folds[-1].validation[1]


def walk_forward(bars: int, section: ValidationSection) -> Plan:
    """Cut a history into walk-forward folds and a holdout.

    With T bars, H of them held out, K folds and a first training slice of at least
    `train_bars`, each validation slice has V = (T - H - train_bars) // K bars. Bars that
    do not divide evenly come before the first validation slice: an anchored fold trains
    on them; a rolling fold always trains on exactly `train_bars`, so the rolling scheme
    leaves fewer than K bars at the very start unused.

    Parameters
    ----------
    bars : int
        Length of the panel, T.
    section : ValidationSection
        Scheme, number of folds, training and holdout lengths in bars.

    Returns
    -------
    Plan
        Folds, development range, holdout and the fold of the final fit.

    Raises
    ------
    SplitError
        The history is too short for validation slices of 20 bars.
    """
    development = bars - section.holdout_bars
    length = (development - section.train_bars) // section.folds
    if length < MIN_VALIDATION_BARS:
        needed = section.train_bars + section.folds * MIN_VALIDATION_BARS + section.holdout_bars
        raise SplitError(
            f"validation: the history has {bars} bars and needs {needed} = train_bars "
            f"{section.train_bars} + folds {section.folds} x {MIN_VALIDATION_BARS} + "
            f"holdout_bars {section.holdout_bars}",
            "Give a longer history, or lower train_bars, folds or holdout_bars",
        )
    first = development - section.folds * length

    def fold(index: int, start: int, stop: int) -> Fold:
        anchored = section.scheme == "anchored"
        return Fold(index, (0 if anchored else start - section.train_bars, start), (start, stop))

    return Plan(
        folds=tuple(
            fold(k, first + k * length, first + (k + 1) * length) for k in range(section.folds)
        ),
        development=(0, development),
        holdout=(development, bars),
        final=fold(section.folds, development, bars),
    )


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
    if label_end.ndim != 2 or label_end.shape != usable.shape:
        raise SplitError(
            f"label_end and usable: both must be (T, N), got {label_end.shape} and {usable.shape}",
            "Compute labels and features on the same panel",
        )
    if embargo < 0:
        raise SplitError(
            f"embargo: must be zero or more bars, got {embargo}", "Set embargo_bars >= 0"
        )
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
