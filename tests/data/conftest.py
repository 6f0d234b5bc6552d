"""Made-up bars that pass the gate, for tests to spoil in one place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from windtunnel.config.study import DataSection

START = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def bars() -> pl.DataFrame:
    """Ten daily bars of A and B in the normal form."""
    rows = [
        {
            "timestamp": START + timedelta(days=day),
            "symbol": symbol,
            "open": base + day,
            "high": base + day + 1.5,
            "low": base + day - 0.5,
            "close": base + day + 1.0,
            "volume": 100.0 + day,
        }
        for day in range(10)
        for symbol, base in (("A", 10.0), ("B", 50.0))
    ]
    return pl.DataFrame(rows, schema_overrides={"timestamp": pl.Datetime("us", "UTC")})


@pytest.fixture
def section() -> Callable[..., DataSection]:
    def make(**fields: object) -> DataSection:
        return DataSection.model_validate({"source": "frame", **fields})

    return make


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "bars.csv"
        path.write_text(text)
        return path

    return write
