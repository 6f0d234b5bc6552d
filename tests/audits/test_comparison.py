"""Bits are compared, not numbers, and what differs is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from windtunnel.audits.comparison import (
    Comparison,
    aligned_ends,
    aligned_panel,
    at_bar,
    differing,
)
from windtunnel.data.align import to_panel


def test_bits_are_compared_and_all_nans_are_one():
    before = np.array([1.0, np.nan, 0.0, 0.1 + 0.2, np.nan])
    odd = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    after = np.array([1.0, odd, -0.0, 0.3, 1.0])
    assert differing(before, after).tolist() == [False, False, True, True, True]
    assert differing(np.array([True]), np.array([False])).tolist() == [True]


def test_first_difference_is_named_and_all_are_counted(case):
    panel = to_panel(case.known)
    other = panel.close.copy()
    other[10, 0] += 1
    other[20] += 1
    comparison = Comparison()
    comparison.same("panel", panel.close, other, at_bar(panel, "close"))
    (found,) = comparison.differences
    assert found.place == "close of AA at 2020-01-11"
    assert found.after == found.before + 1
    assert found.count == 1 + int(panel.listed[20].sum())
    assert comparison.compared["panel"] == panel.close.size


def test_another_shape_is_a_difference():
    comparison = Comparison()
    comparison.same("scores", np.zeros(3), np.zeros(2), lambda index: "")
    assert "shape (3,)" in comparison.differences[0].place


def test_a_shorter_panel_is_laid_out_on_the_whole(case):
    whole = to_panel(case.known)
    late = to_panel(case.after(7).filter(case.after(7)["symbol"] != "BB"))
    laid_out = aligned_panel(late, whole)
    assert laid_out.symbols == whole.symbols
    assert np.isnan(laid_out.close[:7]).all()
    assert np.isnan(laid_out.close[:, 1]).all()
    assert not laid_out.tradable[:, 1].any()
    np.testing.assert_array_equal(laid_out.close[7:, 0], whole.close[7:, 0])
    end = np.full((late.bars, late.instruments), -1, np.int64)
    end[0] = 3
    moved = aligned_ends(end, late, replace(whole))
    assert moved[7, 0] == 10
    assert (moved[:, 1] == -1).all()
