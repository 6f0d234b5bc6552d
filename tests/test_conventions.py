"""The report says of fills and costs what the study says, and nothing that it denies."""

from __future__ import annotations

from typing import Any

from windtunnel import conventions
from windtunnel.config import StudyFile, parse_study


def study(**tables: Any) -> StudyFile:
    search = {"policy.enter": {"low": 0.0, "high": 0.1}}
    own = {"study": {"name": "told", "trials": 4}, "data": {"source": "frame"}}
    return parse_study(own | {"search": search} | tables)


def test_a_plain_study() -> None:
    plain = study()
    assert conventions.fills(plain) == "next open"
    assert conventions.costs(plain) == (
        "fee 1 bps of the value traded; half spread 2 bps; borrowing 1.0% and financing 3.0% a year"
    )
    assert conventions.sizes(plain) == ""
    simulated, size, _ = conventions.caveats(plain)
    assert "market impact are not in them" in simulated
    assert "whatever their size" in size


def test_everything_that_is_set_is_told() -> None:
    full = study(
        costs={"impact_bps": 500, "fee_per_unit": 0.05, "minimum_fee": 25},
        execution={"participation": 0.0001, "lot_size": 10, "maintenance": 0.25},
        policy={"volatility_target": 0.1, "volatility_bars": 40},
    )
    fills, costs = conventions.fills(full), conventions.costs(full)
    for words in ("0.01% of the bar's volume", "multiples of 10 units", "25.0% of the gross"):
        assert words in fills
    for words in ("+ 0.05 a unit", "at least 25 an order", "market impact of 500 bps"):
        assert words in costs
    assert "10.0% a year, measured over 40 bars" in conventions.sizes(full)
    told = " ".join(conventions.caveats(full))
    assert "whatever their size" not in told
    assert "market impact are not" not in told


def test_a_cap_without_impact() -> None:
    told = " ".join(conventions.caveats(study(execution={"participation": 0.1})))
    assert "whatever their size" not in told
    assert "market impact are not in them" in told


def test_a_volatility_that_is_searched() -> None:
    searched = study(
        policy={"volatility_target": 0.1},
        search={"policy.volatility_target": {"low": 0.05, "high": 0.2}},
    )
    assert "or what the trial has" in conventions.sizes(searched)


def test_the_source_is_named() -> None:
    known = {"bars": 2054, "instruments": 3, "fingerprint": "ab" * 32}
    told = conventions.source("bars.csv", **known)
    assert told == "bars.csv: 2,054 bars of 3 instruments, SHA-256 abababababababab"
    assert conventions.source("", **known).startswith("2,054 bars")
