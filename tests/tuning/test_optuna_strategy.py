from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import optuna

from windtunnel.config.study import FloatRange
from windtunnel.tuning.optuna_strategy import OptunaStrategy
from windtunnel.tuning.strategy import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SEARCH = {
    "policy.enter": FloatRange(low=0.0, high=1.0),
    "policy.exit": FloatRange(low=0.0, high=1.0),
}


def height(params: dict[str, float]) -> float:
    """A smooth hill with its top at 0.3 and 0.6."""
    return -((params["policy.enter"] - 0.3) ** 2) - (params["policy.exit"] - 0.6) ** 2


def test_it_learns() -> None:
    """The middle draw of later cohorts is far higher than that of the random first one."""
    for seed in range(3):
        strategy = OptunaStrategy(SEARCH, study_name="hill", seed=seed, journal=None)
        middles = []
        for _ in range(6):
            asked = strategy.ask(16)
            middles.append(sorted(height(each.params) for each in asked)[8])
            strategy.tell(
                [Outcome(each.number, each.params, height(each.params)) for each in asked]
            )
        assert middles[-1] > middles[0] / 3  # heights are negative


def test_optuna_is_quiet_and_its_verbosity_is_left_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = optuna.logging.get_verbosity()
    strategy = OptunaStrategy(SEARCH, study_name="hill", seed=0, journal=tmp_path / "journal")
    strategy.tell([Outcome(each.number, each.params, 1.0) for each in strategy.ask(3)])
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert optuna.logging.get_verbosity() == before == logging.INFO
