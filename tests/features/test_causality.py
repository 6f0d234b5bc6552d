"""A value depends on the bars of its window alone, bit for bit: not on later bars, not on
where the history starts. The first is honesty, the second makes serving equal the study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from windtunnel.features import kernels
from windtunnel.features.catalogue import KINDS, catalogue, resolve
from windtunnel.features.compute import compute

SERIES = ("open", "high", "low", "close", "volume")
CUTS = range(58, 63)  # around bar 60, which one instrument lacks
STARTS = range(40, 45)
NAMES = [f"{kind.kind}_{max(kind.smallest, 4)}" for kind in catalogue()] + [
    f"{kind.kind}_{kind.smallest}" for kind in catalogue()
]


def bits(panel, names=NAMES) -> np.ndarray:
    """(T, N, F) bits of the kernels' own float64, before rounding could hide a difference."""
    values = np.full((panel.instruments, panel.bars, len(names)), np.nan)
    run = kernels.listed_run(np.ascontiguousarray(panel.close.T))
    for f, feature in enumerate(resolve(names)):
        kind = KINDS[feature.kind]
        series = [np.ascontiguousarray(getattr(panel, name).T) for name in kind.series]
        out = np.full(run.shape, np.nan)
        getattr(kernels, kind.kernel)(*series, run, feature.window, out)
        values[:, :, f] = out
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    np.testing.assert_array_equal(rounded.swapaxes(0, 1), compute(panel, names).values)
    return values.swapaxes(0, 1).copy().view(np.uint64)


@pytest.fixture(scope="module")
def whole(panel):
    """The features of all bars, with enough defined and undefined values to mean something."""
    values = bits(panel)
    around = values[CUTS.start : CUTS.stop].view(np.float64)
    assert (np.isfinite(around).sum(axis=(0, 1)) >= 5).all()
    assert np.isnan(around).any(axis=(0, 1)).all()
    return values


@pytest.mark.parametrize("t", CUTS)
def test_prefix_gives_the_same_bits(panel, cut_panel, whole, t):
    prefix = bits(cut_panel(panel, 0, t + 1))
    for f, name in enumerate(NAMES):
        assert (prefix[:, :, f] == whole[: t + 1, :, f]).all(), name


def future_is_gone(values: np.ndarray, t: int, rng: np.random.Generator) -> None:
    values[t + 1 :] = np.nan


def future_is_other(values: np.ndarray, t: int, rng: np.random.Generator) -> None:
    values[t + 1 :] *= rng.uniform(0.5, 2, values[t + 1 :].shape)


def future_is_full(values: np.ndarray, t: int, rng: np.random.Generator) -> None:
    values[t + 1 :] = rng.uniform(1, 2, values[t + 1 :].shape)


@pytest.mark.parametrize("change", [future_is_gone, future_is_other, future_is_full])
@pytest.mark.parametrize("t", CUTS)
def test_changing_the_future_changes_nothing(panel, whole, change, t):
    rng = np.random.default_rng(t)
    changed = {name: getattr(panel, name).copy() for name in SERIES}
    for values in changed.values():
        change(values, t, rng)
    other = bits(replace(panel, **changed))
    assert (other[: t + 1] == whole[: t + 1]).all()
    # The change was one that every feature notices.
    assert (other[t + 1 :] != whole[t + 1 :]).any(axis=(0, 1)).all()


@pytest.mark.parametrize("start", STARTS)
def test_later_start_gives_the_same_bits_after_warm_up(panel, cut_panel, whole, start):
    late = bits(cut_panel(panel, start, panel.bars))
    for f, feature in enumerate(resolve(NAMES)):
        first = feature.warmup
        assert (late[first:, :, f] == whole[start + first :, :, f]).all(), feature.name


@pytest.mark.parametrize("kind", KINDS)
def test_warm_up_is_exactly_what_the_last_bar_needs(panel, cut_panel, kind):
    names = [f"{kind}_4"]
    warmup, t = compute(panel, names).warmup, panel.bars - 1
    enough = bits(cut_panel(panel, t - warmup, t + 1), names)[-1]
    assert (enough == bits(panel, names)[t]).all()
    assert np.isfinite(enough.view(np.float64)[0]).all()
    short = compute(cut_panel(panel, t - warmup + 1, t + 1), names).values
    assert np.isnan(short).all()
