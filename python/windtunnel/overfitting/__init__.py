"""Statistics of luck: what is left of a result after the number of trials is counted.

Sharpe ratios here are per period, not annualised; g3 is skewness, g4 raw kurtosis.
"""

from windtunnel.overfitting._returns import varies
from windtunnel.overfitting.annualisation import annual_sharpe, annualisation_factor
from windtunnel.overfitting.block_length import common_block_length, stationary_block_length
from windtunnel.overfitting.bootstrap import SharpeInterval, bootstrap_sharpe_interval
from windtunnel.overfitting.clusters import TrialClusters, cluster_trials
from windtunnel.overfitting.effective import EffectiveTrials, effective_trials
from windtunnel.overfitting.pbo import BacktestOverfitting, pbo
from windtunnel.overfitting.plan import dsr_by_plan
from windtunnel.overfitting.plateau import plateau
from windtunnel.overfitting.sharpe import (
    deflation_threshold,
    dsr,
    expected_maximum,
    minimum_backtest_length,
    minimum_track_record_length,
    psr,
    sidak_p_value,
)
from windtunnel.overfitting.snooping import (
    RealityCheck,
    SuperiorAbility,
    reality_check,
    superior_predictive_ability,
)
from windtunnel.overfitting.step_down import StepDown, romano_wolf

__all__ = [
    "BacktestOverfitting",
    "EffectiveTrials",
    "RealityCheck",
    "SharpeInterval",
    "StepDown",
    "SuperiorAbility",
    "TrialClusters",
    "annual_sharpe",
    "annualisation_factor",
    "bootstrap_sharpe_interval",
    "cluster_trials",
    "common_block_length",
    "deflation_threshold",
    "dsr",
    "dsr_by_plan",
    "effective_trials",
    "expected_maximum",
    "minimum_backtest_length",
    "minimum_track_record_length",
    "pbo",
    "plateau",
    "psr",
    "reality_check",
    "romano_wolf",
    "sidak_p_value",
    "stationary_block_length",
    "superior_predictive_ability",
    "varies",
]
