"""The Gymnasium environment keeps Gymnasium's contract and the engine's equity."""

from __future__ import annotations

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from windtunnel.backtest.costs import Costs  # noqa: E402
from windtunnel.backtest.engine import run_exposures  # noqa: E402
from windtunnel.backtest.execution import Execution  # noqa: E402
from windtunnel.data.panel import Panel  # noqa: E402
from windtunnel.errors import SplitError, TrainingError  # noqa: E402
from windtunnel.trainers.rl.gym_adapter import TradingEnv  # noqa: E402

COSTS, EXECUTION = Costs(1e-3, 5e-4, 0.05, 0.1), Execution("next_open", 1000.0, 0.1)


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(4)
    close = 30 * np.exp(np.cumsum(rng.normal(0, 0.02, (90, 2)), axis=0))
    open_ = close * np.exp(rng.normal(0, 0.004, close.shape))
    close[40, 1] = open_[40, 1] = np.nan
    return Panel(
        timestamps=np.arange(90).astype("datetime64[D]").astype("datetime64[us]"),
        symbols=("A", "B"),
        open=open_,
        high=np.fmax(open_, close),
        low=np.fmin(open_, close),
        close=close,
        volume=np.where(np.isnan(close), np.nan, 1.0),
        tradable=~np.isnan(close),
        fingerprint="0" * 64,
    )


def make_env(panel, **changed) -> TradingEnv:
    features = np.random.default_rng(1).normal(size=(90, 2, 3)).astype(np.float32)
    features[:5] = np.nan
    return TradingEnv(panel, features, COSTS, EXECUTION, **{"episode_bars": 60, **changed})


@pytest.mark.filterwarnings("ignore:.*Box observation space.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*render.*:UserWarning")
@pytest.mark.parametrize("levels", [None, (-1.0, 0.0, 1.0)])
def test_gymnasium_accepts_it(panel, levels) -> None:
    check_env(make_env(panel, levels=levels), skip_render_check=True)


def test_its_equity_and_rewards_are_the_engines(panel) -> None:
    env = make_env(panel, leverage=1.5)
    env.action_space.seed(3)
    seen, info = env.reset(options={"start": 7})
    assert seen.shape == (2 * 6,)
    exposures = np.full((90, 2, 1), np.nan, np.float32)
    equity, growth, done = [info["equity"]], 1.0, False
    while not done:
        action = env.action_space.sample()
        defined = [symbol not in info["undecided"] for symbol in panel.symbols]
        count = (~np.isnan(panel.close[info["bar"]])).sum()
        wanted = action * np.float32(1.5) * np.float32(1 / count)
        exposures[info["bar"], :, 0] = np.where(defined, wanted, np.nan)
        _, reward, terminated, truncated, info = env.step(action)
        growth *= 1 + reward
        equity.append(info["equity"])
        done = terminated or truncated
    assert truncated
    assert len(equity) == 61
    result = run_exposures(
        panel, exposures, band=0.02, costs=COSTS, execution=EXECUTION, periods_per_year=252.0
    )
    np.testing.assert_allclose(equity, result.equity[7:68, 0] / 1000.0, rtol=1e-5)
    assert growth == pytest.approx(equity[-1], rel=1e-4)


def test_ruin_ends_an_episode(panel) -> None:
    env = make_env(panel, leverage=40.0, levels=(-1.0, 1.0))
    env.reset(options={"start": 5})
    for _ in range(60):
        _, _, terminated, truncated, _ = env.step(np.array([1, 1]))
        if terminated:
            break
    assert terminated
    assert not truncated
    with pytest.raises(TrainingError, match="no episode"):
        env.step(np.array([1, 1]))


def test_misuse_is_refused(panel) -> None:
    env = make_env(panel)
    with pytest.raises(TrainingError, match="no episode is under way"):
        env.step(np.zeros(2, np.float32))
    env.reset(seed=1)
    for wrong in (np.array([2.0, 0.0], np.float32), np.zeros(3, np.float32), np.full(2, np.nan)):
        with pytest.raises(TrainingError, match="action: must be in"):
            env.step(wrong)
    with pytest.raises(TrainingError, match=r"start: must lie in \[5, 29\]"):
        env.reset(options={"start": 30})
    with pytest.raises(SplitError, match="episode_bars"):
        make_env(panel, episode_bars=85)
    with pytest.raises(TrainingError, match="features: must be"):
        TradingEnv(panel, np.zeros((3, 2, 1), np.float32), COSTS, EXECUTION)
    with pytest.raises(TrainingError, match=r"features\[0, 0, 0\]: must be finite"):
        TradingEnv(panel, np.full((90, 2, 1), np.inf, np.float32), COSTS, EXECUTION)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules_reward": "retrun"}, "rules_reward: must be one of .* got 'retrun'"),
        ({"volatility": 0.0}, "volatility: must be above 0"),
        ({"leverage": 0.0}, "leverage: must be above 0"),
        ({"leverage": np.nan}, "leverage: must be above 0"),
        ({"band": -1.0}, "band: must not be below 0"),
        ({"turnover_penalty": -1.0}, "turnover_penalty: must not be below 0"),
        ({"drawdown_penalty": np.inf}, "drawdown_penalty: must not be below 0, and finite"),
        ({"episode_bars": 0}, "episode_bars: must be at least 1"),
        ({"levels": (-3.0, 5.0)}, r"levels: .*in \[-1, 1\]"),
        ({"levels": (-1.0, 1.0), "long_only": True}, r"levels: .*in \[0, 1\]"),
        ({"levels": (1.0, 0.0)}, "levels: .*ascending"),
        ({"levels": ()}, "levels: must be two or more"),
        ({"scale": np.array([1, 0, 1])}, "scale: must be above 0, got 0"),
        ({"mean": np.zeros(2)}, "mean: must be 3 finite numbers"),
        ({"mean": np.array([0, np.nan, 0])}, "mean: .* with NaN or infinity"),
    ],
)
def test_arguments_out_of_range_are_named(panel, change, message) -> None:
    with pytest.raises(TrainingError, match=message):
        make_env(panel, **change)


def test_a_sharpe_reward_has_no_unit(panel) -> None:
    """The first bar's, by Moody and Saffell with moments 0 and v^2, is the return over v."""
    for volatility in (0.01, 0.02):
        rewards = {}
        for kind in ("return", "differential_sharpe"):
            env = make_env(panel, rules_reward=kind, volatility=volatility)
            env.reset(options={"start": 7})
            rewards[kind] = env.step(np.ones(2, np.float32))[1]
        assert rewards["differential_sharpe"] == pytest.approx(
            rewards["return"] / volatility, rel=1e-4
        )
