"""What the engine refuses, and in which words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.native import core
from windtunnel.backtest.policy import Policies
from windtunnel.errors import BacktestError

BARS, INSTRUMENTS = 6, 2
TERMS = {
    "costs": Costs(0.001, 0.0, 0.0, 0.0),
    "execution": Execution("next_open", 1000.0, 0.0),
    "periods_per_year": 252.0,
}


@pytest.fixture
def panel(make_panel):
    prices = np.linspace(10.0, 20.0, BARS * INSTRUMENTS).reshape(BARS, INSTRUMENTS)
    return make_panel(prices, prices + 0.5)


def policies(**changes) -> Policies:
    ones = np.ones(3)
    given = {
        "column": np.arange(3),
        "enter": 0.1 * ones,
        "exit": 0.05 * ones,
        "leverage": ones,
        "band": 0.0 * ones,
        "long_only": True,
    }
    return Policies(**(given | changes))


def with_value(array: np.ndarray, value: float, *at: int) -> np.ndarray:
    changed = array.copy()
    changed[at] = value
    return changed


EXPOSURES = np.zeros((BARS, INSTRUMENTS, 3))

BAD_EXPOSURES = {
    "a list": (EXPOSURES.tolist(), r"exposures: must be a NumPy array \(T, N, C\) of float32"),
    "integers": (EXPOSURES.astype(int), r"exposures: must be float32 or float64, got int64"),
    "half floats": (EXPOSURES.astype(np.float16), r"must be float32 or float64, got float16"),
    "two axes": (EXPOSURES[:, :, 0].copy(), r"must have axes \(T, N, C\), got shape \(6, 2\)"),
    "other bars": (EXPOSURES[1:].copy(), r"\(T, N\) = \(6, 2\), got shape \(5, 2, 3\)"),
    "no columns": (EXPOSURES[:, :, :0].copy(), r"last axis must hold at least one column, got 0"),
    "strided": (EXPOSURES[:, :, ::2], r"exposures: must be C-contiguous .* np.ascontiguousarray"),
    "Fortran order": (np.asfortranarray(EXPOSURES), r"exposures: must be C-contiguous"),
    "infinite": (with_value(EXPOSURES, np.inf, 2, 1, 0), r"exposures\[2, 1, 0\]: .* got inf"),
    "percents of percents": (
        with_value(EXPOSURES, -1001.0, 1, 0, 2),
        r"exposures\[1, 0, 2\]: must be NaN or within \+-1000, got -1001",
    ),
}


@pytest.mark.parametrize("name", BAD_EXPOSURES)
def test_bad_exposures(panel, name) -> None:
    exposures, words = BAD_EXPOSURES[name]
    with pytest.raises(BacktestError, match=words):
        run_exposures(panel, exposures, band=0.0, **TERMS)


BAD_BANDS = {
    "negative": (-0.1, r"band\[0\]: must be finite and at least 0, got .*-0.1"),
    "NaN": (np.array([0.0, np.nan, 0.0]), r"band\[1\]: must be finite"),
    "too many": (np.zeros(4), r"band: must be one number or one per configuration \(C=3\), got 4"),
    "float32": (np.zeros(3, np.float32), r"band: must be float64, got float32"),
}


@pytest.mark.parametrize("name", BAD_BANDS)
def test_bad_bands(panel, name) -> None:
    band, words = BAD_BANDS[name]
    with pytest.raises(BacktestError, match=words):
        run_exposures(panel, EXPOSURES, band=band, **TERMS)


BAD_SCORES = {
    "float64": (np.zeros((BARS, INSTRUMENTS, 3)), r"scores: must be float32, got float64"),
    "too few columns": (
        np.zeros((BARS, INSTRUMENTS, 2), np.float32),
        r"policies.column\[2\]: must name one of the S=2 score columns, got 2",
    ),
    "infinite": (
        with_value(np.zeros((BARS, INSTRUMENTS, 3), np.float32), -np.inf, 3, 0, 1),
        r"scores\[3, 0, 1\]: must be finite or NaN, got -inf",
    ),
}


@pytest.mark.parametrize("name", BAD_SCORES)
def test_bad_scores(panel, name) -> None:
    scores, words = BAD_SCORES[name]
    with pytest.raises(BacktestError, match=words):
        run_policy(panel, scores, policies(), **TERMS)


BAD_PANELS = {
    "zero price": (
        lambda p: replace(p, open=with_value(p.open, 0.0, 2, 1)),
        r"panel.open\[2, 1\] \(S1\): must be finite and above 0 where there is a bar, got 0.0",
    ),
    "negative price": (lambda p: replace(p, close=with_value(p.close, -1, 0, 0)), r"panel.close\["),
    "infinite price": (lambda p: replace(p, close=with_value(p.close, np.inf, 0, 0)), r"got inf"),
    "open missing alone": (
        lambda p: replace(p, open=with_value(p.open, np.nan, 3, 0)),
        r"panel.open\[3, 0\] \(S0\): must be finite and above 0 where there is a bar, got nan",
    ),
    "tradable without a bar": (
        lambda p: replace(
            p, open=with_value(p.open, np.nan, 3, 0), close=with_value(p.close, np.nan, 3, 0)
        ),
        r"panel.tradable\[3, 0\] \(S0\): must be False where there is no bar",
    ),
    "float32 prices": (
        lambda p: replace(p, close=p.close.astype(np.float32)),
        r"panel.close: must be float64, got float32",
    ),
    "shapes that differ": (
        lambda p: replace(p, open=p.open[:4].copy()),
        r"panel.open: must have shape \(T, N\) = \(6, 2\), got \(4, 2\)",
    ),
    "strided prices": (
        lambda p: replace(p, close=np.asfortranarray(p.close)),
        r"panel.close: must be C-contiguous",
    ),
    "no bars": (
        lambda p: replace(p, timestamps=p.timestamps[:0]),
        r"panel: must have at least one bar and one instrument, got T=0, N=2",
    ),
    "no instruments": (lambda p: replace(p, symbols=()), r"got T=6, N=0"),
}


@pytest.mark.parametrize("name", BAD_PANELS)
def test_bad_panels(panel, name) -> None:
    damage, words = BAD_PANELS[name]
    with pytest.raises(BacktestError, match=words):
        run_exposures(damage(panel), EXPOSURES, band=0.0, **TERMS)


BAD_POLICIES = {
    "negative threshold": (
        {"enter": np.array([0.1, -0.1, 0.1])},
        r"policies.enter\[1\]: must be finite and at least 0, got .*-0.1",
    ),
    "NaN threshold": ({"exit": np.array([0.1, 0.1, np.nan])}, r"policies.exit\[2\]: .* got .*nan"),
    "no leverage": ({"leverage": np.array([1.0, 0.0, 1.0])}, r"leverage\[1\]: must lie in \(0, 10"),
    "negative band": ({"band": np.full(3, -1.0)}, r"policies.band\[0\]"),
    "other length": ({"band": np.zeros(2)}, r"policies.band: must have one entry a policy \(3"),
    "a float": ({"enter": 0.1}, r"policies.enter: must be a one-dimensional float64 .* got float"),
    "float columns": ({"column": np.arange(3.0)}, r"policies.column: must be .* int64 array, got"),
}


@pytest.mark.parametrize("name", BAD_POLICIES)
def test_bad_policies(name) -> None:
    changes, words = BAD_POLICIES[name]
    with pytest.raises(BacktestError, match=words):
        policies(**changes)


BAD_TERMS = {
    "periods_per_year": (lambda: {"periods_per_year": 0.0}, r"periods_per_year: .* got 0.0"),
    "threads": (lambda: {"threads": 0}, r"threads: must be at least 1, got 0"),
    "fee": (lambda: {"costs": Costs(-1e-4, 0, 0, 0)}, r"costs.fee: .* at least 0, got -0.0001"),
    "rate": (lambda: {"costs": Costs(0, 0, np.nan, 0)}, r"costs.borrow_apr: must be finite"),
    "all": (lambda: {"costs": Costs(1.0, 0.5, 0, 0)}, r"fee \+ half_spread must be below 1, got"),
    "fill": (
        lambda: {"execution": Execution("next_tick")},
        r"execution.fill: must be one of next_open, next_close, same_close, got 'next_tick'",
    ),
    "cash": (lambda: {"execution": Execution(initial_cash=0.0)}, r"initial_cash: .* got 0.0"),
    "maintenance": (lambda: {"execution": Execution(maintenance=1.0)}, r"\[0, 1\), got 1.0"),
}


@pytest.mark.parametrize("name", BAD_TERMS)
def test_bad_terms(panel, name) -> None:
    terms, words = BAD_TERMS[name]
    with pytest.raises(BacktestError, match=words):
        run_exposures(panel, EXPOSURES, band=0.0, **(TERMS | terms()))


def test_no_policy_is_refused(panel) -> None:
    none = np.zeros(0)
    empty = Policies(np.zeros(0, np.int64), none, none, none, none, long_only=True)
    with pytest.raises(BacktestError, match="at least one policy"):
        run_policy(panel, np.zeros((BARS, INSTRUMENTS, 1), np.float32), empty, **TERMS)


def test_read_only_input_is_fine(panel) -> None:
    exposures = EXPOSURES.copy()
    exposures.flags.writeable = False
    assert (run_exposures(panel, exposures, band=0.0, **TERMS).equity == 1000.0).all()


RAW = {
    "fee": 0.0,
    "half_spread": 0.0,
    "borrow_apr": 0.0,
    "financing_apr": 0.0,
    "periods_per_year": 1.0,
    "initial_cash": 1.0,
    "maintenance": 0.0,
    "fill": "next_open",
    "threads": 1,
    "want_equity": True,
}
PRICES, MASK = np.ones((4, 2)), np.ones((4, 2), bool)


@pytest.mark.parametrize(
    "arrays",
    [
        (PRICES[:3], PRICES, MASK, np.zeros((4, 2, 3)), np.zeros(3)),
        (PRICES, PRICES, MASK[:2], np.zeros((4, 2, 3)), np.zeros(3)),
        (PRICES, PRICES, MASK, np.zeros((4, 1, 3)), np.zeros(3)),
        (PRICES, PRICES, MASK, np.zeros((4, 2)), np.zeros(3)),
        (PRICES, PRICES, MASK, np.zeros((4, 2, 3)), np.zeros(2)),
        (PRICES[:0], PRICES[:0], MASK[:0], np.zeros((0, 2, 3)), np.zeros(3)),
    ],
)
def test_the_core_itself_never_reads_beyond_an_array(arrays) -> None:
    with pytest.raises(ValueError, match="must have shape"):
        core.run_exposures(*arrays, **RAW)


def test_the_core_itself_refuses_columns_outside_the_scores() -> None:
    ones = np.ones(2)
    scores = np.zeros((4, 2, 3), np.float32)
    for column in (np.array([0, 3]), np.array([-1, 0])):
        with pytest.raises(ValueError, match="column: must lie in"):
            core.run_policy(
                PRICES, PRICES, MASK, scores, column, ones, ones, ones, ones, long_only=True, **RAW
            )


def test_the_core_itself_converts_nothing() -> None:
    with pytest.raises(TypeError):
        core.run_exposures(
            PRICES.astype(np.float32), PRICES, MASK, np.zeros((4, 2, 3)), np.zeros(3), **RAW
        )
