"""Replay a bundle on its own bars, to show that what is served equals what was studied."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from windtunnel.backtest.policy import target_exposures
from windtunnel.backtest.volatility import realised_volatility
from windtunnel.data.panel import BoolArray, Float32Array, Float64Array, Panel
from windtunnel.deployment.bundle import Bundle
from windtunnel.deployment.manifest import Manifest, Policy
from windtunnel.deployment.replay_window import ReplayWindow
from windtunnel.deployment.session import MARGIN, all_instruments, walk
from windtunnel.features.compute import compute
from windtunnel.features.windows import windows

SCORE_TOLERANCE = 1e-5
_EXPOSURE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class ReplayCertificate:
    """Outcome of replaying a bundle.

    Attributes
    ----------
    ok : bool
        Every score within `score_tolerance`, every exposure equal or excused.
    sentence : str
        The outcome in words.
    bars, instruments, scores, exposures : int
        Sizes of the window, and how many defined values were compared.
    score_tolerance : float
        Largest absolute difference of scores that passes: features and model are float32
        and their rounding depends on how many bars and rows are computed at once.
    largest_score_difference : float
        Over scores defined on both sides; 0 when there is none.
    score_mismatches : int
        Scores beyond the tolerance, or defined on one side alone.
    exposure_mismatches : int
        Exposures that differ without excuse.
    near_threshold : int
        Exposures that differ because a score lies within the tolerance of a threshold of
        the policy, counted until both sides agree again.
    """

    ok: bool
    sentence: str
    bars: int
    instruments: int
    scores: int
    exposures: int
    score_tolerance: float
    largest_score_difference: float
    score_mismatches: int
    exposure_mismatches: int
    near_threshold: int


def replay(bundle: Bundle) -> ReplayCertificate:
    """Recompute features, scores and exposures of the bundle's replay sample and compare.

    Features come from the sample's bars through the study's kernels, scores from the
    exported program, exposures from the policy, flat at the window's first bar.
    """
    window = bundle.replay_window()
    panel = window.panel
    if bundle.manifest.session is not None:
        return _replay_session(bundle, window)
    scores = score_panel(bundle, panel, window.first)
    policy = bundle.manifest.policy
    exposures, _ = policy_exposures(bundle.manifest, panel, window.first, scores, None)
    return certify(scores, exposures, window.scores, window.exposures, policy=policy)


def _replay_session(bundle: Bundle, window: ReplayWindow) -> ReplayCertificate:
    """Repeat each decision from the state to which the expected ones before it have led."""
    manifest, policy = bundle.manifest, bundle.manifest.policy
    # The program takes every instrument of the study, one without a bar in the window included.
    panel = all_instruments(window.panel, manifest.symbols)
    at = [manifest.symbols.index(symbol) for symbol in window.panel.symbols]
    decided = np.full((len(window.exposures), panel.instruments), np.nan)
    decided[:, at] = window.exposures
    walked = walk(bundle.step, manifest, panel, window.first, None, decided=decided)
    levels, margins = walked.levels[:, at], walked.margins[:, at]
    # A choice that was close may fall otherwise; it is taken as expected, and counted.
    with np.errstate(invalid="ignore"):
        close = (margins < MARGIN) & (levels != window.scores)
    scores = np.where(close & np.isfinite(window.scores), window.scores, levels)
    exposures, _ = policy_exposures(manifest, window.panel, window.first, scores, None)
    certificate = certify(scores, exposures, window.scores, window.exposures, policy=policy)
    return replace(certificate, near_threshold=certificate.near_threshold + int(close.sum()))


def score_panel(bundle: Bundle, panel: Panel, first: int) -> Float32Array:
    """Scores of the bars of `panel` from index `first` on, as `score_rows` gives them.

    Returns
    -------
    (T - first, N) float32
        NaN where a feature is undefined: warm-up, a window with a missing bar, or no bar.
    """
    return score_rows(bundle, panel, first).scores


@dataclass(frozen=True)
class ScoredRows:
    """Scores of a panel's bars, and the R rows of features that they were computed from.

    Attributes
    ----------
    scores : (T - first, N) float32
        NaN where a feature is undefined: warm-up, a window with a missing bar, or no bar.
    defined : (T - first, N) bool
        Where there was a row to score.
    features : (R, F) float32
        Raw features of the bar, one row a place in `defined`, in its order; a model with a
        window has seen those of earlier bars as well.
    """

    scores: Float32Array
    defined: BoolArray
    features: Float32Array


def score_rows(bundle: Bundle, panel: Panel, first: int) -> ScoredRows:
    """Compute features and scores of the bars of `panel` from index `first` on.

    Bars more than the warm-up before `first` are not looked at: a feature's value depends,
    bit for bit, on the bars of its window alone.
    """
    start = max(0, first - bundle.manifest.warmup)
    features = compute(panel.window(start), bundle.manifest.features).values
    window = bundle.manifest.window
    seen = (windows(features, window) if window else features)[first - start :]
    features = features[first - start :]
    defined = ~np.isnan(seen).reshape(*features.shape[:2], -1).any(axis=2)
    defined &= panel.listed[first:]
    if bundle.manifest.cross_section:
        scores = np.where(defined, _score_together(bundle, panel, seen), np.float32(np.nan))
    else:
        scores = np.full(defined.shape, np.nan, np.float32)
        scores[defined] = bundle.score(seen[defined])
    return ScoredRows(scores, defined, features[defined])


def _score_together(bundle: Bundle, panel: Panel, x: Float32Array) -> Float32Array:
    """Scores of whole bars; instruments of the model that the panel lacks count as unknown."""
    place = {symbol: n for n, symbol in enumerate(bundle.manifest.symbols)}
    columns = [place[symbol] for symbol in panel.symbols]
    everyone = np.full((len(x), *bundle.input_shape), np.nan, np.float32)
    everyone[:, columns] = x
    return bundle.score(everyone)[:, columns]


def policy_exposures(
    manifest: Manifest,
    panel: Panel,
    first: int,
    scores: Float32Array,
    state: npt.NDArray[np.int8] | None,
) -> tuple[Float64Array, npt.NDArray[np.int8]]:
    """`target_exposures` of the policy that a manifest fixes, on the bars from `first` on."""
    policy, volatility = manifest.policy, None
    if policy.volatility_target is not None:
        start = max(0, first - policy.volatility_bars)
        volatility = realised_volatility(
            panel.window(start), policy.volatility_bars, manifest.periods_per_year
        )[first - start :]
    return target_exposures(
        scores,
        panel.listed[first:],
        enter=policy.enter,
        exit=policy.exit,
        leverage=policy.leverage,
        long_only=policy.long_only,
        proportional=policy.proportional,
        volatility_target=policy.volatility_target,
        volatility=volatility,
        state=state,
    )


def certify(
    scores: Float32Array,
    exposures: Float64Array,
    expected_scores: Float32Array,
    expected_exposures: Float64Array,
    *,
    policy: Policy,
    tolerance: float = SCORE_TOLERANCE,
) -> ReplayCertificate:
    """Compare what was recomputed with what was expected; arrays are (T, N)."""
    defined = ~np.isnan(expected_scores)
    one_sided = np.isnan(scores) != np.isnan(expected_scores)
    both = defined & ~np.isnan(scores)
    difference = np.abs(scores.astype(np.float64) - expected_scores)[both]
    largest = float(difference.max(initial=0.0))
    bad_scores = int(one_sided.sum()) + int((difference > tolerance).sum())

    unequal = np.isnan(exposures) != np.isnan(expected_exposures)
    with np.errstate(invalid="ignore"):
        # A proportional policy hands on what the scores may differ by.
        allowed = tolerance * policy.leverage if policy.proportional else _EXPOSURE_TOLERANCE
        unequal |= np.abs(exposures - expected_exposures) > allowed
    near = _excused(unequal, _near_threshold(expected_scores, policy, tolerance))
    excused = int(near.sum())
    bad_exposures = int(unequal.sum()) - excused
    ok = bad_scores == 0 and bad_exposures == 0 and bool(defined.any())

    bars, instruments = scores.shape
    counted = int(defined.sum())
    compared = int((~np.isnan(expected_exposures)).sum())
    if not defined.any():
        sentence = "The replay sample holds no defined score, so nothing was shown."
    elif ok:
        sentence = (
            f"{counted} scores on {bars} bars replay within {tolerance:g} "
            f"(largest difference {largest:.1e}) and {compared} exposures are equal"
            + (f", {excused} of them excused at a threshold." if excused else ".")
        )
    else:
        sentence = (
            f"{bad_scores} of {counted} scores differ by more than {tolerance:g} or are defined "
            f"on one side alone (largest difference {largest:.1e}); {bad_exposures} of "
            f"{compared} exposures differ without excuse."
        )
    return ReplayCertificate(
        ok=ok,
        sentence=sentence,
        bars=bars,
        instruments=instruments,
        scores=counted,
        exposures=compared,
        score_tolerance=tolerance,
        largest_score_difference=largest,
        score_mismatches=bad_scores,
        exposure_mismatches=bad_exposures,
        near_threshold=excused,
    )


def _near_threshold(scores: Float32Array, policy: Policy, tolerance: float) -> BoolArray:
    """Where a difference within the tolerance may decide otherwise: at 0, exit or enter."""
    size = np.abs(scores.astype(np.float64))
    leave = min(policy.exit, policy.enter)
    near: BoolArray = (
        (size <= tolerance)
        | (np.abs(size - policy.enter) <= tolerance)
        | (np.abs(size - leave) <= tolerance)
    )
    return near


def _excused(unequal: BoolArray, near: BoolArray) -> BoolArray:
    """Differences that began at a near bar; the signal is state, so they last for a while."""
    excused = np.zeros_like(unequal)
    running = np.zeros(unequal.shape[1], bool)
    for t in range(len(unequal)):
        running = unequal[t] & (running | near[t])
        excused[t] = running
    return excused
