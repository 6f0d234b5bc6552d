"""Groups of bars that are tested in turn, and the splits and paths that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from windtunnel.errors import SplitError
from windtunnel.splits.walk_forward import MIN_VALIDATION_BARS

Range = tuple[int, int]


@dataclass(frozen=True)
class Split:
    """Some groups are tested, the rest of the bars may train.

    Attributes
    ----------
    index : int
        0 to S - 1.
    groups : tuple of int
        Numbers of the groups that are tested, ascending.
    test : tuple of (int, int)
        Their half-open bar ranges. Ranges of neighbouring groups touch; others do not.
    within : (int, int)
        Half-open bar range that training rows may come from; `purged_rows` takes the tests,
        their label windows and the embargo out of it.
    """

    index: int
    groups: tuple[int, ...]
    test: tuple[Range, ...]
    within: Range


@dataclass(frozen=True)
class GroupPlan:
    """Equal groups of bars, the splits that test them and the paths through the splits.

    Attributes
    ----------
    groups : tuple of G (int, int)
        Half-open bar ranges, contiguous and of equal length.
    splits : tuple of S Split
        Every choice of `tested` groups once, in lexicographic order.
    paths : tuple of P tuples of G int
        paths[p][g] is the index of the split whose model speaks for group g on path p. Each
        split speaks for each of its groups on exactly one path.
    """

    groups: tuple[Range, ...]
    splits: tuple[Split, ...]
    paths: tuple[tuple[int, ...], ...]

    @property
    def out_of_sample(self) -> Range:
        """Half-open range of all groups."""
        return self.groups[0][0], self.groups[-1][1]

    def assemble(self, values: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
        """Join what the splits say about their tests into whole histories.

        Parameters
        ----------
        values : S arrays (T, ...)
            For each split something a bar (scores, returns), T bars of the panel. Only its
            own test bars are read.

        Returns
        -------
        (P, L, ...) array
            L bars of `out_of_sample`; every path holds every bar once, from a model that was
            not trained on it.

        Raises
        ------
        SplitError
            Not one array a split, or arrays shorter than the plan.
        """
        first, beyond = self.out_of_sample
        if len(values) != len(self.splits) or any(len(part) < beyond for part in values):
            raise SplitError(
                f"values: must be {len(self.splits)} arrays of {beyond} or more bars, got "
                f"{len(values)} of {sorted({len(part) for part in values})}",
                "Give one array for each split, with time first",
            )
        joined = np.empty(
            (len(self.paths), beyond - first, *values[0].shape[1:]), dtype=values[0].dtype
        )
        for p, path in enumerate(self.paths):
            for (start, stop), split in zip(self.groups, path, strict=True):
                joined[p, start - first : stop - first] = values[split][start:stop]
        return joined


def plan_groups(within: Range, groups: int, tested: int, *, name: str) -> GroupPlan:
    """Cut `within` into equal groups and test every choice of `tested` of them.

    The groups have V = (bars // groups) bars each. Bars that do not divide evenly come
    before the first group: they train, and are never tested.

    Raises
    ------
    SplitError
        A range that is none, fewer than two groups, all of them tested, or groups shorter
        than 20 bars. `name` is what the message calls the number of groups.
    """
    start, stop = within
    if not 0 <= start < stop:
        raise SplitError(
            f"within: must be a range of bars, got {within}", "Give (first bar, last bar + 1)"
        )
    if groups < 2:
        raise SplitError(f"{name}: must be 2 or more, got {groups}", "5 to 10 is usual")
    if not 1 <= tested < groups:
        raise SplitError(
            f"tested: must be 1 to {groups - 1} of {groups} groups, got {tested}", "2 is usual"
        )
    length = (stop - start) // groups
    if length < MIN_VALIDATION_BARS:
        raise SplitError(
            f"{name}: {groups} groups of {MIN_VALIDATION_BARS} bars need "
            f"{groups * MIN_VALIDATION_BARS} bars, and there are {stop - start}",
            f"Give a longer history, or lower {name}",
        )
    first = stop - groups * length
    ranges = tuple((first + g * length, first + (g + 1) * length) for g in range(groups))
    splits = tuple(
        Split(index, chosen, tuple(ranges[g] for g in chosen), (start, stop))
        for index, chosen in enumerate(combinations(range(groups), tested))
    )
    # The j-th split that tests a group speaks for it on path j.
    testers = [[split.index for split in splits if g in split.groups] for g in range(groups)]
    return GroupPlan(ranges, splits, tuple(zip(*testers, strict=True)))
