from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.data.align import to_panel
from windtunnel.data.quality import COLUMNS, VALUES
from windtunnel.errors import DataError


def hand_made() -> pl.DataFrame:
    """Four bars on three days; B lacks the first and A the last; one bar has no volume."""
    return pl.DataFrame(
        {
            "timestamp": ["2020-01-01", "2020-01-02", "2020-01-02", "2020-01-04"],
            "symbol": ["A", "A", "B", "B"],
            "open": [1.0, 2.0, 3.0, 4.0],
            "high": [5.0, 6.0, 7.0, 8.0],
            "low": [0.1, 0.2, 0.3, 0.4],
            "close": [1.5, 2.5, 3.5, 4.5],
            "volume": [10.0, 0.0, 30.0, 40.0],
        }
    ).with_columns(pl.col("timestamp").str.to_datetime(time_unit="us", time_zone="UTC"))


def test_bars_are_aligned_on_the_union_of_timestamps():
    panel = to_panel(hand_made())
    assert panel.symbols == ("A", "B")
    days = ["2020-01-01", "2020-01-02", "2020-01-04"]
    assert panel.timestamps.dtype == np.dtype("datetime64[us]")
    assert panel.timestamps.tolist() == np.array(days, "datetime64[us]").tolist()
    nan = np.nan
    np.testing.assert_array_equal(panel.close, [[1.5, nan], [2.5, 3.5], [nan, 4.5]])
    np.testing.assert_array_equal(panel.open, [[1, nan], [2, 3], [nan, 4]])
    np.testing.assert_array_equal(panel.high, [[5, nan], [6, 7], [nan, 8]])
    np.testing.assert_array_equal(panel.low, [[0.1, nan], [0.2, 0.3], [nan, 0.4]])
    np.testing.assert_array_equal(panel.volume, [[10, nan], [0, 30], [nan, 40]])
    np.testing.assert_array_equal(panel.tradable, [[1, 0], [0, 1], [0, 1]])
    np.testing.assert_array_equal(panel.listed, [[1, 0], [1, 1], [0, 1]])
    for name in VALUES:
        array = getattr(panel, name)
        assert array.dtype == np.float64
        assert array.flags.c_contiguous


def test_duplicated_bars_are_refused_by_name():
    with pytest.raises(DataError, match="B at 2020-01-02: duplicated"):
        to_panel(pl.concat([hand_made(), hand_made()[2:3]]))


def test_no_bars_are_refused():
    with pytest.raises(DataError, match="no bars"):
        to_panel(hand_made().clear())


@pytest.mark.parametrize("column", COLUMNS)
def test_any_change_of_a_value_changes_the_fingerprint(column):
    frame = hand_made()
    if column == "timestamp":
        change = pl.col(column) + pl.duration(microseconds=1)
    elif column == "symbol":
        change = pl.col(column) + "x"
    else:
        change = pl.col(column) + 1e-9
    assert to_panel(frame.with_columns(change)).fingerprint != to_panel(frame).fingerprint


def test_values_that_swap_places_change_the_fingerprint():
    frame = hand_made()
    swapped = frame.with_columns(open=pl.col("high"), high=pl.col("open"))
    assert to_panel(swapped).fingerprint != to_panel(frame).fingerprint


def test_negative_zero_volume_is_zero_to_the_fingerprint():
    frame = hand_made()
    signed = frame.with_columns(volume=pl.Series([10.0, -0.0, 30.0, 40.0]))
    assert to_panel(signed).fingerprint == to_panel(frame).fingerprint


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_order_of_rows_and_columns_does_not_matter(data):
    places = data.draw(
        st.lists(
            st.tuples(st.integers(0, 12), st.sampled_from(["A", "B", "é", "Z"])),
            min_size=1,
            max_size=30,
            unique=True,
        )
    )
    price = st.floats(0.01, 1e6)
    frame = pl.DataFrame(
        {
            "timestamp": pl.Series([day for day, _ in places]).cast(pl.Datetime("us", "UTC")),
            "symbol": [symbol for _, symbol in places],
            **{name: [data.draw(price) for _ in places] for name in VALUES},
        }
    )
    rows = data.draw(st.permutations(range(len(places))))
    columns = data.draw(st.permutations(COLUMNS))
    one, other = to_panel(frame), to_panel(frame[rows].select(columns))
    assert one.fingerprint == other.fingerprint
    assert one.symbols == other.symbols == tuple(sorted({symbol for _, symbol in places}))
    np.testing.assert_array_equal(one.timestamps, other.timestamps)
    for name in (*VALUES, "tradable"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    # And every bar is found where it belongs.
    for row in frame.iter_rows(named=True):
        t = np.flatnonzero(one.timestamps == np.datetime64(row["timestamp"].replace(tzinfo=None)))
        n = one.symbols.index(row["symbol"])
        assert all(getattr(one, name)[t[0], n] == row[name] for name in VALUES)
    assert one.listed.sum() == len(places)
