"""Chunks of bars give what the whole history gives, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy, run_signals
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.policy import Policies
from windtunnel.backtest.stops import Stops
from windtunnel.backtest.stream import Chunk, stream_exposures, stream_policy, stream_signals
from windtunnel.errors import BacktestError

TOTALS = (
    "final_equity", "turnover", "costs", "financing", "fills", "dropped", "exposure",
    "liquidated", "capped", "ambiguous",
)  # fmt: skip
ARRAYS = ("timestamps", "open", "high", "low", "close", "volume", "tradable")


def pieces(panel, decisions, half_spread, cuts):
    edges = [0, *cuts, panel.bars]
    for first, last in pairwise(edges):
        part = {name: getattr(panel, name)[first:last].copy() for name in ARRAYS}
        spread = None if half_spread is None else half_spread[first:last].copy()
        yield Chunk(replace(panel, **part), decisions[first:last].copy(), spread)


def assert_same(found, whole) -> None:
    np.testing.assert_array_equal(np.concatenate([each.equity for each in found]), whole.equity)
    np.testing.assert_array_equal(np.concatenate([each.cash for each in found]), whole.cash)
    for name in TOTALS:
        np.testing.assert_array_equal(getattr(found[-1], name), getattr(whole, name), err_msg=name)
    # Chunks sort their fills by configuration, as the whole does.
    bars = np.concatenate([each.trades.bar for each in found])
    order = np.argsort(np.concatenate([each.trades.configuration for each in found]), kind="stable")
    np.testing.assert_array_equal(bars[order], whole.trades.bar)
    prices = np.concatenate([each.trades.price for each in found])
    np.testing.assert_array_equal(prices[order], whole.trades.price)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(2, 60),
    holes=st.sampled_from([0.0, 0.1, 0.5]),
    volatility=st.sampled_from([0.02, 0.3]),
    fill=st.sampled_from(["next_open", "next_close", "same_close"]),
    data=st.data(),
    detailed=st.booleans(),
)
def test_chunks_equal_the_whole(
    random_world, seed, bars, holes, volatility, fill, data, detailed
) -> None:
    market = random_world(seed, bars, 3, volatility, holes)
    panel, rng = market.panel, market.rng
    cuts = sorted(data.draw(st.sets(st.integers(1, bars - 1), max_size=5)))
    prices = np.where(panel.listed, panel.close, 1.0)
    panel = replace(panel, volume=np.where(panel.tradable, 1e5 / prices, np.nan))
    spread = rng.uniform(0, 0.01, prices.shape) if detailed else None
    terms = {
        "costs": Costs(1e-3, 2e-4, 0.5, 0.5, *((0.01, 1.0, 0.1) if detailed else ())),
        "execution": Execution(fill, 1e5, 0.1, 0.3 if detailed else None),
        "periods_per_year": 12.0,
        "threads": 2,
        "want_trades": True,
    }
    exposures = rng.uniform(-2, 2, (bars, 3, 20))
    whole = run_exposures(panel, exposures, band=0.02, half_spread=spread, **terms)
    chunks = pieces(panel, exposures, spread, cuts)
    assert_same(list(stream_exposures(chunks, band=0.02, **terms)), whole)

    scores = rng.uniform(-1, 1, (bars, 3, 2)).astype(np.float32)
    policies = Policies(
        column=rng.integers(0, 2, 20),
        enter=rng.uniform(0, 0.5, 20),
        exit=rng.uniform(0, 0.5, 20),
        leverage=rng.uniform(0.1, 3, 20),
        band=rng.uniform(0, 0.1, 20),
        long_only=False,
    )
    stops = None
    if detailed:
        sizes = volatility * np.array([1.0, 3.0, np.inf])
        stops = Stops(*(rng.choice(sizes, 20) for _ in range(3)), rng.choice([3.0, np.inf], 20))
    whole = run_policy(panel, scores, policies, stops=stops, half_spread=spread, **terms)
    chunks = pieces(panel, scores, spread, cuts)
    assert_same(list(stream_policy(chunks, policies, stops=stops, **terms)), whole)


def test_without_a_log_the_plain_loop_streams_too(random_world) -> None:
    market = random_world(3, 100, 1, 0.02, 0.1)
    exposures = market.rng.uniform(-1, 1, (100, 1, 20)).astype(np.float32)
    terms = {
        "band": 0.02,
        "costs": Costs(1e-3, 2e-4, 0.5, 0.5),
        "execution": Execution(),
        "periods_per_year": 12.0,
    }
    whole = run_exposures(market.panel, exposures, **terms)
    chunks = pieces(market.panel, exposures, None, [1, 17, 50])
    found = list(stream_exposures(chunks, **terms))
    np.testing.assert_array_equal(np.concatenate([each.equity for each in found]), whole.equity)
    for name in TOTALS:
        np.testing.assert_array_equal(getattr(found[-1], name), getattr(whole, name), err_msg=name)


def test_refusals(random_world) -> None:
    market = random_world(3, 20, 2, 0.02, 0.0)
    exposures = np.zeros((20, 2, 3))
    terms = {
        "band": 0.0,
        "costs": Costs(0.0, 0.0, 0.0, 0.0),
        "execution": Execution(),
        "periods_per_year": 12.0,
    }
    first, second = pieces(market.panel, exposures, None, [10])
    wrong = {
        "must follow those of the chunk before": first,
        "same instruments": second._replace(panel=replace(second.panel, symbols=("A", "B"))),
        "keep their columns and dtype": second._replace(decisions=second.decisions[:, :, :2]),
        "with every chunk or with none": second._replace(half_spread=np.zeros((10, 2))),
    }
    for words, chunk in wrong.items():
        with pytest.raises(BacktestError, match=words):
            list(stream_exposures([first, chunk], **terms))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(2, 60),
    fill=st.sampled_from(["next_open", "next_close", "same_close"]),
    stopped=st.booleans(),
    packed=st.booleans(),
    data=st.data(),
)
def test_chunks_of_signals_equal_the_whole(
    random_world, seed, bars, fill, stopped, packed, data
) -> None:
    market = random_world(seed, bars, 1, 0.02, 0.1)
    panel, rng = market.panel, market.rng
    cuts = sorted(data.draw(st.sets(st.integers(1, bars - 1), max_size=4)))
    entries, exits = (rng.random((bars, 1, 19)) < 0.2 for _ in range(2))
    if packed:
        entries, exits = (np.packbits(f, axis=2, bitorder="little") for f in (entries, exits))
    terms = {
        "costs": Costs(fee=1e-3, half_spread=1e-4, borrow_apr=0.5, financing_apr=0.1),
        "execution": Execution(fill, 1e5, 0.1),
        "periods_per_year": 252.0,
        "size": rng.choice([1.0, -1.0, 2.0], 19),
        "stops": Stops(loss=np.full(19, 0.02), trailing=np.full(19, 0.03)) if stopped else None,
        "configurations": 19,
    }
    whole = run_signals(panel, entries, exits, **terms)
    edges = [0, *cuts, bars]
    found = list(
        stream_signals(
            pieces(panel, entries, None, cuts),
            [exits[first:last] for first, last in pairwise(edges)],
            **terms,
        )
    )
    np.testing.assert_array_equal(np.concatenate([each.equity for each in found]), whole.equity)
    for name in TOTALS:
        np.testing.assert_array_equal(getattr(found[-1], name), getattr(whole, name), err_msg=name)


def test_metrics_are_wanted_from_the_start(random_world) -> None:
    market = random_world(1, 20, 1, 0.02, 0.0)
    exposures = np.ones((20, 1, 2))
    first, second = pieces(market.panel, exposures, None, [10])
    from windtunnel.backtest.native import core

    progress = core.ExposureProgress64()
    terms = {
        "band": 0.0,
        "costs": Costs(fee=0.0, half_spread=0.0, borrow_apr=0.0, financing_apr=0.0),
        "execution": Execution(),
        "periods_per_year": 252.0,
        "progress": progress,
    }
    run_exposures(first.panel, first.decisions, **terms)
    with pytest.raises(ValueError, match="metrics must be wanted from the first piece on"):
        run_exposures(second.panel, second.decisions, want_metrics=True, **terms)


def test_what_is_wrong_in_a_later_chunk_is_placed_in_the_history(random_world) -> None:
    market = random_world(3, 30, 2, 0.02, 0.0)
    exposures = np.zeros((30, 2, 3))
    exposures[27, 1, 2] = np.inf
    terms = {
        "band": 0.0,
        "costs": Costs(0.0, 0.0, 0.0, 0.0),
        "execution": Execution(),
        "periods_per_year": 252.0,
    }
    streamed = stream_exposures(pieces(market.panel, exposures, None, [10, 20]), **terms)
    with pytest.raises(
        BacktestError, match=r"chunks\[2\], whose bar 0 here is bar 19 .*exposures\[8, 1, 2\]"
    ):
        list(streamed)


def test_columns_of_bars_come_with_the_chunks(random_world) -> None:
    market = random_world(3, 30, 2, 0.02, 0.0)
    terms = {
        "band": 0.0,
        "costs": Costs(0.0, 0.0, 0.0, 0.0),
        "execution": Execution(),
        "periods_per_year": 252.0,
    }
    chunks = pieces(market.panel, np.zeros((30, 2, 3)), None, [10])
    with pytest.raises(BacktestError, match=r"half_spread: .*Chunk\(panel, decisions, half_spread"):
        next(stream_exposures(chunks, half_spread=np.zeros((30, 2)), **terms))


@pytest.mark.parametrize(
    ("exits", "says"),
    [
        ([np.zeros((10, 2, 3), bool)], "exits: end after 1, sooner"),
        ([np.zeros((10, 2, 3), bool)] * 4, "chunks: end after 3, sooner"),
        ([np.zeros((9, 2, 3), bool)] * 3, r"exits\[0\]: must have the dtype and shape"),
        ([np.zeros((10, 2, 3), np.uint8)] * 3, r"exits\[0\]: must have the dtype and shape"),
    ],
)
def test_exits_that_are_not_those_of_the_chunks_are_refused(random_world, exits, says) -> None:
    market = random_world(3, 30, 2, 0.02, 0.0)
    terms = {
        "costs": Costs(0.0, 0.0, 0.0, 0.0),
        "execution": Execution(),
        "periods_per_year": 252.0,
    }
    chunks = pieces(market.panel, np.zeros((30, 2, 3), bool), None, [10, 20])
    with pytest.raises(BacktestError, match=says):
        list(stream_signals(chunks, exits, **terms))


def test_fills_of_a_stream_are_tabled_with_the_whole_panel(random_world) -> None:
    market = random_world(3, 30, 1, 0.02, 0.0)
    exposures = market.rng.uniform(0, 1, (30, 1, 1))
    terms = {
        "band": 0.0,
        "costs": Costs(0.0, 0.0, 0.0, 0.0),
        "execution": Execution(),
        "periods_per_year": 252.0,
    }
    chunks = list(pieces(market.panel, exposures, None, [10]))
    _, second = stream_exposures(chunks, want_trades=True, **terms)
    with pytest.raises(BacktestError, match=r"panel: has 20 bars, and a fill is at bar 29"):
        second.trades.table(chunks[1].panel)
    assert second.trades.table(market.panel)["timestamp"].max() == market.panel.timestamps[-1]
