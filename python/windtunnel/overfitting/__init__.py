"""Statistics of luck: what is left of a result after the number of trials is counted.

Sharpe ratios here are per period, not annualised; g3 is skewness, g4 raw kurtosis.
"""

from windtunnel.overfitting.bootstrap import (
    SharpeInterval,
    bootstrap_sharpe_interval,
    stationary_block_length,
)
from windtunnel.overfitting.effective import EffectiveTrials, effective_trials
from windtunnel.overfitting.pbo import BacktestOverfitting, pbo
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

__all__ = [
    "BacktestOverfitting",
    "EffectiveTrials",
    "SharpeInterval",
    "bootstrap_sharpe_interval",
    "deflation_threshold",
    "dsr",
    "effective_trials",
    "expected_maximum",
    "minimum_backtest_length",
    "minimum_track_record_length",
    "pbo",
    "plateau",
    "psr",
    "sidak_p_value",
    "stationary_block_length",
]
