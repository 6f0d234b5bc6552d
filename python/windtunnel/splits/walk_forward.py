"""Walk-forward folds and the sealed holdout: where each model may learn and be judged.

Ranges are half-open bar ranges of the whole panel. Time runs one way: a fold's training
slice lies before its validation slice, the validation slices follow one another without
a gap, and the holdout lies after all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from windtunnel.config.study import ValidationSection
from windtunnel.errors import SplitError

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
