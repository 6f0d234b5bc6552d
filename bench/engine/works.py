"""The markets and decisions that the contestants of the engine's bench trade."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from windtunnel.data.panel import Panel

CASH = 100_000.0
FEE = 1e-3
YEAR = 365.0


@dataclass(frozen=True)
class Size:
    """Bars, instruments and configurations."""

    bars: int
    instruments: int
    configurations: int

    @property
    def bar_configurations(self) -> int:
        return self.bars * self.instruments * self.configurations

    def __str__(self) -> str:
        many = f" x {self.instruments:,} instruments" if self.instruments > 1 else ""
        return f"{self.configurations:,} configurations x {self.bars:,} bars{many}"


def make_panel(size: Size, seed: int = 11) -> Panel:
    """Random walks of one percent a bar with gaps and wicks; every bar can be traded."""
    rng = np.random.default_rng(seed)
    shape = (size.bars, size.instruments)
    # Around 100 for ever: a walk of 100,000 bars would leave the range of cents.
    level = np.zeros(shape)
    steps = rng.normal(0, 0.01, shape)
    for t in range(1, size.bars):
        level[t] = 0.999 * level[t - 1] + steps[t]
    close = 100 * np.exp(level)
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.002, shape))
    return Panel(
        timestamps=np.arange(size.bars).astype("datetime64[h]").astype("datetime64[us]"),
        symbols=tuple(f"S{n}" for n in range(size.instruments)),
        open=open_,
        high=np.maximum(open_, close) * (1 + rng.exponential(0.004, shape)),
        low=np.minimum(open_, close) / (1 + rng.exponential(0.004, shape)),
        close=close,
        volume=np.full(shape, 1e9),
        tradable=np.ones(shape, bool),
        fingerprint="0" * 64,
    )


def make_flags(size: Size, seed: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit flags (T, 1, C) that take turns, one in 40 bars, as crossovers do.

    None on the first bar: peers differ about whether its cost is a return.
    """
    rng = np.random.default_rng(seed)
    inside = np.zeros(size.configurations, bool)
    entries = np.zeros((size.bars, 1, size.configurations), bool)
    exits = np.zeros_like(entries)
    for t in range(1, size.bars):
        turns = rng.random(size.configurations) < 1 / 40
        entries[t, 0] = turns & ~inside
        exits[t, 0] = turns & inside
        inside ^= turns
    return entries, exits


def make_targets(size: Size, seed: int = 13) -> np.ndarray:
    """Targets (T, N, C) float32, long, within what cash covers.

    Zero on the first bar: peers measure drawdowns from its value, which an order's cost lowers.
    """
    rng = np.random.default_rng(seed)
    shape = (size.bars, size.instruments, size.configurations)
    targets = rng.uniform(0, 0.9 / size.instruments, shape).astype(np.float32)
    targets[0] = 0
    return targets


def make_scores(bars: int, columns: int, lasting: float, seed: int = 14) -> np.ndarray:
    """Scores (T, 1, S) float32 in [-1, 1], evenly spread.

    `lasting` is the correlation of a score with the one of the bar before: models that forecast
    some twenty bars ahead give scores of about .97; at 0 they know nothing of each other.
    """
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(bars, columns)) * np.sqrt(1 - lasting**2)
    steps[0] = rng.normal(size=columns)
    score = np.empty_like(steps)
    last = np.zeros(columns)
    for t in range(bars):
        score[t] = last = lasting * last + steps[t]
    return np.ascontiguousarray((2 * ndtr(score) - 1).astype(np.float32)[:, None])


def make_stops(size: Size, seed: int = 15) -> dict[str, np.ndarray]:
    """Loss or trailing stop and target of each configuration, as fractions of price."""
    rng = np.random.default_rng(seed)
    return {
        "stop": rng.uniform(0.03, 0.06, size.configurations),
        # Further away than a bar's gap reaches: where a bar opens beyond the target and falls to
        # the stop, peers look at the stop first.
        "profit": rng.uniform(0.06, 0.12, size.configurations),
    }
