from __future__ import annotations

import math

import pytest

from windtunnel.tuning.strategy import Outcome, OutcomeState, settle


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("state", ["complete", "pruned", "failed"])
def test_without_a_finite_value_a_trial_has_failed(
    value: float | None, state: OutcomeState
) -> None:
    settled = settle(Outcome(4, {"policy.enter": 0.1}, value, state, {"reason": "loss"}))
    assert settled == Outcome(4, {"policy.enter": 0.1}, None, "failed", {"reason": "loss"})


def test_a_failed_trial_keeps_no_value() -> None:
    assert settle(Outcome(0, {}, 1.0, "failed")).value is None


@pytest.mark.parametrize("state", ["complete", "pruned"])
def test_a_finite_value_stays(state: OutcomeState) -> None:
    assert settle(Outcome(0, {}, -1.5, state)) == Outcome(0, {}, -1.5, state)
