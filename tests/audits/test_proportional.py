"""Audits of studies whose scores are exposures: the specification is that of exposures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from windtunnel.audits.registry import run_audits
from windtunnel.audits.subject import Subject
from windtunnel.backtest.engine import run_policy


@pytest.fixture(scope="module", params=["long_only", "long_short"])
def levels(request, case):
    """The case of a study whose network is trained by the Sharpe ratio of its exposures."""
    study = case.study
    change = {
        "model": study.model.model_copy(update={"head": "sharpe"}),
        "policy": study.policy.model_copy(update={"direction": request.param}),
    }
    return replace(case, study=study.model_copy(update=change))


@pytest.mark.parametrize("audit", ["leak", "fills"])
def test_the_real_pipeline_passes(levels, audit):
    (result,) = run_audits(levels, [audit])
    assert result.passed is True, result.sentence


def test_a_wrong_share_is_caught(levels):
    """The engine shares leverage over all instruments, listed or not."""

    def faulty(panel, scores, policies, **terms):
        share = panel.listed.sum(axis=1) / panel.instruments
        thinner = np.ascontiguousarray(scores * share[:, None, None], np.float32)
        return run_policy(panel, thinner, policies, **terms)

    (result,) = run_audits(replace(levels, subject=Subject(backtest=faulty)), ["fills"])
    assert result.passed is False
    assert "specification" in result.sentence
