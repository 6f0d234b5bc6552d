"""The feature tensor of a panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from windtunnel.errors import FeatureError
from windtunnel.features import kernels
from windtunnel.features.catalogue import KINDS, Feature, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windtunnel.data.panel import BoolArray, Float32Array, Float64Array, Panel


@dataclass(frozen=True)
class FeatureTensor:
    """Features of N instruments on T bars.

    Attributes
    ----------
    values : (T, N, F) float32, C-contiguous
        NaN where undefined: during warm-up and where a window touches a missing bar.
    names : tuple of F str
    warmup : int
        Bars needed before the first bar at which every feature can be defined. The values at
        bar t read bars t - warmup to t and nothing else.
    """

    values: Float32Array
    names: tuple[str, ...]
    warmup: int


def compute(panel: Panel, names: Sequence[str]) -> FeatureTensor:
    """Compute the named features at every bar, each from bars up to and including it.

    Computed in float64 and rounded to float32 once. A panel shorter than the warm-up gives
    NaN. The last bars of a history give the same bits as the whole history, which is what
    lets a service that holds warmup + 1 bars agree with the study.

    Parameters
    ----------
    panel : Panel
        T bars of N instruments.
    names : sequence of F str
        Features as in `windtunnel.features.catalogue.resolve`.

    Returns
    -------
    FeatureTensor

    Raises
    ------
    FeatureError
        A name cannot be resolved, or a value is not finite although its window is complete
        (which bars that passed the quality gate do not bring about).
    """
    features = resolve(names)
    series: dict[str, Float64Array] = {
        name: np.ascontiguousarray(getattr(panel, name).T)
        for name in {"close"}.union(*(KINDS[feature.kind].series for feature in features))
    }
    run = kernels.listed_run(series["close"])
    values = np.empty((panel.bars, panel.instruments, len(features)), np.float32)
    out = np.empty((panel.instruments, panel.bars))
    for f, feature in enumerate(features):
        kind = KINDS[feature.kind]
        out.fill(np.nan)
        kernel = getattr(kernels, kind.kernel)
        kernel(*(series[name] for name in kind.series), run, feature.window, out)
        with np.errstate(over="ignore"):  # beyond float32 becomes inf, refused below
            values[:, :, f] = out.T
        _refuse_undefined(panel, feature, values[:, :, f], (run > feature.warmup).T)
    return FeatureTensor(
        values=values,
        names=tuple(feature.name for feature in features),
        warmup=max(feature.warmup for feature in features),
    )


def _refuse_undefined(
    panel: Panel, feature: Feature, values: Float32Array, complete: BoolArray
) -> None:
    """Raise FeatureError where a complete window gave no finite value."""
    wrong = np.argwhere(complete & ~np.isfinite(values))
    if not len(wrong):
        return
    t, n = wrong[0]
    raise FeatureError(
        f"{feature.name}: is {values[t, n]} for {panel.symbols[n]} at {panel.timestamps[t]} "
        "although its window has no missing bar",
        "Pass the bars through the quality gate: a price or volume is out of range",
    )
