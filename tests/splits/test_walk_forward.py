from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.config.study import ValidationSection
from windtunnel.errors import SplitError
from windtunnel.splits import Fold, train_rows, walk_forward


def section(**fields: object) -> ValidationSection:
    return ValidationSection.model_validate(
        {"folds": 3, "train_bars": 100, "embargo_bars": 2, "holdout_bars": 50, **fields}
    )


def test_anchored_folds_by_hand() -> None:
    plan = walk_forward(251, section())
    # 251 - 50 - 100 = 101 = 3 x 33 + 2; the two left over go before the first slice.
    assert plan.development == (0, 201)
    assert plan.holdout == (201, 251)
    assert [fold.validation for fold in plan.folds] == [(102, 135), (135, 168), (168, 201)]
    assert [fold.train for fold in plan.folds] == [(0, 102), (0, 135), (0, 168)]
    assert [fold.index for fold in plan.folds] == [0, 1, 2]
    assert plan.final == Fold(3, (0, 201), (201, 251))
    assert plan.out_of_sample == (102, 201)


def test_rolling_folds_train_on_exactly_train_bars() -> None:
    plan = walk_forward(251, section(scheme="rolling"))
    assert [fold.train for fold in plan.folds] == [(2, 102), (35, 135), (68, 168)]
    assert plan.final == Fold(3, (101, 201), (201, 251))


def test_too_short_a_history_says_what_it_has_and_needs() -> None:
    with pytest.raises(SplitError, match=r"has 209 bars and needs 210 = .*100 .*3 x 20 .*50"):
        walk_forward(209, section())
    assert len(walk_forward(210, section()).folds) == 3


cuts = st.builds(
    section,
    scheme=st.sampled_from(["anchored", "rolling"]),
    folds=st.integers(1, 6),
    train_bars=st.integers(20, 80),
    embargo_bars=st.integers(0, 12),
    holdout_bars=st.integers(20, 60),
)


@given(cuts, st.integers(0, 100))
def test_validation_slices_are_contiguous_equal_and_cover(
    cut: ValidationSection, extra: int
) -> None:
    bars = cut.train_bars + 20 * cut.folds + cut.holdout_bars + extra
    plan = walk_forward(bars, cut)
    lengths = {stop - start for start, stop in (fold.validation for fold in plan.folds)}
    assert len(lengths) == 1
    assert lengths.pop() >= 20
    edges = [fold.validation for fold in (*plan.folds, plan.final)]
    assert all(a[1] == b[0] for a, b in pairwise(edges))
    assert edges[-1] == plan.holdout == (plan.development[1], bars)
    for fold in (*plan.folds, plan.final):
        assert fold.train[1] == fold.validation[0]
        length = fold.train[1] - fold.train[0]
        if cut.scheme == "rolling":
            assert length == cut.train_bars
        else:
            assert fold.train[0] == 0
            assert length >= cut.train_bars


@given(cuts, st.integers(0, 60), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_no_train_label_window_reaches_embargo_or_validation(
    cut: ValidationSection, extra: int, instruments: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bars = cut.train_bars + 20 * cut.folds + cut.holdout_bars + extra
    horizon = rng.integers(1, 15, (bars, instruments))  # labels of varying length
    end = np.arange(bars)[:, None] + 1 + horizon
    end[(end >= bars) | (rng.random(end.shape) < 0.1)] = -1
    usable = rng.random(end.shape) < 0.9
    plan = walk_forward(bars, cut)
    for fold in (*plan.folds, plan.final):
        rows = train_rows(fold, end, usable, cut.embargo_bars)
        for t in range(bars):
            for n in range(instruments):
                empty = fold.validation[0] - end[t, n] - 1  # whole bars between the two
                wanted = (
                    fold.train[0] <= t < fold.train[1]
                    and usable[t, n]
                    and end[t, n] >= 0
                    and empty >= cut.embargo_bars
                )
                assert rows[t, n] == wanted
        touched = end[rows]
        assert (touched + cut.embargo_bars < fold.validation[0]).all()


def test_purge_at_the_edge_by_hand() -> None:
    end = np.arange(10)[:, None] + 3
    fold = Fold(0, (0, 8), (8, 10))
    every = np.ones((10, 1), dtype=bool)
    assert np.flatnonzero(train_rows(fold, end, every, 0)).tolist() == [0, 1, 2, 3, 4]
    assert np.flatnonzero(train_rows(fold, end, every, 2)).tolist() == [0, 1, 2]
    assert not train_rows(fold, end, every, 9).any()


@pytest.mark.parametrize(
    ("fold", "shape", "embargo", "message"),
    [
        (Fold(0, (0, 5), (5, 10)), (10, 2), 0, r"label_end and usable"),
        (Fold(0, (0, 5), (5, 10)), (10, 1), -1, r"embargo"),
        (Fold(4, (0, 6), (5, 10)), (10, 1), 0, r"fold 4"),
        (Fold(4, (0, 15), (15, 20)), (10, 1), 0, r"fold 4"),
    ],
)
def test_misuse_is_refused(fold: Fold, shape: tuple[int, int], embargo: int, message: str) -> None:
    end = np.full((10, 1), 3, dtype=np.int64)
    with pytest.raises(SplitError, match=message):
        train_rows(fold, end, np.ones(shape, dtype=bool), embargo)


@pytest.mark.parametrize("scheme", ["rolling", "anchored"])
@pytest.mark.parametrize(("horizon", "embargo"), [(0, 0), (1, 0), (3, 2), (5, 10)])
def test_agrees_with_skfolio_on_labels_of_one_length(scheme, horizon, embargo) -> None:
    selection = pytest.importorskip("skfolio.model_selection")
    folds, length, train = 4, 25, 60
    development = train + folds * length  # divides evenly: no bars are left over
    plan = walk_forward(
        development + 50,
        section(scheme=scheme, folds=folds, train_bars=train, embargo_bars=embargo),
    )
    gap = horizon + embargo
    theirs = selection.WalkForward(
        test_size=length,
        train_size=train - gap,
        purged_size=gap,
        expand_train=scheme == "anchored",
    )
    end = np.arange(development)[:, None] + horizon
    usable = np.ones((development, 1), bool)
    splits = list(theirs.split(np.zeros((development, 1))))
    assert len(splits) == folds
    for fold, (fitted, tested) in zip(plan.folds, splits, strict=True):
        rows = train_rows(fold, end, usable, embargo)[:, 0]
        np.testing.assert_array_equal(np.flatnonzero(rows), fitted)
        np.testing.assert_array_equal(np.arange(*fold.validation), tested)
