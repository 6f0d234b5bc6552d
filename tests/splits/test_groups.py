from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import SplitError
from windtunnel.splits import GroupPlan, Split, combinatorial_purged, purged_kfold, purged_rows


def labels(seed: int, bars: int, instruments: int, longest: int = 15) -> np.ndarray:
    """Ends of labels of varying length, some undefined."""
    rng = np.random.default_rng(seed)
    end = np.arange(bars)[:, None] + rng.integers(1, longest + 1, (bars, instruments))
    end[(end >= bars) | (rng.random(end.shape) < 0.1)] = -1
    return end


plans = st.integers(2, 7).flatmap(
    lambda groups: st.builds(
        lambda start, extra, tested: combinatorial_purged(
            (start, start + 20 * groups + extra), groups, tested
        ),
        st.integers(0, 30),
        st.integers(0, 60),
        st.integers(1, groups - 1),
    )
)


@given(plans, st.integers(0, 12), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_no_train_label_window_overlaps_a_test_window_or_its_embargo(
    plan: GroupPlan, embargo: int, instruments: int, seed: int
) -> None:
    bars = plan.out_of_sample[1] + 10
    end = labels(seed, bars, instruments)
    usable = np.random.default_rng(seed).random(end.shape) < 0.9
    for split in plan.splits[:12]:
        rows = purged_rows(split, end, usable, embargo)
        taken = np.zeros(bars, dtype=bool)  # bars that no training window may touch
        quiet = np.zeros(bars + 40, dtype=bool)  # bars at which no training row may begin
        for start, stop in split.test:
            last = max(stop - 1, end[start:stop].max())
            taken[start : last + 1] = True
            quiet[start : last + embargo + 1] = True
        for t in range(bars):
            for n in range(instruments):
                wanted = (
                    split.within[0] <= t < split.within[1]
                    and usable[t, n]
                    and end[t, n] >= 0
                    and not taken[t : end[t, n] + 1].any()
                    and not quiet[t]
                )
                assert rows[t, n] == wanted, (split, t, n)


@given(plans)
def test_every_path_covers_every_bar_once(plan: GroupPlan) -> None:
    groups, tested = len(plan.groups), len(plan.splits[0].groups)
    assert len(plan.splits) == math.comb(groups, tested)
    assert len(plan.paths) * groups == tested * math.comb(groups, tested)
    spoken = [(split, g) for path in plan.paths for g, split in enumerate(path)]
    assert sorted(spoken) == sorted((s.index, g) for s in plan.splits for g in s.groups)
    assert len({stop - start for start, stop in plan.groups}) == 1
    assert all(a[1] == b[0] for a, b in pairwise(plan.groups))
    assert plan.out_of_sample[1] == plan.splits[0].within[1]

    # Each split writes its number on its test bars and a warning elsewhere.
    values = []
    for split in plan.splits:
        said = np.full((plan.out_of_sample[1], 2), -1)
        for start, stop in split.test:
            said[start:stop] = split.index
        values.append(said)
    joined = plan.assemble(values)
    first, beyond = plan.out_of_sample
    assert joined.shape == (len(plan.paths), beyond - first, 2)
    assert (joined >= 0).all()
    for path, row in zip(plan.paths, joined, strict=True):
        for (start, stop), split in zip(plan.groups, path, strict=True):
            assert (row[start - first : stop - first] == split).all()


@pytest.mark.parametrize(
    ("groups", "tested", "splits", "paths"), [(6, 2, 15, 5), (10, 8, 45, 36), (5, 1, 5, 1)]
)
def test_known_numbers_of_paths(groups: int, tested: int, splits: int, paths: int) -> None:
    plan = combinatorial_purged((0, 20 * groups), groups, tested)
    assert (len(plan.splits), len(plan.paths)) == (splits, paths)


def test_separate_tests_purge_on_both_sides_by_hand() -> None:
    bars = 100
    end = np.arange(bars)[:, None] + 3
    end[end >= bars] = -1
    plan = combinatorial_purged((0, bars), 5, 2)
    split = plan.splits[5]
    assert split.test == ((20, 40), (60, 80))
    rows = purged_rows(split, end, np.ones((bars, 1), dtype=bool), 4)[:, 0]
    # Windows end at 39 + 3 and 79 + 3; 4 bars of embargo follow; labels of 3 bars precede.
    assert np.flatnonzero(rows).tolist() == [*range(17), *range(47, 57), *range(87, 97)]


def test_the_longest_label_of_any_instrument_decides_for_all() -> None:
    end = np.tile(np.arange(60)[:, None] + 1, (1, 2))
    end[39, 1] = 50
    rows = purged_rows(
        purged_kfold((0, 60), 3).splits[1], np.minimum(end, 59), np.ones((60, 2), dtype=bool), 0
    )
    assert np.flatnonzero(rows[:, 0]).tolist() == [*range(19), *range(51, 60)]
    np.testing.assert_array_equal(rows[:, 0], rows[:, 1])


def test_kfold_by_hand() -> None:
    plan = purged_kfold((5, 72), 3)  # 67 = 3 x 22 + 1: the first bar only trains
    assert plan.groups == ((6, 28), (28, 50), (50, 72))
    assert [split.test for split in plan.splits] == [((6, 28),), ((28, 50),), ((50, 72),)]
    assert {split.within for split in plan.splits} == {(5, 72)}
    assert plan.paths == ((0, 1, 2),)


@pytest.mark.parametrize(("groups", "tested"), [(6, 2), (5, 3), (8, 2)])
@pytest.mark.parametrize(("purge", "embargo"), [(0, 0), (3, 0), (2, 5)])
def test_agrees_with_skfolio_on_labels_of_one_length(
    groups: int, tested: int, purge: int, embargo: int
) -> None:
    selection = pytest.importorskip("skfolio.model_selection")
    bars = 24 * groups
    end = np.arange(bars)[:, None] + purge
    plan = combinatorial_purged((0, bars), groups, tested)
    theirs = selection.CombinatorialPurgedCV(
        n_folds=groups, n_test_folds=tested, purged_size=purge, embargo_size=embargo
    )
    assert theirs.n_splits == len(plan.splits)
    assert theirs.n_test_paths == len(plan.paths)
    usable = np.ones((bars, 1), dtype=bool)
    for split, (train, tests) in zip(plan.splits, theirs.split(np.zeros((bars, 1))), strict=True):
        rows = purged_rows(split, end, usable, embargo)[:, 0]
        np.testing.assert_array_equal(np.flatnonzero(rows), train)
        np.testing.assert_array_equal(
            np.concatenate([np.arange(*part) for part in split.test]), np.concatenate(tests)
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 100), 1, 1), "groups: must be 2 or more"),
        (((0, 100), 4, 4), "tested: must be 1 to 3"),
        (((0, 100), 4, 0), "tested"),
        (((0, 79), 4, 2), "need 80 bars, and there are 79"),
        (((9, 9), 4, 2), "within"),
    ],
)
def test_misuse_of_a_plan_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        combinatorial_purged(*arguments)
    assert len(purged_kfold((0, 40), 2).splits) == 2
    with pytest.raises(SplitError, match="folds"):
        purged_kfold((0, 100), 1)


def test_misuse_of_rows_is_refused() -> None:
    split = Split(3, (0,), ((10, 30),), (0, 60))
    end = np.full((60, 1), 59)
    usable = np.ones((60, 1), dtype=bool)
    with pytest.raises(SplitError, match="embargo"):
        purged_rows(split, end, usable, -1)
    with pytest.raises(SplitError, match="label_end and usable"):
        purged_rows(split, end, usable[:-1], 0)
    with pytest.raises(SplitError, match="split 3"):
        purged_rows(split, end[:-1], usable[:-1], 0)
    with pytest.raises(SplitError, match="bar 40 of instrument 0 ends at bar 7"):
        purged_rows(split, np.where(np.arange(60)[:, None] == 40, 7, end), usable, 0)


def test_misuse_of_assembly_is_refused() -> None:
    plan = purged_kfold((0, 60), 3)
    with pytest.raises(SplitError, match="3 arrays of 60"):
        plan.assemble([np.zeros(60)] * 2)
    with pytest.raises(SplitError, match="3 arrays of 60"):
        plan.assemble([np.zeros(60), np.zeros(60), np.zeros(59)])


def test_shuffled_folds_predict_a_random_walk_and_purged_ones_do_not() -> None:
    """The leak that purging is for: overlapping labels make neighbours twins."""
    rng = np.random.default_rng(0)
    bars, horizon = 1200, 20
    price = np.cumsum(rng.normal(size=bars + horizon))
    target = np.sign(price[horizon:] - price[:-horizon])
    end = np.arange(bars)[:, None] + horizon

    def accuracy(train: np.ndarray, test: np.ndarray) -> float:
        # The nearest neighbour in time among the training rows: a feature that drifts.
        nearest = train[np.abs(train[None, :] - test[:, None]).argmin(axis=1)]
        return float((target[nearest] == target[test]).mean())

    mixed = rng.permutation(bars).reshape(5, -1)
    shuffled = [accuracy(np.setdiff1d(np.arange(bars), test), test) for test in mixed]
    plan = purged_kfold((0, bars), 5)
    every = np.ones((bars, 1), dtype=bool)
    purged = [
        accuracy(np.flatnonzero(purged_rows(split, end, every, horizon)), np.arange(*split.test[0]))
        for split in plan.splits
    ]
    assert np.mean(shuffled) > 0.8
    assert np.mean(purged) < 0.65
