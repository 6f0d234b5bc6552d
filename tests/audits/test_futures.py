"""Other futures leave the past alone and change what comes after."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from windtunnel.audits.futures import FUTURES, with_holes
from windtunnel.data.align import to_panel


@pytest.mark.parametrize("name", FUTURES)
def test_past_stays_and_future_moves(case, name):
    last = case.stamps[150]
    other = FUTURES[name](case.bars, last, np.random.default_rng(0))
    past = pl.col("timestamp") <= last
    assert other.filter(past).equals(case.bars.filter(past))
    assert not other.filter(~past).equals(case.bars.filter(~past))


def test_changed_bars_are_still_bars(case):
    other = FUTURES["changed"](case.bars, case.stamps[150], np.random.default_rng(0))
    later = other.filter(pl.col("timestamp") > case.stamps[150])
    assert (later["high"] >= later["low"]).all()
    assert (later["low"] > 0).all()
    assert (later["volume"] == 0).any()


def test_a_hole_takes_one_instrument_at_each_stamp(case):
    stamps = list(case.stamps[100:105])
    holed = with_holes(case.bars, stamps)
    gone = case.bars.join(holed, on=["timestamp", "symbol"], how="anti")
    assert gone["timestamp"].sort().to_list() == stamps
    assert gone["symbol"].n_unique() > 1
    assert to_panel(holed).bars == to_panel(case.bars).bars


def test_no_hole_where_an_instrument_is_alone(case):
    alone = case.bars.filter(pl.col("symbol") == "AA")
    assert with_holes(alone, list(case.stamps[100:105])).equals(alone)
