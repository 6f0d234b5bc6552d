"""From a score to a target exposure: one meaning for the study and the served path.

The compiled engine holds the same rules lane by lane (`policies.hpp`); a test drives both.
This module needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from windtunnel.errors import BacktestError

Float64Array: TypeAlias = npt.NDArray[np.float64]
Signals: TypeAlias = npt.NDArray[np.int8]

# An exposure beyond this is a mistake of units, and keeps money finite.
LARGEST_EXPOSURE = 1000.0

_PARAMETERS = ("enter", "exit", "leverage", "band")


class PolicyTerms(TypedDict):
    """One of the `Policies`, as `target_exposures` takes it."""

    enter: float
    exit: float
    leverage: float
    long_only: bool
    proportional: bool
    volatility_target: float | None


@dataclass(frozen=True)
class Policies:
    """P policies and the score column that each of them reads.

    Attributes
    ----------
    column : (P,) int64
        Index into the last axis of the scores; many policies may share one column.
    enter : (P,) float64
        Take a position when |score| reaches this; at least 0.
    exit : (P,) float64
        Give it up when |score| falls below min(enter, exit); at least 0.
    leverage : (P,) float64
        Gross exposure with a signal in every listed instrument; in (0, 1000].
    band : (P,) float64
        No order while the exposure is within this fraction of equity of its target; at least 0.
    long_only : bool
        Negative scores close positions instead of opening short ones.
    proportional : bool
        The score is itself the level, in [-1, 1]: an instrument gets score x leverage /
        (instruments listed), without thresholds. NaN is then no decision.
    volatility_target : (P,) float64, optional
        Yearly volatility of a position as a fraction of equity, above 0: the leverage of an
        instrument is this over its volatility, and no more than `leverage`.

    Raises
    ------
    BacktestError
        When the arrays differ in length, have another dtype, or hold a value outside its range.
    """

    column: npt.NDArray[np.int64]
    enter: Float64Array
    exit: Float64Array
    leverage: Float64Array
    band: Float64Array
    long_only: bool
    proportional: bool = False
    volatility_target: Float64Array | None = None

    def __post_init__(self) -> None:
        _require_vector("column", self.column, np.int64, None)
        for name in _PARAMETERS:
            values = getattr(self, name)
            _require_vector(name, values, np.float64, len(self.column))
            wrong = ~(np.isfinite(values) & (values >= 0))
            if name == "leverage":
                wrong |= (values == 0) | (values > LARGEST_EXPOSURE)
            if wrong.any():
                at = int(np.flatnonzero(wrong)[0])
                rule = (
                    f"must lie in (0, {LARGEST_EXPOSURE:g}]"
                    if name == "leverage"
                    else "must be finite and at least 0"
                )
                raise BacktestError(f"policies.{name}[{at}]: {rule}, got {values[at]!r}")
        if self.volatility_target is not None:
            aims = self.volatility_target
            _require_vector("volatility_target", aims, np.float64, len(self.column))
            wrong = ~(np.isfinite(aims) & (aims > 0))
            if wrong.any():
                at = int(wrong.argmax())
                raise BacktestError(
                    f"policies.volatility_target[{at}]: must be finite and above 0, "
                    f"got {aims[at]!r}",
                    "Leave it out for policies that aim at no volatility",
                )

    def __len__(self) -> int:
        return len(self.column)

    def terms(self, at: int) -> PolicyTerms:
        """Policy `at`, but for its column and its band, which targets do not depend on."""
        aims = self.volatility_target
        return {
            "enter": float(self.enter[at]),
            "exit": float(self.exit[at]),
            "leverage": float(self.leverage[at]),
            "long_only": self.long_only,
            "proportional": self.proportional,
            "volatility_target": None if aims is None else float(aims[at]),
        }


def _require_vector(name: str, values: object, dtype: type[np.generic], length: int | None) -> None:
    if not isinstance(values, np.ndarray) or values.dtype != dtype or values.ndim != 1:
        found = (
            f"{values.dtype} of shape {values.shape}"
            if isinstance(values, np.ndarray)
            else type(values).__name__
        )
        raise BacktestError(
            f"policies.{name}: must be a one-dimensional {np.dtype(dtype).name} array, got {found}"
        )
    if length is not None and len(values) != length:
        raise BacktestError(
            f"policies.{name}: must have one entry a policy ({length}, as `column`), "
            f"got {len(values)}"
        )


def next_signal(
    signal: Float64Array,
    score: Float64Array,
    *,
    enter: float,
    exit: float,  # noqa: A002 - the study file's word
    long_only: bool,
) -> Float64Array:
    """Signal after one score, for every instrument.

    A held signal lives while the score agrees with it and reaches min(enter, exit). Otherwise,
    and from flat, a score that reaches `enter` sets the signal to its sign (with `long_only`: to
    0 when negative) and any other score sets it to 0. NaN is no opinion: the signal stays.

    Parameters
    ----------
    signal, score : (N,) float64
        Signals in {-1, 0, +1}.
    enter, exit : float
        Thresholds on |score|.
    long_only : bool
        Whether -1 is out of reach.

    Returns
    -------
    (N,) float64
    """
    strength = np.abs(score)
    side = np.sign(score)
    if long_only:
        side = np.maximum(side, 0.0)
    entered = np.where(strength >= enter, side, 0.0)
    held = np.where(strength >= min(enter, exit), signal, 0.0)
    following = np.where(score * signal > 0, held, entered)
    return np.where(np.isnan(score), signal, following)


def target_exposures(
    scores: npt.NDArray[np.floating],
    listed: npt.NDArray[np.bool_],
    *,
    enter: float,
    exit: float,  # noqa: A002 - the study file's word
    leverage: float,
    long_only: bool,
    state: Signals | None = None,
    proportional: bool = False,
    volatility_target: float | None = None,
    volatility: Float64Array | None = None,
) -> tuple[Float64Array, Signals]:
    """Target exposures of one policy over T bars.

    Every listed instrument with a signal gets the share leverage / (instruments listed at that
    bar), with the sign of its signal.

    Parameters
    ----------
    scores : (T, N) float32 or float64
        NaN where the model has no opinion. Compared with the thresholds as float64.
    listed : (T, N) bool
        Whether the instrument has a bar.
    enter, exit, leverage, long_only, proportional
        As in `Policies`, for one policy.
    state : (N,) int8, optional
        Signals in {-1, 0, +1} after the bar before the first; flat when absent. Feeding the
        returned state back continues the series as if it had been given whole.
    volatility_target, volatility : float and (T, N) float64, optional
        As in `Policies` and `run_policy`; both or neither.

    Returns
    -------
    exposures : (T, N) float64
        Signed fractions of equity; NaN (no decision) where an instrument is not listed,
        or its volatility is needed and unknown.
    state : (N,) int8
        Signals after the last bar.

    Raises
    ------
    BacktestError
        When shapes or dtypes disagree, a threshold is negative or not finite, or a score is
        infinite.
    """
    if scores.ndim != 2 or scores.dtype.kind != "f":
        raise BacktestError(
            f"scores: must be a (T, N) array of floats, got {scores.dtype} of shape {scores.shape}"
        )
    if listed.shape != scores.shape or listed.dtype != np.bool_:
        raise BacktestError(
            f"listed: must be bool of shape {scores.shape}, as the scores, "
            f"got {listed.dtype} of shape {listed.shape}"
        )
    for name, value in (("enter", enter), ("exit", exit)):
        if not (np.isfinite(value) and value >= 0):
            raise BacktestError(f"{name}: must be finite and at least 0, got {value!r}")
    if not 0 < leverage <= LARGEST_EXPOSURE:
        raise BacktestError(f"leverage: must lie in (0, {LARGEST_EXPOSURE:g}], got {leverage!r}")
    bars, instruments = scores.shape
    if state is not None and (
        state.shape != (instruments,) or state.dtype != np.int8 or (np.abs(state) > 1).any()
    ):
        raise BacktestError(
            f"state: must be ({instruments},) int8 in {{-1, 0, 1}}, "
            f"got {state.dtype} of shape {state.shape}"
        )
    levers = _levers(leverage, volatility_target, volatility, scores.shape)
    if proportional and volatility is not None:
        raise BacktestError(
            "volatility_target: sizes what thresholds open; a proportional score is the size",
            "Leave it out, or proportional",
        )
    # An instrument without a bar has no score either: its signal waits.
    wide = np.where(listed, scores, np.nan).astype(np.float64)
    if np.isinf(wide).any():
        t, n = (int(i) for i in np.argwhere(np.isinf(wide))[0])
        raise BacktestError(f"scores[{t}, {n}]: must be finite or NaN, got {wide[t, n]}")
    if proportional:
        narrow = proportional_exposures(scores, listed, leverage, long_only=long_only)
        return narrow.astype(np.float64), np.zeros(instruments, np.int8)
    signal = np.zeros(instruments) if state is None else state.astype(np.float64)
    exposures = np.full((bars, instruments), np.nan)
    counts = listed.sum(axis=1)
    for t in range(bars):
        signal = next_signal(signal, wide[t], enter=enter, exit=exit, long_only=long_only)
        if counts[t]:
            here = listed[t]
            exposures[t, here] = signal[here] * (levers[t, here] / counts[t])
    return exposures, signal.astype(np.int8)


def _levers(
    leverage: float,
    target: float | None,
    volatility: Float64Array | None,
    shape: tuple[int, ...],
) -> Float64Array:
    """Leverage of every bar and instrument, NaN where the volatility that it needs is unknown."""
    if (volatility is None) != (target is None):
        raise BacktestError("volatility_target, volatility: give both or neither")
    if volatility is None or target is None:
        return np.full(shape, leverage)
    if volatility.shape != shape:
        raise BacktestError(
            f"volatility: must have shape {shape}, as the scores, got {volatility.shape}"
        )
    if not (np.isfinite(target) and target > 0):
        raise BacktestError(f"volatility_target: must be finite and above 0, got {target!r}")
    require_volatility(volatility)
    return np.minimum(target / volatility, leverage)


def require_volatility(volatility: Float64Array, symbols: Sequence[str] | None = None) -> None:
    """Refuse volatilities (T, N) that are neither finite and above 0 nor NaN, while unknown."""
    wrong = ~(np.isnan(volatility) | (np.isfinite(volatility) & (volatility > 0)))
    if wrong.any():
        t, n = (int(i) for i in np.argwhere(wrong)[0])
        whose = "" if symbols is None else f" ({symbols[n]})"
        raise BacktestError(
            f"volatility[{t}, {n}]{whose}: must be finite and above 0, or NaN while it is "
            f"unknown, got {volatility[t, n]}"
        )


def proportional_exposures(
    scores: npt.NDArray[np.floating],
    listed: npt.NDArray[np.bool_],
    leverage: float | Float64Array,
    *,
    long_only: bool,
) -> npt.NDArray[np.float32]:
    """Target exposures of scores that are levels: score x leverage / (instruments listed).

    Parameters
    ----------
    scores : (T, N) or (T, N, C) float
        In [-1, 1], or [0, 1] with `long_only`; NaN is no decision.
    leverage : float or (C,) float64

    Returns
    -------
    float32, of the scores' shape
        Rounded as the policy that learnt by trading has traded. NaN where not listed.

    Raises
    ------
    BacktestError
        A score is outside its range.
    """
    low = 0.0 if long_only else -1.0
    outside = (scores < low) | (scores > 1)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise BacktestError(
            f"scores[{', '.join(map(str, at))}]: a level must lie in [{low:g}, 1], "
            f"got {scores[at]:g}",
            "Scale the scores to fractions of the largest exposure",
        )
    share = 1 / np.maximum(listed.sum(axis=1), 1).astype(np.float32)
    levels = np.where(listed.reshape(*listed.shape, *(1,) * (scores.ndim - 2)), scores, np.nan)
    scaled = levels.astype(np.float32) * np.asarray(leverage, np.float32)
    exposures: npt.NDArray[np.float32] = scaled * share.reshape(-1, *(1,) * (scores.ndim - 1))
    return exposures
