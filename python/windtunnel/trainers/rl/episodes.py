"""Where training episodes may begin: stretches of bars that a fold may learn from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from windtunnel.backtest.market import carry_forward
from windtunnel.data.panel import Panel
from windtunnel.errors import SplitError, TrainingError
from windtunnel.protocols import TrainingTask


def training_bars(task: TrainingTask) -> npt.NDArray[np.bool_]:
    """(K, T) bool: whether a fold may decide at a bar, and see the next one.

    A bar counts when any of its rows may be trained on. Where no instrument has a row at all
    (a feature or label is missing), nothing was purged, and the gap does not part a stretch;
    a bar whose rows were taken away by purge or embargo does.
    """
    rows = np.isfinite(task.features).all(axis=2) & np.isfinite(task.labels)
    void = np.logical_not(np.any(rows, axis=1))
    allowed: npt.NDArray[np.bool_] = np.asarray(task.train.any(axis=2))
    found = np.zeros_like(allowed)
    for fold, bars in enumerate(allowed):
        at = np.flatnonzero(bars)
        found[fold] = bars
        for before, after in pairwise(at):
            if after > before + 1 and np.all(void[before + 1 : after]):
                found[fold, before:after] = True
    return found


def episode_starts(allowed: npt.NDArray[np.bool_], bars: int) -> list[npt.NDArray[np.int32]]:
    """First bars of episodes of `bars` decisions, for each fold, ascending.

    Raises
    ------
    SplitError
        A fold has no stretch that is long enough.
    """
    starts = []
    for fold, row in enumerate(allowed):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.view(np.int8), [0]])))
        stretches = edges.reshape(-1, 2)
        found = [np.arange(first, stop - bars + 1) for first, stop in stretches]
        all_ = np.concatenate([*found, np.empty(0, np.int64)]).astype(np.int32)
        if all_.size == 0:
            longest = int(max(np.diff(stretches), default=[0])[0]) if len(stretches) else 0
            raise SplitError(
                f"fold {fold}: the longest stretch to learn from has {longest} bars, an episode "
                f"takes {bars}",
                "Lower rl.rollout_bars or, with algorithm 'ppo', rl.episode_rollouts, or give a "
                "longer history",
            )
        starts.append(all_)
    return starts


def bar_volatility(task: TrainingTask, allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """(K,) deviation of the close-to-close returns of a fold's training bars.

    Raises
    ------
    TrainingError
        The task has no panel, or the prices of a fold do not move.
    """
    panel = panel_of(task)
    close = carry_forward(panel.close, panel.listed, 1.0)
    moves = np.zeros_like(close)
    moves[1:] = close[1:] / close[:-1] - 1
    # A first bar is no move, and neither is one that did not happen.
    known = panel.listed.copy()
    known[1:] &= np.maximum.accumulate(panel.listed, axis=0)[:-1]
    known[0] = False
    found = []
    for fold, bars in enumerate(allowed):
        used = moves[bars][known[bars]]
        deviation = float(used.std()) if used.size else 0.0
        if not (np.isfinite(deviation) and deviation > 1e-9):
            raise TrainingError(
                f"fold {fold}: the prices of its {int(bars.sum())} training bars do not move",
                "Look at the bars: there is nothing to learn from them",
            )
        found.append(deviation)
    return np.array(found, np.float32)


def check_features(features: npt.NDArray[np.float32]) -> None:
    """Refuse infinite features: NaN says that there is no decision, infinity says nothing.

    Raises
    ------
    TrainingError
        One is infinite; the message names its place.
    """
    found = np.isinf(features)
    if found.any():
        t, n, f = (int(i) for i in np.argwhere(found)[0])
        raise TrainingError(
            f"features[{t}, {n}, {f}]: must be finite or NaN, got {features[t, n, f]}",
            "Mend the bars that it comes from",
        )


def panel_of(task: TrainingTask) -> Panel:
    """The bars of a task.

    Raises
    ------
    TrainingError
        The task has none.
    """
    if task.panel is None:
        raise TrainingError(
            "panel: a policy that learns by trading needs the bars of the features",
            "Give TrainingTask(panel=...)",
        )
    return task.panel
