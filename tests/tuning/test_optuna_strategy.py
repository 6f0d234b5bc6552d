from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import optuna
import pytest

from windtunnel.config.study import FloatRange
from windtunnel.tuning.mirror import open_mirror
from windtunnel.tuning.optuna_strategy import OptunaStrategy
from windtunnel.tuning.strategy import Outcome

if TYPE_CHECKING:
    from pathlib import Path

SEARCH = {
    "policy.enter": FloatRange(low=0.0, high=1.0),
    "policy.exit": FloatRange(low=0.0, high=1.0),
}


def height(params: dict[str, float]) -> float:
    """A smooth hill with its top at 0.3 and 0.6."""
    return -((params["policy.enter"] - 0.3) ** 2) - (params["policy.exit"] - 0.6) ** 2


@pytest.mark.parametrize("name", ["cohort_tpe", "tpe"])
def test_it_learns(name: str) -> None:
    """The middle draw of later cohorts is far higher than that of the random first one."""
    for seed in range(3):
        strategy = OptunaStrategy(SEARCH, seed=seed, sampler=name, cohort=16)
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
    strategy = OptunaStrategy(SEARCH, seed=0, mirror=open_mirror("journal", tmp_path, "hill"))
    strategy.tell([Outcome(each.number, each.params, 1.0) for each in strategy.ask(3)])
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert optuna.logging.get_verbosity() == before == logging.INFO
