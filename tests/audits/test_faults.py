"""Pipelines with one fault each, planted where people plant them by accident; all are caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from windtunnel import splits
from windtunnel.audits.registry import run_audits
from windtunnel.audits.subject import Subject, own
from windtunnel.backtest.engine import run_policy
from windtunnel.backtest.policy import target_exposures
from windtunnel.course import policy_volatility
from windtunnel.data.align import to_panel
from windtunnel.features.compute import compute
from windtunnel.labels import make_labels

SERIES = ("open", "high", "low", "close", "volume")


def features_through(change: Callable[..., Any]) -> Subject:
    """The real features (T, N, F), then `change(values, panel)`."""

    def faulty(panel, names):
        tensor = compute(panel, names)
        values = change(tensor.values.astype(np.float64), panel)
        return replace(tensor, values=np.ascontiguousarray(values, np.float32))

    return Subject(features=faulty)


class Through:
    """A trainer whose scores pass through `change`."""

    def __init__(self, trainer, change):
        self.trainer, self.change = trainer, change

    def fit(self, hyper, *, keep_models=False):
        fit = self.trainer.fit(hyper, keep_models=keep_models)
        scores = np.ascontiguousarray(self.change(fit.scores), np.float32)
        return replace(fit, scores=scores)


def task_through(change: Callable[..., Any]) -> Subject:
    """The real trainer on a task that `change` made of the real one."""
    return Subject(trainer=lambda task, study, seed: own(change(task), study, seed))


def scores_through(change: Callable[..., Any]) -> Subject:
    return Subject(trainer=lambda task, study, seed: Through(own(task, study, seed), change))


# -- data ----------------------------------------------------------------------------------


def back_filled() -> Subject:
    """A missing bar gets the values of the next one there is."""

    def faulty(bars):
        panel = to_panel(bars)
        filled = {}
        for name in SERIES:
            values = getattr(panel, name).copy()
            for t in range(len(values) - 2, -1, -1):
                gap = np.isnan(values[t])
                values[t, gap] = values[t + 1, gap]
            filled[name] = values
        return replace(panel, **filled)

    return Subject(panel=faulty)


def survivors_tradable() -> Subject:
    """Only what still exists at the end of the history may be traded."""

    def faulty(bars):
        panel = to_panel(bars)
        return replace(panel, tradable=panel.tradable & panel.listed[-1])

    return Subject(panel=faulty)


def survivors_only() -> Subject:
    """What does not exist at the end of the history is left out of it."""

    def faulty(bars):
        last = bars.filter(pl.col("timestamp") == bars["timestamp"].max())
        return to_panel(bars.filter(pl.col("symbol").is_in(last["symbol"].implode())))

    return Subject(panel=faulty)


# -- features ------------------------------------------------------------------------------


def centred_window() -> Subject:
    """A moving average with its window around the bar."""

    def change(values, panel):
        smooth = values.copy()
        smooth[1:-1] = (values[:-2] + values[1:-1] + values[2:]) / 3
        return smooth

    return features_through(change)


def label_in_features() -> Subject:
    """The last feature is the return that the label asks about."""

    def change(values, panel):
        values[:, :, -1] = np.nan
        values[:-3, :, -1] = panel.open[3:] / panel.open[1:-2] - 1
        return values

    return features_through(change)


def weekly_close() -> Subject:
    """Every day of a week is given the value of the week's last day."""

    def change(values, panel):
        last = np.minimum(np.arange(len(values)) // 5 * 5 + 4, len(values) - 1)
        return values[last]

    return features_through(change)


def whole_series_normalised() -> Subject:
    """Mean and deviation of each feature over all bars there are."""
    return features_through(
        lambda values, panel: (
            (values - np.nanmean(values, axis=(0, 1))) / np.nanstd(values, axis=(0, 1))
        )
    )


def batch_wide_epsilon() -> Subject:
    """The constant that guards a division is taken from the largest value of the batch."""
    return features_through(
        lambda values, panel: values / (np.abs(values) + 1e-3 * np.nanmax(np.abs(values)))
    )


def endless_memory() -> Subject:
    """An exponential mean, which never forgets its first bar, with the warm-up of a window."""

    def change(values, panel):
        clean = np.nan_to_num(values)
        for t in range(1, len(values)):
            clean[t] = 0.98 * clean[t - 1] + 0.02 * clean[t]
        return np.where(np.isnan(values), np.nan, clean)

    return features_through(change)


def mean_of_all_so_far() -> Subject:
    """Deviation from the mean of all bars so far: causal, but of no stated length."""

    def change(values, panel):
        count = np.cumsum(~np.isnan(values), axis=0)
        return values - np.cumsum(np.nan_to_num(values), axis=0) / np.maximum(count, 1)

    return features_through(change)


# -- labels and folds ----------------------------------------------------------------------


def label_end_understated() -> Subject:
    """Labels that claim to be known one bar too early."""

    def faulty(panel, section):
        labels = make_labels(panel, section)
        return replace(labels, end=np.where(labels.end >= 0, labels.end - 1, -1))

    return Subject(labels=faulty)


def labels_without_their_mean() -> Subject:
    """Up means above the mean return of the whole history."""

    def faulty(panel, section):
        labels = make_labels(panel, section)
        h = section.horizon
        coming = np.full(panel.open.shape, np.nan)
        coming[: -1 - h] = panel.open[1 + h :] / panel.open[1:-h] - 1
        up = (coming > np.nanmean(coming)).astype(np.float32)
        return replace(labels, values=np.where(np.isnan(labels.values), np.nan, up))

    return Subject(labels=faulty)


def no_purge() -> Subject:
    """Every row before the validation slice is trained on, its label known or not."""

    def faulty(fold, label_end, usable, embargo):
        rows = np.zeros_like(usable)
        rows[slice(*fold.train)] = usable[slice(*fold.train)]
        return rows

    return Subject(train_rows=faulty)


def overlapping_folds() -> Subject:
    """Training goes on for ten bars into the validation slice."""

    def faulty(fold, label_end, usable, embargo):
        start, stop = fold.train
        longer = splits.Fold(fold.index, (start, stop + 10), (stop + 10, stop + 20))
        return splits.train_rows(longer, label_end, usable, embargo)

    return Subject(train_rows=faulty)


# -- training ------------------------------------------------------------------------------


def global_scaler() -> Subject:
    """Features are standardised over all rows before the folds are made."""

    def change(task):
        flat = task.features.reshape(-1, task.features.shape[2]).astype(np.float64)
        scaled = (task.features - np.nanmean(flat, axis=0)) / np.nanstd(flat, axis=0)
        return replace(task, features=scaled.astype(np.float32))

    return task_through(change)


def trained_on_the_test() -> Subject:
    """Rows of the last fold's validation slice are among its training rows."""

    def change(task):
        train = task.train.copy()
        start, stop = task.validation[-1]
        train[-1, start:stop] = np.isfinite(task.labels[start:stop])
        return replace(task, train=train)

    return task_through(change)


def scores_of_the_batch() -> Subject:
    """Scores are standardised over the whole validation slice, its later bars too."""
    return scores_through(
        lambda scores: (scores - np.nanmean(scores)) / max(float(np.nanstd(scores)), 1e-12)
    )


def deaf() -> Subject:
    """Scores that end up at other bars than they were made for."""
    return scores_through(lambda scores: np.roll(scores, len(scores) // 2, axis=0))


# -- trading -------------------------------------------------------------------------------


def next_score_known() -> Subject:
    """Exposures decided with the score of the bar after."""

    def faulty(scores, listed, **thresholds):
        return target_exposures(np.roll(scores, -1, axis=0), listed, **thresholds)

    return Subject(exposures=faulty)


def same_bar_fill() -> Subject:
    """Orders fill at the close that decided them."""

    def faulty(panel, scores, policies, *, execution, **terms):
        at_once = replace(execution, fill="same_close")
        return run_policy(panel, scores, policies, execution=at_once, **terms)

    return Subject(backtest=faulty)


def open_of_the_same_bar() -> Subject:
    """Orders fill at the open of the bar whose close decided them."""

    def faulty(panel, scores, policies, **terms):
        early = np.full_like(scores, np.nan)
        early[:-1] = scores[1:]
        return run_policy(panel, early, policies, **terms)

    return Subject(backtest=faulty)


def costs_forgotten() -> Subject:
    def faulty(panel, scores, policies, *, costs, **terms):
        free = replace(costs, fee=0.0, half_spread=0.0)
        return run_policy(panel, scores, policies, costs=free, **terms)

    return Subject(backtest=faulty)


def filled_without_trade() -> Subject:
    """Orders fill although nothing traded at that bar."""

    def faulty(panel, scores, policies, **terms):
        return run_policy(replace(panel, tradable=panel.listed), scores, policies, **terms)

    return Subject(backtest=faulty)


# Fault; the audit that must fail; what its sentence or its first row of evidence must name.
FAULTS: list[tuple[Callable[[], Subject], str, str]] = [
    (back_filled, "leak", "panel"),
    (survivors_tradable, "leak", "tradable"),
    (survivors_only, "leak", "panel"),
    (centred_window, "leak", "features"),
    (label_in_features, "leak", "features"),
    (label_in_features, "noise", "cannot know"),
    (weekly_close, "leak", "features"),
    (whole_series_normalised, "leak", "features"),
    (whole_series_normalised, "warmup", "declared warm-up"),
    (batch_wide_epsilon, "leak", "features"),
    (endless_memory, "warmup", "declared warm-up"),
    (mean_of_all_so_far, "warmup", "declared warm-up"),
    (label_end_understated, "leak", "labels"),
    (labels_without_their_mean, "leak", "labels"),
    (no_purge, "leak", "weights"),
    (overlapping_folds, "leak", "training rows"),
    (global_scaler, "leak", "scalers and weights"),
    (trained_on_the_test, "leak", "weights"),
    (scores_of_the_batch, "leak", "scores"),
    (deaf, "oracle", "does not find"),
    (next_score_known, "leak", "exposures"),
    (same_bar_fill, "fills", "before they can"),
    (open_of_the_same_bar, "fills", "before they can"),
    (costs_forgotten, "fills", "specification"),
    (filled_without_trade, "fills", "specification"),
]


@pytest.mark.parametrize(
    ("fault", "audit", "named"), FAULTS, ids=[f"{each[0].__name__}-{each[1]}" for each in FAULTS]
)
def test_fault_is_caught(case, fault, audit, named):
    (result,) = run_audits(replace(case, subject=fault()), [audit])
    assert result.passed is False, result.sentence
    told = f"{result.sentence} {result.evidence[0] if result.evidence else {}}"
    assert named in told


@pytest.fixture(scope="module")
def sized(case):
    """The case of a study whose positions are sized by volatility."""
    aims = {"volatility_target": 0.1, "volatility_bars": 9}
    policy = case.study.policy.model_copy(update=aims)
    return replace(case, study=case.study.model_copy(update={"policy": policy}))


@pytest.mark.parametrize("audit", ["leak", "fills"])
def test_positions_sized_by_volatility_pass(sized, audit):
    (result,) = run_audits(sized, [audit])
    assert result.passed is True, result.sentence


def test_volatility_of_later_bars_is_caught(sized):
    def centred(study, panel):
        known = policy_volatility(study, panel)
        return np.concatenate([known[4:], known[:4]])

    (result,) = run_audits(replace(sized, subject=Subject(volatility=centred)), ["leak"])
    assert result.passed is False
    assert "exposures" in f"{result.sentence} {result.evidence[0]}"


def test_a_target_that_the_engine_forgets_is_caught(sized):
    def forgetful(panel, scores, policies, *, volatility, **terms):
        return run_policy(panel, scores, replace(policies, volatility_target=None), **terms)

    (result,) = run_audits(replace(sized, subject=Subject(backtest=forgetful)), ["fills"])
    assert result.passed is False
    assert "specification" in result.sentence
