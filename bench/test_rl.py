"""Environment steps a second while training PPO, against stable-baselines3.

Both train on one instrument with the engine's fills and costs, with equal observations,
networks, rollouts, minibatches and passes. The rival gets a market vectorised in NumPy, which is
quicker than any environment that is stepped one by one; its equity is held to the engine's first,
its observations and rewards to ours. Ours is a cohort of configurations in one program, and its
steps are summed; what is compiled once is compiled before the clock starts. Rounds alternate.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution
from windtunnel.config.rl import RL_SEARCHABLE, RLSection
from windtunnel.config.study import ModelSection
from windtunnel.data.panel import Panel
from windtunnel.protocols import TrainingTask
from windtunnel.trainers import devices

devices.configure_cpu()

from windtunnel.trainers.rl.account import Terms  # noqa: E402 - JAX is set up above
from windtunnel.trainers.rl.gym_adapter import TradingEnv  # noqa: E402 - the same
from windtunnel.trainers.rl.stage import make_stage  # noqa: E402 - the same
from windtunnel.trainers.rl_trainer import RLTrainer  # noqa: E402 - the same

sb3 = pytest.importorskip("stable_baselines3")

BARS, FEATURES, HIDDEN, ROLLOUT, EPOCHS, PARTS, ROUNDS = 4000, 12, (32, 32), 64, 4, 4, 2
FEE, BAND = 3e-4, 0.02
COSTS, EXECUTION = Costs(FEE, 0, 0, 0), Execution("next_open", 1)
LEVELS = np.array([-1.0, 0.0, 1.0], np.float32)


def make_market() -> tuple[Panel, np.ndarray]:
    rng = np.random.default_rng(3)
    moves = rng.normal(0, 0.01, (BARS, 1))
    close = 100 * np.cumprod(1 + moves, axis=0)
    open_ = close * np.exp(rng.normal(0, 0.001, close.shape))
    features = rng.normal(size=(BARS, 1, FEATURES)).astype(np.float32)
    features[:-1, 0, 0] += (moves[1:, 0] * 100).astype(np.float32)
    panel = Panel(
        timestamps=np.arange(BARS).astype("datetime64[D]").astype("datetime64[us]"),
        symbols=("A",),
        open=open_,
        high=np.maximum(open_, close),
        low=np.minimum(open_, close),
        close=close,
        volume=np.ones_like(close),
        tradable=np.ones(close.shape, bool),
        fingerprint="0" * 64,
    )
    return panel, features


class NumpyMarket(sb3.common.vec_env.VecEnv):
    """E accounts on one instrument, stepped together; scales are those of the trainer."""

    def __init__(self, panel: Panel, trainer: RLTrainer, count: int, episode: int) -> None:
        import gymnasium

        self.open, self.close_ = panel.open[:, 0], panel.close[:, 0]
        self.features = (trainer.task.features[:, 0] - trainer.mean[0]) / trainer.scale[0]
        self.unit, self.episode = float(trainer.volatility[0]), episode
        self.rng = np.random.default_rng(1)
        super().__init__(
            count,
            gymnasium.spaces.Box(-np.inf, np.inf, (FEATURES + 3,), np.float32),
            gymnasium.spaces.Discrete(3),
        )
        self.begin(np.ones(count, bool))

    def begin(self, which: np.ndarray) -> None:
        if not hasattr(self, "at"):
            self.at = np.zeros(self.num_envs, int)
            self.cash, self.units = np.ones(self.num_envs), np.zeros(self.num_envs)
            self.entry, self.held = np.ones(self.num_envs), np.zeros(self.num_envs)
            self.age = np.zeros(self.num_envs, int)
        self.at[which] = self.rng.integers(0, BARS - self.episode - 1, which.sum())
        self.cash[which], self.units[which], self.age[which] = 1.0, 0.0, 0
        self.entry[which], self.held[which] = 1.0, 0.0

    def observe(self) -> np.ndarray:
        mark = self.close_[self.at]
        exposure = self.units * mark / (self.cash + self.units * mark)
        side = np.sign(self.units)
        gained = side * (mark / self.entry - 1) / (self.unit * 20**0.5)
        waited = (side != 0) * (self.held + 1) / (self.held + 21)
        return np.column_stack([self.features[self.at], exposure, gained, waited]).astype(
            np.float32
        )

    def reset(self) -> np.ndarray:
        self.begin(np.ones(self.num_envs, bool))
        return self.observe()

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        before = self.cash + self.units * self.close_[self.at]
        self.at += 1
        self.age += 1
        price = self.open[self.at]
        worth = self.cash + self.units * price
        wanted = LEVELS[self.actions] * worth
        off = np.abs(wanted - self.units * price)
        go = ((wanted == 0) & (self.units != 0)) | (off > BAND * worth)
        change = np.where(go, wanted / price - self.units, 0.0)
        self.cash -= change * price + np.abs(change) * price * FEE
        after = self.units + change
        opens = (after != 0) & (np.sign(after) != np.sign(self.units))
        self.entry = np.where(opens, price, self.entry)
        self.held = np.where(opens, 0.0, self.held + 1)
        self.units = after
        self.equity = self.cash + self.units * self.close_[self.at]
        rewards = ((self.equity / before - 1) / self.unit).astype(np.float32)
        done = self.age >= self.episode
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            last = self.observe()
            for number in np.flatnonzero(done):
                infos[number] = {"terminal_observation": last[number], "TimeLimit.truncated": True}
            self.begin(done)
        return self.observe(), rewards, done, infos

    # What the rival's base class asks for, and no training calls.
    def close(self) -> None: ...

    def get_attr(self, name: str, indices: Any = None) -> list[Any]:  # noqa: ARG002
        return [None] * self.num_envs

    def set_attr(self, name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, name: str, *args: Any, **kwargs: Any) -> list[Any]:  # noqa: ARG002
        return [None] * self.num_envs

    def env_is_wrapped(self, wrapper: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002
        return [False] * self.num_envs


def check_rival(panel: Panel, trainer: RLTrainer) -> None:
    """The rival's market makes the engine's equity, and shows and pays what ours does."""
    market = NumpyMarket(panel, trainer, 1, BARS - 2)
    market.at[:] = 0
    own = TradingEnv(
        panel, trainer.task.features, COSTS, EXECUTION, levels=tuple(LEVELS), band=BAND,
        mean=trainer.mean[0], scale=trainer.scale[0], volatility=float(trainer.volatility[0]),
        episode_bars=600,
    )  # fmt: skip
    seen, _ = own.reset(options={"start": 0})
    np.testing.assert_allclose(market.observe()[0], seen, atol=1e-4)
    actions = np.random.default_rng(5).integers(0, 3, 500)
    found = []
    for action in actions:
        market.step_async(np.array([action]))
        shown, paid, _, _ = market.step_wait()
        seen, earned, *_ = own.step(np.array([action]))
        np.testing.assert_allclose(shown[0], seen, atol=1e-3)
        np.testing.assert_allclose(paid[0] * market.unit, earned, atol=1e-5)
        found.append(market.equity[0])
    exposures = np.full((BARS, 1, 1), np.nan, np.float32)
    exposures[:500, 0, 0] = LEVELS[actions]
    result = run_exposures(
        panel, exposures, band=BAND, costs=COSTS, execution=EXECUTION, periods_per_year=252
    )
    np.testing.assert_allclose(found, result.equity[1:501, 0], rtol=1e-9)


def make_trainer(panel: Panel, features: np.ndarray, environments: int, updates: int) -> RLTrainer:
    rl = RLSection(
        environments=environments, rollout_bars=ROLLOUT, episode_rollouts=4, updates=updates,
        epochs=EPOCHS, minibatches=PARTS,
    )  # fmt: skip
    train = np.ones((1, BARS, 1), bool)
    train[0, -60:] = False
    task = TrainingTask(
        features, np.zeros((BARS, 1), np.float32), train, ((BARS - 50, BARS - 10),),
        "forward_return", panel=panel,
    )  # fmt: skip
    terms = Terms.of(COSTS, EXECUTION, band=BAND, periods_per_year=252)
    stage = make_stage(ModelSection(hidden=HIDDEN), rl, terms, long_only=False)
    return RLTrainer(task, stage, rl, seeds=1, seed=1)


def make_hyper(rl: RLSection, count: int) -> dict[str, np.ndarray]:
    hyper = {name: np.full(count, getattr(rl, name)) for name in RL_SEARCHABLE}
    return hyper | {"leverage": np.ones(count)}


@pytest.mark.parametrize(("environments", "wanted"), [(8, 25.0), (64, 10.0)])
def test_steps_a_second(benchmark, environments, wanted) -> None:
    panel, features = make_market()
    size = environments * ROLLOUT
    updates = max(4, 40_000 // size)
    trainer = make_trainer(panel, features, environments, updates)
    check_rival(panel, trainer)
    import torch

    torch.set_num_threads(devices.cores())
    batch = environments * ROLLOUT // PARTS
    rival = sb3.PPO(
        "MlpPolicy", NumpyMarket(panel, trainer, environments, 4 * ROLLOUT), n_steps=ROLLOUT,
        batch_size=batch, n_epochs=EPOCHS, device="cpu", verbose=0,
        policy_kwargs={
            "net_arch": {"pi": list(HIDDEN), "vf": list(HIDDEN)}, "activation_fn": torch.nn.ReLU,
        },
    )  # fmt: skip
    weights = sum(parameter.numel() for parameter in rival.policy.parameters())
    assert weights == sum(
        leaf[0].size
        for leaf in jax.tree.leaves(
            trainer.fit(make_hyper(trainer.rl, 1), keep_models=True).models[0].network["policy"]
        )
    )
    rival.learn(2 * size)
    cohorts = (1, 2, 4, 8, 16)
    ours: dict[int, list[float]] = {count: [] for count in cohorts}
    fit = trainer.fit(make_hyper(trainer.rl, max(cohorts)))  # compiles for the largest
    assert not fit.failures
    theirs = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        rival.learn(max(4, 20_000 // size) * size)
        theirs.append(max(4, 20_000 // size) * size / (time.perf_counter() - began))
        for count in cohorts:
            began = time.perf_counter()
            assert not trainer.fit(make_hyper(trainer.rl, count)).failures
            ours[count].append(count * updates * size / (time.perf_counter() - began))
    benchmark.pedantic(lambda: trainer.fit(make_hyper(trainer.rl, 8)), rounds=1)
    best = {count: max(rates) for count, rates in ours.items()}
    ratio = best[8] / max(theirs)
    benchmark.extra_info |= {
        "stable-baselines3 steps/s": max(theirs), "ratio with 8 configurations": ratio,
        "wanted": wanted,
        **{f"steps/s with {count}": rate for count, rate in best.items()},
        "compile_seconds": [seconds for _, _, seconds in trainer.compilations],
    }  # fmt: skip
    print(
        f"\n{environments} environments: stable-baselines3 {max(theirs):,.0f} steps/s; ours "
        + ", ".join(f"{count} configurations {rate:,.0f}" for count, rate in best.items())
        + f"; {ratio:.1f} x (target {wanted:g})"
    )
