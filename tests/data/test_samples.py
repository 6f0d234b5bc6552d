"""The bundled prices are what their note says, and pass the gate."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from windtunnel.data.align import to_panel
from windtunnel.data.load import load_bars
from windtunnel.data.quality import gate
from windtunnel.data.samples import SAMPLES, sample_path


@pytest.fixture(scope="module")
def us_equities() -> pl.DataFrame:
    return pl.read_parquet(sample_path("us_equities_1d"))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_note_states_the_digest_of_the_file(name):
    path = sample_path(name)
    note = (path.parent / "PROVENANCE.md").read_text()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in note


def test_the_bundled_prices_pass_the_gate_with_three_warnings(section):
    data = section(source="sample:us_equities_1d")
    report = gate(load_bars(data, Path("nowhere")), data)
    assert [warning.partition(";")[0] for warning in report.warnings] == [
        "AAPL: one bar moves by more than 40%, the largest -51.9% at 2000-09-29",
        "FB starts 2012-05-18",
        "GOOG starts 2004-08-19",
    ]
    assert report.summary["bars"].to_list() == [3270, 196, 2148, 3270, 3270]


def test_the_bundled_panel_has_its_shape_and_every_bar_tradable(section):
    panel = to_panel(load_bars(section(source="sample:us_equities_1d"), Path()))
    assert panel.close.shape == (3270, 5)
    assert panel.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert (panel.tradable == panel.listed).all()
    # Records of studies name this value: changing how it is made orphans them.
    assert panel.fingerprint == "f3aadd786247ff403944f82675c90c77671c21909815ac2d73a77827eab5f1e5"


def test_ranges_hold_exactly_and_timestamps_are_midnights(us_equities):
    highest = us_equities.select(pl.max_horizontal("open", "close") <= pl.col("high"))
    lowest = us_equities.select(pl.min_horizontal("open", "close") >= pl.col("low"))
    assert highest.to_series().all()
    assert lowest.to_series().all()
    assert us_equities["timestamp"].dt.time().n_unique() == 1
    assert us_equities["timestamp"][0] == datetime(2000, 3, 1, tzinfo=UTC)


def test_first_bar_is_the_source_adjusted_by_hand(us_equities):
    # AAPL 2000-03-01: 118.56, 132.06, 118.50, 130.31, volume 9,616,100, adjusted 4.186663.
    bar = us_equities.row(0, named=True)
    factor = 4.186663 / 130.31
    assert bar["open"] == pytest.approx(118.56 * factor, rel=1e-6)
    assert bar["high"] == pytest.approx(132.06 * factor, rel=1e-6)
    assert bar["low"] == pytest.approx(118.50 * factor, rel=1e-6)
    assert bar["close"] == pytest.approx(4.186663, rel=1e-6)
    assert bar["close"] * bar["volume"] == pytest.approx(130.31 * 9_616_100)


@pytest.mark.parametrize(
    ("symbol", "day"),
    [
        ("AAPL", datetime(2000, 6, 21, tzinfo=UTC)),
        ("AAPL", datetime(2005, 2, 28, tzinfo=UTC)),
        ("MSFT", datetime(2003, 2, 18, tzinfo=UTC)),
    ],
)
def test_splits_are_adjusted(us_equities, symbol, day):
    own = us_equities.filter(pl.col("symbol") == symbol)
    move = own.with_columns(move=pl.col("close") / pl.col("close").shift(1) - 1)
    assert abs(move.filter(pl.col("timestamp") == day)["move"][0]) < 0.15
