"""What a report shows, as plain values: the facade fills it, the page only draws it.

Nothing here computes a result. A value that is not defined is NaN or None; `reasons` says
why, and the page shows a dash that carries the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from windtunnel.errors import ReportError

if TYPE_CHECKING:
    from windtunnel.reports.details import AuditRow, Details, LedgerRow, OwnSection, RivalRow
    from windtunnel.reports.glossary import Term

FloatArray: TypeAlias = NDArray[np.float64]
TimeArray: TypeAlias = NDArray[np.datetime64]
Level: TypeAlias = Literal["no_edge", "weak", "candidate"]
Number: TypeAlias = float | int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer in words: a headline, how strong it is, and the sentences beneath."""

    headline: str
    level: Level
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldRow:
    """The champion on one validation slice; `start` and `end` are its first and last bar, UTC.

    Figures of money are None where the slice began with nothing left.
    """

    fold: int
    start: datetime
    end: datetime
    train_rows: int
    champion_return: Number
    champion_sharpe: Number
    champion_drawdown: Number
    buy_and_hold_return: Number
    ic: Number = None
    auc: Number = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Holdout:
    """The sealed slice. Empty arrays mean that it was not read; `seal` says when or why not.

    Attributes
    ----------
    timestamps : (H,) datetime64, UTC
    champion_equity, buy_and_hold_equity : (H,) float64, starting from the initial cash
    champion_metrics, buy_and_hold_metrics : as in `ReportData`
    seal : str
        For example 'read once, 2013-03-02' or 'sealed: already read by run 20130301-a1b2'.
    forced_looks : tuple of str
        Earlier readings that were forced, one sentence each.
    """

    seal: str
    timestamps: TimeArray = field(default_factory=lambda: np.empty(0, "datetime64[us]"))
    champion_equity: FloatArray = field(default_factory=lambda: np.empty(0))
    buy_and_hold_equity: FloatArray = field(default_factory=lambda: np.empty(0))
    champion_metrics: Mapping[str, Number] = field(default_factory=dict)
    buy_and_hold_metrics: Mapping[str, Number] = field(default_factory=dict)
    forced_looks: tuple[str, ...] = ()

    @property
    def read(self) -> bool:
        """Whether there are results to show."""
        return self.timestamps.size > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """A searched dimension: its column in the trials table and whether its scale is log."""

    name: str
    log: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Further:
    """An objective beside the study's own: its column, and whether less of it is better."""

    name: str
    minimised: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CostRow:
    """The champion again with all costs multiplied by `multiple`."""

    multiple: float
    sharpe: float
    total_return: float
    max_drawdown: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DelayedRow:
    """The champion again with every fill `bars` later than the study's rule."""

    bars: int
    sharpe: float
    total_return: float
    max_drawdown: float


@dataclass(frozen=True, kw_only=True, slots=True)
class InstrumentRow:
    """What the quality gate counted for one instrument."""

    symbol: str
    first: datetime
    last: datetime
    bars: int
    missing: int
    zero_volume: int | None = None
    largest_move: Number = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Conventions:
    """How figures were computed, so that a colleague can recompute them."""

    periods_per_year: float
    fill: str
    costs: str
    sizes: str = ""  # of positions, where a rule sets them
    ddof: int = 1
    risk_free: float = 0.0
    benchmark: str = "buy and hold: equal weights at the first bar, never rebalanced"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportData:
    """Everything on the page.

    Attributes
    ----------
    timestamps : (T,) datetime64, UTC
        The out-of-sample bars: the validation slices of all folds, end to end.
    champion_equity, buy_and_hold_equity, cash_equity : (T,) float64
        Equity in the prices' currency, marked at each close, starting from `initial_cash`.
    folds : tuple of FoldRow
        In time order; their first bars are drawn as fold boundaries.
    trials : DataFrame, one row per trial
        Columns `number`, `state` ('complete', 'failed', 'pruned'), `objective` (null or NaN
        when there is none), one column for each of `dimensions`, and metrics (`sharpe` is
        drawn as the luck picture when present).
    further : tuple of Further
        The other objectives of a study that has several; their Pareto front is drawn.
    champion_metrics, buy_and_hold_metrics : mappings
        Keys of `metrics.financial_metrics`, `metrics.ml_metrics` and the engine's totals;
        `glossary.METRICS` holds their names and units, other keys are shown as they are.
    statistics : mapping
        Keys of `glossary.STATISTICS`.
    reasons : mapping
        Why a metric or statistic is not defined, by key; shown where its value is missing.
    details : Details, optional
        How the result came about; its pictures and tables are absent without it.
    deflation : (trials,) float64, optional
        The best Sharpe ratio expected by luck after each trial, in order of their number.
    path_sharpes : (P,) float64, optional
        Annual Sharpe ratios of the champion over cross-validated paths; empty without paths.
    audits, ledger : tuples of AuditRow and LedgerRow
    compilation : str
        What the search compiled and how long that took, in a sentence; may be empty.
    rivals : tuple of RivalRow
        What stands beside a policy that learnt to trade, the champion first; empty for others.
    steps : tuple of (str, str)
        Name and meaning of the steps that the user added to the pipeline.
    own_sections, own_terms, problems : as the user added them
        Sections, the looks of added metrics and statistics, and what failed in them.

    Raises
    ------
    ReportError
        Lengths differ, a column is missing, or the champion is not a complete trial.
    """

    title: str
    run_id: str
    created: datetime
    verdict: Verdict
    initial_cash: float
    timestamps: TimeArray
    champion_equity: FloatArray
    buy_and_hold_equity: FloatArray
    cash_equity: FloatArray
    folds: tuple[FoldRow, ...]
    trials: pl.DataFrame
    dimensions: tuple[Dimension, ...]
    objective: str
    further: tuple[Further, ...] = ()
    champion: int
    champion_rule: str = ""
    champion_metrics: Mapping[str, Number]
    buy_and_hold_metrics: Mapping[str, Number]
    statistics: Mapping[str, Number]
    reasons: Mapping[str, str] = field(default_factory=dict)
    pbo_logits: FloatArray | None = None
    holdout: Holdout | None = None
    cost_rows: tuple[CostRow, ...] = ()
    break_even_bps: Number = None
    delayed: DelayedRow | None = None
    data_source: str
    instruments: tuple[InstrumentRow, ...]
    warnings: tuple[str, ...] = ()
    configuration: str
    commands: tuple[str, ...]
    versions: Mapping[str, str]
    conventions: Conventions
    caveats: tuple[str, ...] = ()
    optimistic_fill: bool = False
    details: Details | None = None
    deflation: FloatArray | None = None
    path_sharpes: FloatArray | None = None
    audits: tuple[AuditRow, ...] = ()
    ledger: tuple[LedgerRow, ...] = ()
    rivals: tuple[RivalRow, ...] = ()
    steps: tuple[tuple[str, str], ...] = ()
    own_sections: tuple[OwnSection, ...] = ()
    own_terms: Mapping[str, Term] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    compilation: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn, before half a page is made."""
        bars = self.timestamps.size
        if bars == 0:
            raise ReportError("timestamps: is empty", "Give the out-of-sample bars.")
        _same_length("", self, bars, "champion_equity", "buy_and_hold_equity", "cash_equity")
        if self.holdout is not None:
            size = self.holdout.timestamps.size
            _same_length("holdout.", self.holdout, size, "champion_equity", "buy_and_hold_equity")
        named = [item.name for item in self.dimensions] + [item.name for item in self.further]
        wanted = ["number", "state", "objective", *named]
        absent = [name for name in wanted if name not in self.trials.columns]
        if absent:
            raise ReportError(
                f"trials: columns {absent} are missing, got {self.trials.columns}",
                "Give one column for each searched dimension, and number, state, objective.",
            )
        own = self.trials.filter(pl.col("number") == self.champion)["objective"]
        if not own.cast(pl.Float64).is_finite().any():
            raise ReportError(
                f"champion: trial {self.champion} is not among the {self.trials.height} trials, "
                "or has no objective",
                "Give the number of a complete trial in the table.",
            )


def _same_length(place: str, holder: Any, bars: int, *names: str) -> None:
    """Check that arrays have one value a bar."""
    for name in names:
        got = getattr(holder, name).shape
        if got != (bars,):
            raise ReportError(
                f"{place}{name}: must have one value a bar, shape ({bars},), got {got}",
                "Cut all curves to the same bars.",
            )
