"""Dense networks on few rows without a call into XLA.

On one row a small network costs less than calling a compiled program does, and several
times less when the call has to wake the program's threads. This kernel computes the same
sums; it serves only after it has agreed with the bundle's own program, row for row, at
load time, and the program remains what the bundle is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from windtunnel.data.panel import Float32Array
from windtunnel.deployment.bundle import Bundle
from windtunnel.deployment.dense import dense_form
from windtunnel.errors import BundleError

log = logging.getLogger(__name__)

MOST_ROWS = 4  # beyond, the compiled program is as fast
TOLERANCE = 1e-5  # absolute, and relative to scores beyond 1: float32 sums in another order
_CHECKED = 512  # reference rows


class NativeScorer:
    """Scores few rows of a dense network.

    Parameters
    ----------
    weights : (n,) float32
        The scaler's mean, one over its scale, then for each seed and layer the kernel, row
        by row, and the bias.
    sizes : (L + 1,) int64
        Widths from the input to the output.
    seeds : int
        Networks whose scores are averaged.
    squash : bool
        Whether a logit z becomes 2 sigmoid(z) - 1.
    """

    def __init__(
        self,
        weights: Float32Array,
        sizes: npt.NDArray[np.int64],
        seeds: int,
        *,
        squash: bool,
    ) -> None:
        self._arguments = (weights, sizes, seeds, squash)

    def score(self, rows: Float32Array) -> Float32Array:
        """Scores (R,) float32 of rows (R, F) float32; NaN for a row with a NaN."""
        scores = np.empty(len(rows), np.float32)
        _score(*self._arguments, rows, scores)
        return scores


def native_scorer(bundle: Bundle) -> NativeScorer | None:
    """A scorer for the bundle's network, or None when it is none that the kernel knows.

    Also None when the scorer differs from the bundle's program on the training sample.
    """
    scorer = build(bundle.manifest.model, bundle.manifest.label.kind, bundle.parameters)
    if scorer is None:
        return None
    width = len(bundle.manifest.features)
    sample = np.ascontiguousarray(bundle.reference().head(_CHECKED).to_numpy(), np.float32)
    rows = np.concatenate([sample, 3 * sample, np.full((1, width), np.nan, np.float32)])
    expected, got = bundle.score(rows), scorer.score(rows)
    if not np.allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
        log.warning(
            "the native kernel differs from the program of %r by %.1e and is not used",
            bundle.manifest.name,
            float(np.nanmax(np.abs(got - expected))),
        )
        return None
    rows.flags.writeable = False  # the form in which requests arrive
    scorer.score(rows[:1])
    return scorer


def build(
    model: Mapping[str, Any], kind: str, parameters: Mapping[str, npt.NDArray[Any]]
) -> NativeScorer | None:
    """Lay out the parameters of a study's ``mlp`` or ``linear`` model for the kernel.

    None when the parameters are not exactly those of such a model.
    """
    try:
        dense = dense_form(model, kind, parameters, long_only=False)
    except BundleError:
        return None
    if dense.residual or dense.output not in {"identity", "direction"} or "mask" in parameters:
        return None
    if any(array.dtype != np.float32 for array in parameters.values()):
        return None
    kernels = [parameters[f"network/{name}/kernel"] for name in dense.layers]
    biases = [parameters[f"network/{name}/bias"] for name in dense.layers]
    mean, scale = parameters["mean"], parameters["scale"]
    seeds, width = kernels[0].shape[0], len(mean)
    sizes = [width, *(kernel.shape[-1] for kernel in kernels)]
    parts = [mean, np.float32(1) / scale]
    for seed in range(seeds):
        for kernel, bias in zip(kernels, biases, strict=True):
            parts += [kernel[seed].ravel(), bias[seed]]
    weights = np.ascontiguousarray(np.concatenate(parts), np.float32)
    squash = dense.output == "direction"
    return NativeScorer(weights, np.array(sizes, np.int64), seeds, squash=squash)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def _score(weights: Any, sizes: Any, seeds: Any, squash: Any, rows: Any, scores: Any) -> None:
    width, layers, widest = sizes[0], sizes.shape[0] - 1, sizes.max()
    inputs = np.empty(width, np.float32)
    buffers = np.empty((2, widest), np.float32)
    for r in range(rows.shape[0]):
        undefined = False
        for i in range(width):
            undefined |= np.isnan(rows[r, i])
            inputs[i] = (rows[r, i] - weights[i]) * weights[width + i]
        total, at = np.float32(0), 2 * width
        for _ in range(seeds):
            for layer in range(layers):
                source = inputs if layer == 0 else buffers[1 - layer % 2]
                target = buffers[layer % 2]
                wide, narrow = sizes[layer], sizes[layer + 1]
                kernel = weights[at : at + wide * narrow]
                at += wide * narrow
                target[:narrow] = weights[at : at + narrow]
                at += narrow
                # Row by row of the kernel: the inner loop needs no reordering to be SIMD.
                for i in range(wide):
                    value, row = source[i], kernel[i * narrow : (i + 1) * narrow]
                    for j in range(narrow):
                        target[j] += value * row[j]
                if layer < layers - 1:
                    for j in range(narrow):
                        target[j] = max(target[j], np.float32(0))
            logit = buffers[(layers - 1) % 2][0]
            if squash:
                logit = np.float32(2) / (np.float32(1) + np.exp(-logit)) - np.float32(1)
            total += logit
        scores[r] = np.float32(np.nan) if undefined else total / np.float32(seeds)
