"""A run's bars with newer ones put behind them: nothing is glued on that does not fit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from windtunnel.config.study import StudyFile
from windtunnel.errors import DataError
from windtunnel.monitoring.continued import continued_bars
from windtunnel.runs import Run

START = datetime(2020, 1, 1, tzinfo=UTC)
STUDY = StudyFile.model_validate(
    {
        "study": {"name": "m"},
        "data": {"source": "frame"},
        "search": {"policy.enter": {"low": 0.0, "high": 0.1}},
    }
)


def bars(days: range, symbols: tuple[str, ...] = ("A", "B"), factor: float = 1.0) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "timestamp": START + timedelta(days=day),
                "symbol": symbol,
                "open": factor * (100 + day),
                "high": factor * (103 + day),
                "low": factor * (99 + day),
                "close": factor * (101 + day),
                "volume": 1000.0,
            }
            for day in days
            for symbol in symbols
        ],
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs" / "m", STUDY, bars(range(20)), origin=None)


def test_what_agrees_is_one_history(run: Run, tmp_path: Path) -> None:
    # Prices that were rounded in between, and instruments that the run does not know.
    newer = bars(range(10, 30), ("A", "B", "C"), 1 + 1e-4)
    path = tmp_path / "newer.csv"
    newer.with_columns(pl.col("timestamp").dt.replace_time_zone(None)).write_csv(path)
    for given in (newer, newer.lazy(), path):
        found = continued_bars(run, given)
        assert found.bars.height == 2 * 30
        assert found.bars.filter(pl.col("timestamp") < START + timedelta(days=20)).equals(
            bars(range(20))
        )
        assert (found.seam, found.warnings) == ("", ())


def test_without_newer_bars_there_are_the_runs_own(run: Run) -> None:
    assert continued_bars(run, None).bars.equals(bars(range(20)))


@pytest.mark.parametrize("factor", [0.1, 0.995, 2.0])
def test_bars_of_another_adjustment_are_refused(run: Run, factor: float) -> None:
    split = pl.concat([bars(range(30), ("A",)), bars(range(30), ("B",), factor)])
    newer = split.sort("timestamp", "symbol")
    closes = f"close at {factor * 120:.10g}, the run's own at 120, a ratio of {factor:g}"
    with pytest.raises(DataError, match=f"B at 2020-01-20: the newer bars {closes}") as raised:
        continued_bars(run, newer)
    assert "20 of 40 bars" in raised.value.problem
    # The remedy helps where the ratio is one and the same.
    prices = pl.col("open", "high", "low", "close")
    mended = newer.with_columns(
        pl.when(pl.col("symbol") == "B").then(prices / factor).otherwise(prices)
    )
    moves = continued_bars(run, mended).bars.select(
        (pl.col("close").pct_change().over("symbol")).abs().max()
    )
    assert moves.item() < 0.01


def test_what_cannot_be_compared_is_named(run: Run) -> None:
    newer = pl.concat([bars(range(15, 30), ("A",)), bars(range(20, 30), ("B",), 0.1)])
    found = continued_bars(run, newer.sort("timestamp", "symbol"))
    assert "bars of B share none" in found.seam
    # And the gate, which sees no more than a wild move, is listened to.
    (odd,) = found.warnings
    assert odd.startswith("B: one bar moves by more than 40%")


def test_bars_that_are_not_newer_are_refused(run: Run) -> None:
    with pytest.raises(DataError, match="none is later"):
        continued_bars(run, bars(range(20)))
