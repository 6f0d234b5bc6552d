"""Purged k-fold: each group of bars is tested once, by a model of all the others."""

from __future__ import annotations

from windtunnel.splits.groups import GroupPlan, Range, plan_groups


def purged_kfold(within: Range, folds: int) -> GroupPlan:
    """Cut bars into folds that are tested in turn and trained on from both sides.

    Lopez de Prado (2018), Advances in Financial Machine Learning, section 7.4. The single
    path covers every tested bar once, but its models know the future of their tests: it
    says how well a pattern generalises, not what a trader would have earned. Rows are
    chosen by `purged_rows`; without it the folds leak through overlapping labels.

    Parameters
    ----------
    within : (int, int)
        Half-open bar range to cut, usually the development range.
    folds : int
        K >= 2. Fold lengths are equal; bars left over come before the first and only train.

    Returns
    -------
    GroupPlan
        K groups, K splits of one group, one path.

    Raises
    ------
    SplitError
        K < 2, or folds shorter than 20 bars.
    """
    return plan_groups(within, folds, 1, name="folds")
