"""What features exist: their names, meaning, smallest window and warm-up.

A feature is named '<kind>_<window>', the window in bars. This module knows the kernels by
name only, so that a study file can be checked without loading Numba.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from windtunnel.errors import FeatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LARGEST_WINDOW = 100_000
_NAME = re.compile(r"(?P<kind>[a-z_]+?)_(?P<window>[0-9]+)")


@dataclass(frozen=True)
class Kind:
    """A kind of feature.

    Attributes
    ----------
    kind : str
        Name without the window.
    meaning : str
        One line for people; w stands for the window.
    smallest : int
        Smallest window on which it is defined.
    warmup : callable (window) -> int
        Bars needed before the first value: the value at bar t reads bars t - warmup to t.
    kernel : str
        Function of `windtunnel.features.kernels`, called as
        ``kernel(*series, run, window, out)``.
    series : tuple of str
        The panel's arrays that the kernel reads.
    """

    kind: str
    meaning: str
    smallest: int
    warmup: Callable[[int], int]
    kernel: str
    series: tuple[str, ...] = ("close",)


@dataclass(frozen=True)
class Feature:
    """A feature to compute: a kind with its window.

    Attributes
    ----------
    name, kind : str
    window : int
        In bars.
    warmup : int
        Bars needed before the first value.
    """

    name: str
    kind: str
    window: int
    warmup: int


def _same(window: int) -> int:
    """Windows of w changes from bar to bar read w + 1 bars."""
    return window


def _one_less(window: int) -> int:
    """Windows of w bars end at bar t and start at t - w + 1."""
    return window - 1


def _five_times(window: int) -> int:
    return 5 * window


KINDS: dict[str, Kind] = {
    kind.kind: kind
    for kind in (
        Kind("return", "log return of the close over w bars", 1, _same, "log_return"),
        Kind(
            "volatility",
            "natural log of the standard deviation of w log returns, floored at log 1e-6",
            2,
            _same,
            "log_volatility",
        ),
        Kind(
            "volatility_ratio",
            "standard deviation of the last w log returns over that of the last 5w; 1 when "
            "the close stood still",
            2,
            _five_times,
            "volatility_ratio",
        ),
        Kind(
            "rsi",
            "Cutler's relative strength index of w changes, scaled to [-1, 1]; 0 without change",
            1,
            _same,
            "cutler_rsi",
        ),
        Kind(
            "zscore",
            "close minus the mean of w closes, over their standard deviation; 0 when constant",
            2,
            _one_less,
            "last_zscore",
        ),
        Kind(
            "drawdown",
            "close over the highest high of w bars, minus 1; never above 0",
            1,
            _one_less,
            "drawdown",
            ("high", "close"),
        ),
        Kind(
            "range",
            "mean of (high - low) / close over w bars",
            1,
            _one_less,
            "mean_range",
            ("high", "low", "close"),
        ),
        Kind(
            "volume_zscore",
            "volume minus the mean of w volumes, over their standard deviation; 0 when constant",
            2,
            _one_less,
            "last_zscore",
            ("volume",),
        ),
        Kind(
            "rank_return",
            "rank of the w-bar return among the instruments that have one, from -0.5 (lowest) "
            "to 0.5; ties share their mean rank; 0 when alone",
            1,
            _same,
            "rank_return",
        ),
        Kind(
            "gap",
            "mean of open over the previous close, minus 1, over w bars",
            1,
            _same,
            "mean_gap",
            ("open", "close"),
        ),
        Kind(
            "skewness",
            "skewness of w log returns (population moments); 0 when they are constant",
            3,
            _same,
            "skewness",
        ),
        Kind(
            "autocorrelation",
            "lag-1 autocorrelation of w log returns; 0 when they are constant",
            3,
            _same,
            "autocorrelation",
        ),
        Kind(
            "trend",
            "t-statistic of the slope of log close on time over w bars, kept within -100 and "
            "100; 0 when constant",
            3,
            _one_less,
            "trend",
        ),
    )
}


def catalogue() -> list[Kind]:
    """Every kind of feature, in the order in which people read them."""
    return list(KINDS.values())


def resolve(names: Sequence[str]) -> tuple[Feature, ...]:
    """Turn feature names into features.

    Parameters
    ----------
    names : sequence of str
        '<kind>_<window>' each, for example 'volatility_20'.

    Returns
    -------
    tuple of Feature
        In the order given.

    Raises
    ------
    FeatureError
        No name is given, a kind is unknown, a window is no whole number, too small or too
        large, or a name comes twice.
    """
    if isinstance(names, str):
        raise FeatureError(
            f"features.use: must be a sequence of names, got the text {names!r}",
            f"Give [{names!r}]",
        )
    if not names:
        raise FeatureError(
            "features.use: is empty", "Give at least one feature, for example 'return_5'"
        )
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise FeatureError(f"features.use: {twice!r} is named twice", "Name it once")
    return tuple(_resolve(name) for name in names)


def _resolve(name: str) -> Feature:
    match = _NAME.fullmatch(name)
    if match is None:
        stem = re.sub(r"[^A-Za-z]*$", "", name).lower()
        raise FeatureError(
            f"features.use: {name!r} is not of the form '<kind>_<window>'",
            _suggestion(stem, 20) + "The window is a whole number of bars",
        )
    kind, window = KINDS.get(match["kind"]), int(match["window"])
    if kind is None:
        raise FeatureError(
            f"features.use: {name!r}: there is no kind {match['kind']!r}",
            f"{_suggestion(match['kind'], window)}The kinds are {', '.join(KINDS)}",
        )
    if match["window"] != str(window):
        raise FeatureError(
            f"features.use: {name!r}: the window is written with leading zeros",
            f"Write {kind.kind}_{window}",
        )
    if window < kind.smallest or window > LARGEST_WINDOW:
        nearest = kind.smallest if window < kind.smallest else LARGEST_WINDOW
        raise FeatureError(
            f"features.use: {name!r}: window {window} is outside {kind.smallest} to "
            f"{LARGEST_WINDOW} bars",
            f"The nearest is {kind.kind}_{nearest}",
        )
    return Feature(name=name, kind=kind.kind, window=window, warmup=kind.warmup(window))


def _suggestion(kind: str, window: int) -> str:
    near = get_close_matches(kind, KINDS, n=3, cutoff=0.5)
    if not near:
        return ""
    return f"Did you mean {' or '.join(repr(f'{name}_{window}') for name in near)}? "
