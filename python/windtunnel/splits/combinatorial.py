"""Combinatorial purged cross-validation: many out-of-sample histories from one."""

from __future__ import annotations

from windtunnel.splits.groups import GroupPlan, Range, plan_groups


def combinatorial_purged(within: Range, groups: int, tested: int) -> GroupPlan:
    """Test every choice of `tested` out of `groups` groups; reassemble the paths.

    Lopez de Prado (2018), Advances in Financial Machine Learning, section 12.3 and 12.4:
    C(N, k) splits make (k / N) C(N, k) paths, each of which covers every tested bar once.
    N = 6 and k = 2 give 15 splits and 5 paths. The spread of a figure over the paths shows
    how much it owes to one course of history; the paths share their bars, so they are not
    independent. Rows are chosen by `purged_rows`, on both sides of every run of test bars.

    Parameters
    ----------
    within : (int, int)
        Half-open bar range to cut, usually the development range.
    groups : int
        N >= 2. Group lengths are equal; bars left over come before the first and only train.
    tested : int
        k, 1 to N - 1. The number of models to train is C(N, k).

    Returns
    -------
    GroupPlan
        N groups, C(N, k) splits, (k / N) C(N, k) paths.

    Raises
    ------
    SplitError
        N < 2, k out of range, or groups shorter than 20 bars.
    """
    return plan_groups(within, groups, tested, name="groups")
