"""The market as a Gymnasium environment, for agents from elsewhere.

The same account, observations and rewards as in training; one environment is one account on
all instruments. Gymnasium comes with the extra `gym`.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution
from windtunnel.data.panel import Panel
from windtunnel.errors import SplitError, TrainingError
from windtunnel.trainers.rl.account import Terms, open_account, settle
from windtunnel.trainers.rl.environment import (
    Rules,
    Scale,
    Tastes,
    make_table,
    new_memory,
    observation_width,
    observe,
    read_bar,
    reward,
    target,
)
from windtunnel.trainers.rl.episodes import check_features
from windtunnel.trainers.rl.gym_settings import check_settings, column

Float32Array = npt.NDArray[np.float32]


class TradingEnv(gymnasium.Env[Float32Array, npt.NDArray[Any]]):
    """Trade a panel.

    Parameters
    ----------
    panel : Panel
    features : (T, N, F) float32
        Causal. NaN where undefined: there is no decision in that instrument at that bar, the
        observation holds 0, and `info["undecided"]` names it.
    costs, execution : Costs, Execution
    episode_bars : int
        Decisions an episode; it begins at a bar drawn by `reset(seed=...)`, or at
        `options["start"]`.
    levels : tuple of float, optional
        Actions are the numbers of levels, MultiDiscrete; without it levels in a Box.
    long_only : bool
    leverage : float
        Gross exposure with the level 1 in every listed instrument.
    band : float
        No order while the exposure is within this fraction of equity of its target.
    mean, scale : (F,) float32, optional
        Of the features on training bars; 0 and 1 when absent.
    volatility : float
        Deviation of the return of one bar: unrealised returns are shown in its units.
    rules_reward, turnover_penalty, drawdown_penalty
        As `[rl]` has them. The reward "return" is the account's return of a bar, less the
        penalties; "differential_sharpe" has no unit, and its penalties are in units of
        `volatility`, as in training.

    Raises
    ------
    SplitError
        No episode fits behind the first bar with features.
    TrainingError
        The features have another shape than the panel, or are infinite; or an argument is out
        of the range that a study file allows it, and the message names it.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        panel: Panel,
        features: Float32Array,
        costs: Costs,
        execution: Execution,
        *,
        periods_per_year: float = 252.0,
        episode_bars: int = 252,
        levels: tuple[float, ...] | None = None,
        long_only: bool = False,
        leverage: float = 1.0,
        band: float = 0.02,
        mean: Float32Array | None = None,
        scale: Float32Array | None = None,
        volatility: float = 0.01,
        rules_reward: str = "return",
        turnover_penalty: float = 0.0,
        drawdown_penalty: float = 0.0,
    ) -> None:
        if features.ndim != 3 or features.shape[:2] != (panel.bars, panel.instruments):
            raise TrainingError(
                f"features: must be (bars, instruments, features) = ({panel.bars}, "
                f"{panel.instruments}, F), got {features.shape}",
                "Give the features of this panel",
            )
        check_features(features)
        width = features.shape[2]
        check_settings(
            rules_reward=rules_reward,
            levels=levels,
            low=0.0 if long_only else -1.0,
            above_zero={
                "leverage": leverage,
                "volatility": volatility,
                "periods_per_year": periods_per_year,
            },
            from_zero={
                "band": band,
                "turnover_penalty": turnover_penalty,
                "drawdown_penalty": drawdown_penalty,
            },
            episode_bars=episode_bars,
        )
        mean = column("mean", np.zeros(width) if mean is None else mean, width)
        scale = column("scale", np.ones(width) if scale is None else scale, width)
        if not (scale > 0).all():
            raise TrainingError(
                f"scale: must be above 0, got {scale.min():g}", "Leave constant features out"
            )
        terms = Terms.of(costs, execution, band=band, periods_per_year=periods_per_year)
        rules = Rules(terms, rules_reward)  # type: ignore[arg-type]
        table = make_table(panel, features, terms)
        defined = (np.isfinite(features).all(axis=2) & panel.listed).any(axis=1)
        self._first = int(np.argmax(defined)) if defined.any() else panel.bars
        self._last = panel.bars - 1 - episode_bars
        if self._last < self._first:
            raise SplitError(
                f"episode_bars: {episode_bars} decisions need as many bars and one more behind "
                f"the first with features, bar {self._first}; the panel has {panel.bars}",
                "Lower episode_bars, or give a longer history",
            )
        self._symbols, self._bars = panel.symbols, episode_bars
        self._table = jnp.asarray(table)
        # Rewards come per volatility; a Sharpe ratio has no unit to give back.
        self._unit = volatility if rules_reward == "return" else 1.0
        self.levels = levels
        low = 0.0 if long_only else -1.0
        self.action_space = (
            gymnasium.spaces.MultiDiscrete([len(levels)] * panel.instruments)
            if levels
            else gymnasium.spaces.Box(low, 1.0, (panel.instruments,), np.float32)
        )
        size = panel.instruments * observation_width(width)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        tastes = Tastes(
            *(jnp.float32(value) for value in (leverage, turnover_penalty, drawdown_penalty))
        )
        norm = Scale(jnp.asarray(mean), jnp.asarray(1 / scale), jnp.float32(volatility))

        def begin(row: jax.Array) -> tuple[Any, Any, jax.Array]:
            bar = read_bar(row)
            account = open_account(bar.quote)
            return account, new_memory(norm), observe(account, bar, norm, tastes.leverage)

        def move(
            account: Any, memory: Any, row: jax.Array, following: jax.Array, level: jax.Array
        ) -> tuple[Any, Any, jax.Array, jax.Array]:
            bar, after = read_bar(row), read_bar(following)
            wanted = target(level, bar, tastes.leverage)
            moved, settled = settle(account, wanted, after.quote, terms)
            earned, memory = reward(rules, tastes, norm, account, moved, settled, memory)
            return moved, memory, jnp.sum(earned), observe(moved, after, norm, tastes.leverage)

        self._begin, self._move = jax.jit(begin), jax.jit(move)
        self._at, self._end = -1, -1
        self._account: Any = None
        self._memory: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32Array, dict[str, Any]]:
        """Begin an episode with cash, at a drawn bar or at `options["start"]`."""
        super().reset(seed=seed)
        start = (options or {}).get("start")
        if start is None:
            start = int(self.np_random.integers(self._first, self._last + 1))
        if not self._first <= start <= self._last:
            raise TrainingError(
                f"start: must lie in [{self._first}, {self._last}], got {start}",
                "Leave room for the episode behind it",
            )
        self._at, self._end = start, start + self._bars
        self._account, self._memory, seen = self._begin(self._table[start])
        return self._flat(seen), self._info()

    def step(
        self, action: npt.NDArray[Any]
    ) -> tuple[Float32Array, float, bool, bool, dict[str, Any]]:
        """Hold the levels of `action` from the next fill on, and go to the next close.

        Raises
        ------
        TrainingError
            The episode has not begun or is over, or the action is not in the action space.
        """
        if not self._at < self._end:
            raise TrainingError("step: no episode is under way", "Call reset first")
        if not self.action_space.contains(action):
            raise TrainingError(
                f"action: must be in {self.action_space}, got {action!r}",
                "Give one level an instrument, in the space's shape and dtype",
            )
        level = np.asarray(self.levels, np.float32)[action] if self.levels else action
        self._account, self._memory, earned, seen = self._move(
            self._account,
            self._memory,
            self._table[self._at],
            self._table[self._at + 1],
            jnp.asarray(level, jnp.float32),
        )
        self._at += 1
        closed = bool(self._account.closed)
        truncated = not closed and self._at == self._end
        if closed:
            self._end = self._at
        return self._flat(seen), float(earned) * self._unit, closed, truncated, self._info()

    def _flat(self, seen: jax.Array) -> Float32Array:
        return np.asarray(seen, np.float32).reshape(-1)

    def _info(self) -> dict[str, Any]:
        """Bar, equity per initial cash, and where nothing is decided."""
        defined = np.asarray(read_bar(self._table[self._at]).defined)
        return {
            "bar": self._at,
            "equity": float(self._account.equity),
            "undecided": tuple(
                symbol for symbol, known in zip(self._symbols, defined, strict=True) if not known
            ),
        }
