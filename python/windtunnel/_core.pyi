"""Types of the compiled engine; arrays are C-contiguous and never converted."""

from typing import Literal, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

class TradeColumns(TypedDict):
    configuration: npt.NDArray[np.int64]
    bar: npt.NDArray[np.int64]
    instrument: npt.NDArray[np.int64]
    reason: npt.NDArray[np.int64]
    change: npt.NDArray[np.float64]
    units: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]

class SweepArrays(TypedDict):
    equity: npt.NDArray[np.float64]
    final_equity: npt.NDArray[np.float64]
    turnover: npt.NDArray[np.float64]
    costs: npt.NDArray[np.float64]
    financing: npt.NDArray[np.float64]
    exposure: npt.NDArray[np.float64]
    peak_input: npt.NDArray[np.float64]
    fills: npt.NDArray[np.int64]
    dropped: npt.NDArray[np.int64]
    liquidated: npt.NDArray[np.int64]
    capped: npt.NDArray[np.int64]
    ambiguous: npt.NDArray[np.int64]
    metrics: NotRequired[dict[str, npt.NDArray[np.float64]]]
    trades: NotRequired[TradeColumns]
    cash: NotRequired[npt.NDArray[np.float64]]

class StopArrays(TypedDict):
    loss: npt.NDArray[np.float64] | None
    profit: npt.NDArray[np.float64] | None
    trailing: npt.NDArray[np.float64] | None
    bars: npt.NDArray[np.float64] | None
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]

class Details(TypedDict):
    fee_per_unit: float
    minimum_fee: float
    impact: float
    participation: float
    lot_size: float
    volume: npt.NDArray[np.float64] | None
    half_spread: npt.NDArray[np.float64] | None

class ExposureProgress32: ...
class ExposureProgress64: ...
class PolicyProgress: ...
class SignalProgress: ...

def instruction_set() -> str: ...
def widest_instruction_set() -> str: ...
def run_exposures(
    open_price: npt.NDArray[np.float64],
    close_price: npt.NDArray[np.float64],
    tradable: npt.NDArray[np.bool_],
    exposures: npt.NDArray[np.float32] | npt.NDArray[np.float64],
    band: npt.NDArray[np.float64],
    *,
    fee: float,
    half_spread: float,
    borrow_apr: float,
    financing_apr: float,
    periods_per_year: float,
    initial_cash: float,
    maintenance: float,
    fill: Literal["next_open", "next_close", "same_close"],
    threads: int,
    want_equity: bool,
    want_trades: bool = False,
    want_metrics: bool = False,
    progress: ExposureProgress32 | ExposureProgress64 | None = None,
    details: Details | None = None,
    by_returns: bool = False,
) -> SweepArrays: ...
def run_policy(
    open_price: npt.NDArray[np.float64],
    close_price: npt.NDArray[np.float64],
    tradable: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float32],
    column: npt.NDArray[np.int64],
    enter_at: npt.NDArray[np.float64],
    exit_at: npt.NDArray[np.float64],
    leverage: npt.NDArray[np.float64],
    band: npt.NDArray[np.float64],
    *,
    long_only: bool,
    fee: float,
    half_spread: float,
    borrow_apr: float,
    financing_apr: float,
    periods_per_year: float,
    initial_cash: float,
    maintenance: float,
    fill: Literal["next_open", "next_close", "same_close"],
    threads: int,
    want_equity: bool,
    want_trades: bool = False,
    want_metrics: bool = False,
    progress: PolicyProgress | None = None,
    details: Details | None = None,
    stops: StopArrays | None = None,
    volatility_target: npt.NDArray[np.float64] | None = None,
    volatility: npt.NDArray[np.float64] | None = None,
) -> SweepArrays: ...
def run_signals(
    open_price: npt.NDArray[np.float64],
    close_price: npt.NDArray[np.float64],
    tradable: npt.NDArray[np.bool_],
    entries: npt.NDArray[np.bool_] | npt.NDArray[np.uint8],
    exits: npt.NDArray[np.bool_] | npt.NDArray[np.uint8],
    size: npt.NDArray[np.float64],
    *,
    fee: float,
    half_spread: float,
    borrow_apr: float,
    financing_apr: float,
    periods_per_year: float,
    initial_cash: float,
    maintenance: float,
    fill: Literal["next_open", "next_close", "same_close"],
    threads: int,
    want_equity: bool,
    want_trades: bool = False,
    want_metrics: bool = False,
    progress: SignalProgress | None = None,
    details: Details | None = None,
    stops: StopArrays | None = None,
) -> SweepArrays: ...
