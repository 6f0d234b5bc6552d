"""The pipeline under audit, as functions: the real ones, unless others are handed in.

An audit that has never caught anything proves little. Because every step is an argument, a
faulty step can be put in the place of a real one, and the audit be seen to catch it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Unpack

from windtunnel import labels, splits
from windtunnel.backtest.engine import run_policy
from windtunnel.backtest.policy import target_exposures
from windtunnel.course import policy_volatility
from windtunnel.data import align
from windtunnel.features import compute

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from windtunnel.backtest.costs import Costs
    from windtunnel.backtest.execution import Execution
    from windtunnel.backtest.policy import Policies, PolicyTerms
    from windtunnel.backtest.result import BacktestResult
    from windtunnel.config import StudyFile
    from windtunnel.config.study import LabelSection
    from windtunnel.data.panel import BoolArray, Panel
    from windtunnel.features.compute import FeatureTensor
    from windtunnel.protocols import Trainer, TrainingTask


class Exposures(Protocol):
    """Scores (T, N) of one policy to target exposures (T, N); see `target_exposures`."""

    def __call__(
        self,
        scores: npt.NDArray[np.floating],
        listed: BoolArray,
        *,
        volatility: npt.NDArray[np.float64] | None = None,
        **terms: Unpack[PolicyTerms],
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
        """Exposures, and the signals after the last bar."""
        ...


class Backtest(Protocol):
    """Scores (T, N, C) and policies to equity (T, C); see `run_policy`."""

    def __call__(
        self,
        panel: Panel,
        scores: npt.NDArray[np.float32],
        policies: Policies,
        *,
        costs: Costs,
        execution: Execution,
        periods_per_year: float,
        volatility: npt.NDArray[np.float64] | None = None,
    ) -> BacktestResult:
        """Equity at each close and what trading cost."""
        ...


def own(task: TrainingTask, study: StudyFile, seed: int) -> Trainer:
    """Make the study's own trainer for a task."""
    from windtunnel.trainers.own import own_trainer  # noqa: PLC0415 - imports jax

    return own_trainer(task, study, seed)


@dataclass(frozen=True)
class Subject:
    """The steps of a study, in the order in which they follow one another.

    Attributes
    ----------
    panel : callable (bars in long form) -> Panel
    features : callable (panel, names) -> FeatureTensor
    labels : callable (panel, label section) -> Labels
    volatility : callable (study, panel) -> (T, N) float64, or None
    train_rows : callable (fold, label ends, usable, embargo) -> (T, N) bool
        Purge and embargo.
    trainer : callable (task, study, seed) -> Trainer
        Scaler, network and scores.
    exposures : callable (scores, listed, thresholds) -> exposures, state
    backtest : callable (panel, scores, policies, costs, execution) -> BacktestResult
    """

    panel: Callable[[pl.DataFrame], Panel] = align.to_panel
    features: Callable[[Panel, Sequence[str]], FeatureTensor] = compute.compute
    labels: Callable[[Panel, LabelSection], labels.Labels] = labels.make_labels
    volatility: Callable[[StudyFile, Panel], npt.NDArray[np.float64] | None] = policy_volatility
    train_rows: Callable[[splits.Fold, npt.NDArray[np.int64], BoolArray, int], BoolArray] = (
        splits.train_rows
    )
    trainer: Callable[[TrainingTask, StudyFile, int], Trainer] = own
    exposures: Exposures = target_exposures
    backtest: Backtest = run_policy
