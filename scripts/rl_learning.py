"""Does it learn? Policies on planted worlds against the best there is, over several seeds.

Each world is a small Markov chain whose state the policy sees as features. The best policy over
(state of the world, position held) is found by dynamic programming and trades the same unseen
bars through the same engine, costs included. `python scripts/rl_learning.py` prints the table
that docs/reinforcement_learning.md keeps.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.policy import Policies
from windtunnel.config.rl import RL_SEARCHABLE, RLSection
from windtunnel.config.study import ModelSection
from windtunnel.data.panel import Panel
from windtunnel.protocols import TrainingTask
from windtunnel.trainers import devices

devices.configure_cpu()

from windtunnel.trainers.rl.account import Terms  # noqa: E402 - JAX is set up above
from windtunnel.trainers.rl.stage import make_stage  # noqa: E402 - the same
from windtunnel.trainers.rl_trainer import RLTrainer  # noqa: E402 - the same

LEVELS = (-1.0, 0.0, 1.0)
YEAR = 252.0
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Chain:
    """A world: states that follow one another, and what a position earns in each.

    moves (M, M) are the probabilities of the next state, gains (M, M) the return of the price
    from one state to the next, seen (M, F) the features of a state, noise the deviation of
    what is added to every return and cannot be seen, cost the price of a trade as a fraction.
    """

    name: str
    moves: Array
    gains: Array
    seen: Array
    noise: float
    cost: float

    def best(self) -> npt.NDArray[np.int64]:
        """The level (index) to take in each state and position, by value iteration.

        Maximises the discounted sum of returns less costs, at a discount so near 1 that the
        policy is the one of the largest average.
        """
        levels = np.array(LEVELS)
        earned = (self.moves * self.gains).sum(axis=1)  # (M,) expected return of being long
        paid = self.cost * np.abs(levels[:, None] - levels[None, :])  # from, to
        worth = np.zeros((len(self.moves), len(levels)))
        for _ in range(3000):
            ahead = self.moves @ worth  # (M, to)
            options = (earned[:, None] * levels + 0.995 * ahead)[:, None, :] - paid[None]
            worth = options.max(axis=2)
        return np.asarray(options.argmax(axis=2))

    def draw(self, bars: int, seed: int) -> tuple[npt.NDArray[np.int64], Panel]:
        """States (T,) and prices; a decision at a close fills at that price."""
        rng = np.random.default_rng(seed)
        state = np.zeros(bars, np.int64)
        edges = self.moves.cumsum(axis=1)
        for t in range(1, bars):
            state[t] = np.searchsorted(edges[state[t - 1]], rng.random() * edges[0, -1])
        moved = np.zeros(bars)
        moved[1:] = self.gains[state[:-1], state[1:]] + rng.normal(0, self.noise, bars - 1)
        close = (100 * np.cumprod(1 + moved))[:, None]
        open_ = np.vstack([close[:1], close[:-1]])
        return state, Panel(
            timestamps=np.arange(bars).astype("datetime64[D]").astype("datetime64[us]"),
            symbols=("WORLD",),
            open=open_,
            high=np.maximum(open_, close),
            low=np.minimum(open_, close),
            close=close,
            volume=np.ones_like(close),
            tradable=np.ones(close.shape, bool),
            fingerprint="0" * 64,
        )


def oracle_feature() -> Chain:
    """The feature is the next return, but a trade costs as much as the smaller returns earn."""
    returns = np.array([-0.01, -0.002, 0.002, 0.01])
    moves = np.full((4, 4), 0.25)
    return Chain("oracle feature", moves, np.repeat(returns[:, None], 4, 1), returns[:, None] * 100,
                 0.002, 0.001)  # fmt: skip


def mean_reverting() -> Chain:
    """The log price is drawn back to its mean; the feature is how far away it is."""
    grid = np.linspace(-0.06, 0.06, 25)
    weight = np.exp(-0.5 * ((grid[None] - 0.85 * grid[:, None]) / 0.01) ** 2)
    moves = weight / weight.sum(axis=1, keepdims=True)
    gains = np.expm1(grid[None] - grid[:, None])
    return Chain("mean reversion", moves, gains, grid[:, None] * 50, 0.0, 0.0015)


def trend_with_costs() -> Chain:
    """Drifts that last; the weak ones are not worth a trade, but worth holding on to."""
    drift = np.array([-0.004, -0.0006, 0.0006, 0.004])
    moves = np.array(
        [[0.85, 0.13, 0.01, 0.01], [0.08, 0.80, 0.11, 0.01],
         [0.01, 0.11, 0.80, 0.08], [0.01, 0.01, 0.13, 0.85]]
    )  # fmt: skip
    return Chain("trend with costs", moves, np.repeat(drift[:, None], 4, 1), drift[:, None] * 300,
                 0.006, 0.004)  # fmt: skip


def noise() -> Chain:
    """Nothing to be known, and trading costs: the best is not to trade."""
    states = np.linspace(-1, 1, 5)
    return Chain(
        "noise", np.full((5, 5), 0.2), np.zeros((5, 5)), states[:, None] * 1.5, 0.01, 0.002
    )


WORLDS = (oracle_feature, mean_reverting, trend_with_costs, noise)


@dataclass(frozen=True)
class Outcome:
    """What one trained policy did on the unseen bars: log growth a year and turnover a bar."""

    growth: float
    turnover: float
    best_growth: float

    @property
    def share(self) -> float:
        """Of the best policy's growth."""
        return self.growth / self.best_growth if self.best_growth > 0 else float("nan")


def default_settings(**changed: object) -> RLSection:
    """What the table is made with: the defaults of a study file, but for what is changed."""
    return RLSection.model_validate(changed)


def learn(
    chain: Chain, rl: RLSection, seeds: int, *, bars: int = 6000, hidden: tuple[int, ...] = (16, 16)
) -> list[Outcome]:
    """Train one policy a seed on the first two thirds of a history, and trade the rest."""
    state, panel = chain.draw(bars, seed=11)
    features = chain.seen[state][:, None, :].astype(np.float32)
    split = bars * 2 // 3
    train = np.zeros((1, bars, 1), bool)
    train[0, : split - 5] = True
    task = TrainingTask(
        features=features,
        labels=np.zeros((bars, 1), np.float32),
        train=train,
        validation=((split, bars),),
        kind="forward_return",
        panel=panel,
    )
    costs = Costs(chain.cost, 0.0, 0.0, 0.0)
    execution = Execution("next_open", 1.0)
    terms = Terms.of(costs, execution, band=0.05, periods_per_year=YEAR)
    stage = make_stage(ModelSection(hidden=hidden), rl, terms, long_only=False)
    trainer = RLTrainer(task, stage, rl, seeds=seeds, seed=3)
    point = {name: np.array([getattr(rl, name)]) for name in RL_SEARCHABLE}
    levels = trainer.by_seed(point | {"leverage": np.array([1.0])})[:, :, 0]
    best = chain.best()
    held, ideal = 1, []
    for at in state[split:]:
        held = int(best[at, held])
        ideal.append(LEVELS[held])
    columns = np.concatenate(
        [levels, np.array(ideal, np.float32)[:, None, None]], axis=2, dtype=np.float32
    )
    count = columns.shape[2]
    part = Panel(
        timestamps=panel.timestamps[split:],
        symbols=panel.symbols,
        open=np.ascontiguousarray(panel.open[split:]),
        high=panel.high[split:],
        low=panel.low[split:],
        close=np.ascontiguousarray(panel.close[split:]),
        volume=panel.volume[split:],
        tradable=np.ascontiguousarray(panel.tradable[split:]),
        fingerprint=panel.fingerprint,
    )
    result = run_policy(
        part,
        np.ascontiguousarray(columns),
        Policies(
            column=np.arange(count),
            enter=np.zeros(count),
            exit=np.zeros(count),
            leverage=np.ones(count),
            band=np.full(count, 0.05),
            long_only=False,
            proportional=True,
        ),
        costs=costs,
        execution=execution,
        periods_per_year=YEAR,
    )
    growth = np.log(np.maximum(result.final_equity, 1e-12)) * YEAR / (bars - split)
    turnover = result.turnover / (bars - split)
    return [
        Outcome(float(growth[s]), float(turnover[s]), float(growth[-1])) for s in range(count - 1)
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--world", default="", help="worlds with this in their name")
    parser.add_argument("--method", default="", help="methods with this in their name")
    given = parser.parse_args()
    print(
        "| world | method | best growth a year | share of it: median (lowest, highest) | "
        "turnover a bar |"
    )
    print("|---|---|---|---|---|")
    methods = {
        "PPO": default_settings(),
        "PPO, continuous": default_settings(actions="continuous"),
        "PPO, recurrent": default_settings(memory=16),
        "evolution": default_settings(algorithm="evolution", learning_rate=0.05, noise=0.2),
    }
    for make in WORLDS:
        chain = make()
        if given.world not in chain.name:
            continue
        for method, rl in methods.items():
            if given.method not in method:
                continue
            began = time.perf_counter()
            outcomes = learn(chain, rl, given.seeds)
            growth = np.array([one.growth for one in outcomes])
            share = np.array([one.share for one in outcomes])
            turnover = np.array([one.turnover for one in outcomes])
            shown = (
                f"{np.median(share):.2f} ({share.min():.2f}, {share.max():.2f})"
                if outcomes[0].best_growth > 0
                else f"growth {np.median(growth):+.3f} ({growth.min():+.3f}, {growth.max():+.3f})"
            )
            print(
                f"| {chain.name} | {method} | {outcomes[0].best_growth:.2f} | {shown} | "
                f"{np.median(turnover):.3f} |",
                flush=True,
            )
            print(f"{time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
