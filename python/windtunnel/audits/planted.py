"""The oracle study: a signal that is there must be found.

A pipeline that promotes nothing may be honest or deaf. The bars are those of the noise study,
so that the planted signal is the only one; it is handed to the model as one more feature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from windtunnel import judgement
from windtunnel.audits.noise import noise_bars, search_figures, trial_rows
from windtunnel.audits.registry import register
from windtunnel.audits.result import AuditResult
from windtunnel.audits.search import search
from windtunnel.features.compute import FeatureTensor

if TYPE_CHECKING:
    from windtunnel.audits.case import Case
    from windtunnel.audits.subject import Subject
    from windtunnel.config import StudyFile
    from windtunnel.data.panel import Panel

NOISE = 1.0
"""Standard deviation of the noise beside a signal of standard deviation one."""


@register("oracle", "Is a signal that is there found?")
def planted(case: Case) -> AuditResult:
    """Plant the return that the label speaks of, plus noise, among the features of noise bars."""
    found = search(case, case.subject, noise_bars(case), plant=_planted)
    figures = {"planted_correlation": (1 + NOISE**2) ** -0.5} | search_figures(found)
    told = (
        f"With the coming return, correlated {figures['planted_correlation']:.2f}, among the "
        f"features, the champion of {len(found.trials)} trials reached a rank correlation of "
        f"{_number(found.rank_ic)}, a Sharpe ratio of {_number(found.sharpe)} and a deflated one "
        f"of {_number(found.dsr)}"
    )
    if found.promoted:
        sentence = f"{told}: what is there is found."
    else:
        sentence = (
            f"{told}; {judgement.CONFIDENT} is asked. The study does not find a signal that is "
            "there: its silence about real bars says nothing."
        )
    return AuditResult("oracle", found.promoted, sentence, figures, trial_rows(found))


def _planted(subject: Subject, study: StudyFile) -> Subject:
    """With the return that the study's own label speaks of among the features."""
    features = planting(subject.features, study.label.horizon, study.study.seed)
    return replace(subject, features=features)


def planting(
    features: Callable[[Panel, Sequence[str]], FeatureTensor], horizon: int, seed: int
) -> Callable[[Panel, Sequence[str]], FeatureTensor]:
    """Wrap feature computation: one more column, the coming return in its own units, plus noise.

    The return is the label's, from the next open to the open `horizon` bars later.
    """

    def compute(panel: Panel, names: Sequence[str]) -> FeatureTensor:
        tensor = features(panel, names)
        coming = np.full(panel.open.shape, np.nan)
        rows = max(panel.bars - 1 - horizon, 0)
        coming[:rows] = panel.open[1 + horizon :][:rows] / panel.open[1 : 1 + rows] - 1
        signal = coming / np.nanstd(coming)
        signal += np.random.default_rng([seed, 3]).normal(0, NOISE, signal.shape)
        values = np.concatenate([tensor.values, signal[:, :, None].astype(np.float32)], axis=2)
        return FeatureTensor(
            np.ascontiguousarray(values), (*tensor.names, "planted"), tensor.warmup
        )

    return compute


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
