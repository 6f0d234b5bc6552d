"""Decisions from a file on disk and from batches of other libraries: the bits of the whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from windtunnel.backtest import batches as module
from windtunnel.backtest.batches import chunks_of
from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.policy import Policies
from windtunnel.backtest.signals import run_signals
from windtunnel.backtest.stream import stream_exposures, stream_policy, stream_signals
from windtunnel.errors import BacktestError

BARS, INSTRUMENTS, CONFIGURATIONS = 90, 3, 20
TERMS = {
    "costs": Costs(1e-3, 2e-4, 0.5, 0.5),
    "execution": Execution("next_open", 1e5, 0.1),
    "periods_per_year": 12.0,
    "want_metrics": True,
}


@pytest.fixture
def market(random_world):
    return random_world(5, BARS, INSTRUMENTS, 0.05, 0.1)


def assert_same(found, whole) -> None:
    found = list(found)
    assert len(found) > 2
    np.testing.assert_array_equal(np.concatenate([each.equity for each in found]), whole.equity)
    for name in ("costs", "financing", "fills", "dropped", "liquidated"):
        np.testing.assert_array_equal(getattr(found[-1], name), getattr(whole, name), err_msg=name)
    for name, values in whole.metrics.items():
        np.testing.assert_array_equal(found[-1].metrics[name], values, err_msg=name)


def table(decisions: np.ndarray) -> pl.DataFrame:
    """A row a bar and instrument, a column a configuration."""
    flat = decisions.reshape(-1, decisions.shape[2])
    return pl.DataFrame({f"c{c}": flat[:, c] for c in range(flat.shape[1])})


def record_batches(decisions: np.ndarray) -> list:
    arrow = pytest.importorskip("pyarrow")
    return arrow.table(table(decisions)).to_batches(max_chunksize=50)


# Cuts of the tables lie within bars.
BATCHES = {
    "arrays": lambda d: [d[a:b] for a, b in pairwise([0, 1, 40, 41, BARS])],
    "polars frames": lambda d: list(table(d).iter_slices(31)),
    "small frames": lambda d: list(table(d).iter_slices(1)),
    "Arrow record batches": record_batches,
    "a generator": lambda d: (frame for frame in table(d).iter_slices(100)),
}


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exposures(market, kind, dtype) -> None:
    shape = (BARS, INSTRUMENTS, CONFIGURATIONS)
    exposures = market.rng.uniform(-1, 1, shape).astype(dtype)
    exposures[market.rng.random(shape) < 0.2] = np.nan
    whole = run_exposures(market.panel, exposures, band=0.02, **TERMS)
    chunks = chunks_of(market.panel, BATCHES[kind](exposures))
    assert_same(stream_exposures(chunks, band=0.02, **TERMS), whole)


def test_a_file_on_disk(market, tmp_path, monkeypatch) -> None:
    exposures = market.rng.uniform(-1, 1, (BARS, INSTRUMENTS, CONFIGURATIONS)).astype(np.float32)
    np.save(tmp_path / "exposures.npy", exposures)
    mapped = np.load(tmp_path / "exposures.npy", mmap_mode="r")
    monkeypatch.setattr(module, "PIECE_BYTES", 7 * exposures[0].nbytes)
    whole = run_exposures(market.panel, exposures, band=0.02, **TERMS)
    chunks = list(chunks_of(market.panel, mapped))
    assert [len(chunk.decisions) for chunk in chunks] == [7] * 12 + [6]
    assert_same(stream_exposures(chunks, band=0.02, **TERMS), whole)
    # It can also be given whole: the engine reads the pages that it needs.
    mapped_whole = run_exposures(market.panel, mapped, band=0.02, **TERMS)
    np.testing.assert_array_equal(mapped_whole.equity, whole.equity)


def test_scores_with_spreads_and_volatility(market) -> None:
    rng = market.rng
    scores = rng.uniform(-1, 1, (BARS, INSTRUMENTS, 2)).astype(np.float32)
    every = np.ones(CONFIGURATIONS)
    policies = Policies(
        column=rng.integers(0, 2, CONFIGURATIONS),
        enter=0.2 * every,
        exit=0.1 * every,
        leverage=2 * every,
        band=0.02 * every,
        long_only=False,
        volatility_target=rng.uniform(0.1, 0.5, CONFIGURATIONS),
    )
    given = {
        "half_spread": rng.uniform(0, 0.01, (BARS, INSTRUMENTS)),
        "volatility": rng.uniform(0.1, 1.0, (BARS, INSTRUMENTS)),
    }
    whole = run_policy(market.panel, scores, policies, **given, **TERMS)
    chunks = chunks_of(market.panel, table(scores).iter_slices(40), **given)
    assert_same(stream_policy(chunks, policies, **TERMS), whole)


def test_flags(market) -> None:
    shape = (BARS, INSTRUMENTS, CONFIGURATIONS)
    entries, exits = (market.rng.random(shape) < 0.1 for _ in range(2))
    whole = run_signals(market.panel, entries, exits, **TERMS)
    chunks = chunks_of(market.panel, table(entries).iter_slices(60))
    leave = (chunk.decisions for chunk in chunks_of(market.panel, table(exits).iter_slices(60)))
    assert_same(stream_signals(chunks, leave, **TERMS), whole)


def damaged(frames: list[pl.DataFrame]) -> dict:
    first, second = frames[:2]
    nulls = second.with_columns(pl.when(pl.col("c1") < 0).then(None).otherwise("c1").alias("c1"))
    mixed = second.with_columns(pl.col("c1").cast(pl.Float64))
    return {
        r"batches\[1\].c1: must hold no nulls, got \d+": [first, nulls],
        r"batches\[1\]: columns must have one dtype, got Float32, Float64": [first, mixed],
        r"columns must be those of the first batch, c0, c1, c2 and 17 more": [
            first,
            second.drop("c3"),
        ],
        r"must hold the panel's 90 bars, got 40": [first, second],
        r"must end with the panel's 90 bars, got more": [*frames, *frames],
        r"whole bars of N=3 instruments, the last bar has 2": [*frames[:-1], frames[-1][:-1]],
        r"batches\[0\]: must be a NumPy array, a polars frame or an Arrow table, got list": [
            [1.0, 2.0]
        ],
    }


def test_refusals(market) -> None:
    exposures = market.rng.uniform(-1, 1, (BARS, INSTRUMENTS, CONFIGURATIONS)).astype(np.float32)
    for words, batches in damaged(list(table(exposures).iter_slices(60))).items():
        with pytest.raises(BacktestError, match=words):
            list(chunks_of(market.panel, batches))
