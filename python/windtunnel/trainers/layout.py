"""A task laid out for the program: flat rows, scalers, minibatches, and what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import numpy.typing as npt

from windtunnel.errors import StudyFileError
from windtunnel.trainers.arrays import Data, Shape
from windtunnel.trainers.base import padded, pieces_of_bars, usable_rows
from windtunnel.trainers.memory import Needs
from windtunnel.trainers.program import first_models
from windtunnel.trainers.tables import block_length

if TYPE_CHECKING:
    from windtunnel.config.study import TrainingSection
    from windtunnel.protocols import TrainingTask
    from windtunnel.trainers.scoring import Network

Float32Array = npt.NDArray[np.float32]


def lay_out(
    task: TrainingTask, network: Network, training: TrainingSection, seed: int, lanes: int
) -> tuple[Data, Shape]:
    """Arrays and shapes of the program for a task.

    A network that compares instruments, or a loss that needs consecutive bars, gets
    minibatches of whole bars, rounded up to at least `batch_size` rows; any other gets rows
    drawn one by one.

    Raises
    ------
    SplitError
        A fold has nothing to train on.
    TrainingError
        The head needs returns, and the task has none.
    """
    bars, instruments, features = task.features.shape
    stretches = network.head.stretches
    usable = usable_rows(task, network.window, by_returns=stretches)
    flat = task.features.reshape(bars * instruments, features)
    scalers = [fit_scaler(flat[rows.ravel()]) for rows in usable]
    in_bars = stretches or network.relative
    pieces, batch_size = 0, training.batch_size
    if in_bars:
        length = training.stretch_bars if stretches else 1
        drawn = pieces_of_bars(usable, length)
        pieces = -(-batch_size // (length * instruments))
        batch_size = pieces * length * instruments
    else:
        drawn = [np.flatnonzero(rows) for rows in usable]
    labels = task.labels if not stretches else np.zeros_like(task.labels)
    returns = task.returns.reshape(-1) if stretches and task.returns is not None else None
    data = Data(
        features=flat,
        labels=labels.reshape(-1),
        rows=padded(drawn),
        counts=np.array([len(chosen) for chosen in drawn], np.int32),
        mean=np.stack([mean for mean, _ in scalers]),
        scale=np.stack([scale for _, scale in scalers]),
        first=np.array([first * instruments for first, _ in task.validation], np.int32),
        seed=np.int32(seed),
        usable=usable.reshape(len(usable), -1) if in_bars else None,
        returns=returns,
    )
    start, stop = task.validation[0]
    shape = Shape(
        steps=training.steps,
        batch_size=batch_size,
        seeds=training.seeds,
        validation_rows=(stop - start) * instruments,
        instruments=instruments,
        pieces=pieces,
        cost=float(task.cost),
        precision=training.precision,
        lanes=lanes,
    )
    return data, shape


def fit_scaler(rows: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Mean and standard deviation (F,) of training rows (rows, F), as float32.

    Computed in float64. A feature that does not vary within float32's resolution gets
    scale 1, so that it enters the network as zero instead of as magnified rounding.
    """
    wide = rows.astype(np.float64)
    mean = wide.mean(axis=0)
    scale = wide.std(axis=0)
    resolution = np.finfo(np.float32)
    flat = scale <= np.maximum(resolution.eps * np.abs(mean), resolution.tiny)
    return mean.astype(np.float32), np.where(flat, 1.0, scale).astype(np.float32)


def check_network(network: Network, family: str, features: int) -> None:
    """Hold a module to the contract of families, by shapes alone.

    Raises
    ------
    StudyFileError
        The module of `family` breaks the contract of `windtunnel.models.factory`.
    """
    rows, outputs = 3, network.head.outputs
    units = getattr(network.module, "masked_units", None)
    if not isinstance(units, int) or units < 0:
        raise StudyFileError(
            f"model family {family!r}: masked_units must be a count of hidden units, got {units!r}",
            "Give the module a property that says how many columns of dropout bits it wants",
        )
    x = np.zeros((rows, *network.row_shape(features)), np.float32)
    variables = jax.eval_shape(network.module.init, jax.random.key(0), x)
    if set(variables) != {"params"}:
        raise StudyFileError(
            f"model family {family!r}: variables must be parameters only, got {sorted(variables)}",
            "Leave out batch statistics and other state: a score depends on its own row alone",
        )
    bits = np.zeros((rows, units), np.uint8) if units else None
    logits = jax.eval_shape(network.module.apply, variables, x, np.float32(0), bits)
    wanted = (rows,) if outputs == 1 else (rows, outputs)
    if logits.shape != wanted or logits.dtype != np.float32:
        axes = "(rows,)" if outputs == 1 else f"(rows, {outputs})"
        raise StudyFileError(
            f"model family {family!r}: must return float32 logits of shape {axes}, got "
            f"{logits.dtype} {logits.shape} for {rows} rows",
            "Drop the last axis of the head, for example with [:, 0]"
            if outputs == 1
            else "End with windtunnel.models.readout.readout(h, section.outputs)",
        )


def needs(network: Network, data: Data, shape: Shape, devices: int) -> Needs:
    """Count the bytes of every array that grows with the data or the cohort."""

    def size(tree: Any) -> int:
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

    state = size(jax.eval_shape(lambda given: first_models(network, shape, given), data))
    folds, features = len(data.counts), data.features.shape[1]
    scores = 4 * folds * shape.validation_rows
    units, window = network.module.masked_units, max(network.window, 1)
    step = shape.batch_size * (4 * features * window + 4 + units)
    block = block_length(network, shape, features)
    # Forwards, backwards and the scoring of a slice hold each activation a few times over.
    scored = min(shape.validation_rows, 2048) if window > 1 else shape.validation_rows
    rows = max(shape.batch_size, scored)
    working = 2 * step * block + 4 * shape.lanes * rows * window * (4 * features + 8 * units + 64)
    return Needs(
        fixed=(devices + 1) * size(data) + devices * working,
        # State goes in and comes out, and is taken home; so do scores, and are turned.
        lane=3 * state + 4 * scores,
        result=scores,
        state=2 * state,
    )
