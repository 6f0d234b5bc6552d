"""What trainers check of hyperparameters, so that errors name a value and its configuration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from windtunnel.errors import TrainingError

# Half-open unless said otherwise: (smallest, is it allowed, first value that is not).
_RANGES: dict[str, tuple[float, bool, float]] = {
    "learning_rate": (0.0, False, np.inf),
    "weight_decay": (0.0, True, np.inf),
    "dropout": (0.0, True, 1.0),
    "label_smoothing": (0.0, True, 1.0),
}
_MASK = "feature_mask"


def check_hyper(
    hyper: Mapping[str, npt.ArrayLike], features: int
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the four hyperparameters as (C,) float32 arrays, checked.

    With them goes `feature_mask` (C, F) where it is given: 1 for each of the F `features`
    that a configuration sees, 0 for the others. Errors as of `check_values`.
    """
    return check_values(hyper, _RANGES, "training", features)


def check_values(
    hyper: Mapping[str, npt.ArrayLike],
    ranges: Mapping[str, tuple[float, bool, float]],
    table: str,
    features: int,
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the hyperparameters named in `ranges`, and the mask, checked as `check_hyper` says.

    Parameters
    ----------
    hyper : mapping of str to (C,) array
    ranges : mapping of str to (smallest, is it allowed, first value that is not)
    table : str
        Table of the study file that they come from.
    features : int
        F, the width of a mask.

    Raises
    ------
    TrainingError
        A name is missing or unknown, lengths differ, or a value is out of range; the
        message names hyperparameter, lane and value.
    """
    given = hyper.keys() - {_MASK}
    if given != ranges.keys():
        missing, extra = ranges.keys() - given, given - ranges.keys()
        raise TrainingError(
            f"hyper: keys must be {', '.join(ranges)}; "
            f"missing {sorted(missing) or 'none'}, unknown {sorted(extra) or 'none'}",
            "Give each of them as an array with one value a configuration",
        )
    arrays = {name: np.asarray(hyper[name], dtype=np.float64) for name in ranges}
    lanes = arrays["learning_rate"].shape
    for name, values in arrays.items():
        if values.ndim != 1 or values.shape != lanes or values.size == 0:
            raise TrainingError(
                f"hyper[{name!r}]: must have shape (C,), one value a configuration, the same C "
                f"for all and at least one; got {values.shape}, learning_rate has {lanes}",
                "Repeat a value that all configurations share",
            )
        low, included, high = ranges[name]
        good = ((values >= low) if included else (values > low)) & (values < high)
        if not good.all():
            lane = int(np.argmin(good))
            raise TrainingError(
                f"hyper[{name!r}][{lane}]: must be in {'[' if included else '('}{low:g}, {high:g})"
                f", got {values[lane]:g}",
                f"Narrow the search of {table}.{name}",
            )
    checked = {name: values.astype(np.float32) for name, values in arrays.items()}
    if _MASK in hyper:
        checked[_MASK] = _check_mask(np.asarray(hyper[_MASK], np.float32), lanes[0], features)
    return checked


def _check_mask(
    mask: npt.NDArray[np.float32], lanes: int, features: int
) -> npt.NDArray[np.float32]:
    if mask.shape != (lanes, features) or not np.isin(mask, (0.0, 1.0)).all():
        raise TrainingError(
            f"hyper[{_MASK!r}]: must be 0 or 1 of shape (configurations, features) = "
            f"{(lanes, features)}, got shape {mask.shape}",
            "Give each configuration a row with one switch a feature",
        )
    blind = np.flatnonzero(~mask.any(axis=1))
    if blind.size:
        raise TrainingError(
            f"hyper[{_MASK!r}][{blind[0]}]: switches every feature off",
            "Leave at least one group of features on",
        )
    return mask
