"""Cohorts of policies: bits, stretches, failures, and what they decide."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.policy import Policies
from windtunnel.config import parse_study
from windtunnel.config.rl import RL_SEARCHABLE, RLSection
from windtunnel.config.study import ModelSection
from windtunnel.data.panel import Panel
from windtunnel.errors import SplitError, StudyFileError, TrainingError
from windtunnel.protocols import TrainingTask
from windtunnel.trainers.own import own_trainer
from windtunnel.trainers.rl.account import Terms
from windtunnel.trainers.rl.stage import make_stage
from windtunnel.trainers.rl_trainer import RLTrainer

BARS, INSTRUMENTS, COHORT = 160, 2, 5
RL = RLSection(
    environments=8, rollout_bars=6, episode_rollouts=2, updates=6, epochs=2, minibatches=2,
    memory=3,
)  # fmt: skip
COSTS, EXECUTION = Costs(1e-3, 5e-4, 0.05, 0.1), Execution("next_open", 1000.0, 0.1)
TERMS = Terms.of(COSTS, EXECUTION, band=0.01, periods_per_year=252.0)
MODEL = ModelSection(hidden=(4,))


def make_task() -> TrainingTask:
    rng = np.random.default_rng(4)
    close = 30 * np.exp(np.cumsum(rng.normal(0, 0.02, (BARS, INSTRUMENTS)), axis=0))
    open_ = close * np.exp(rng.normal(0, 0.004, close.shape))
    missing = rng.random(close.shape) < 0.05
    close[missing] = open_[missing] = np.nan
    panel = Panel(
        timestamps=np.arange(BARS).astype("datetime64[D]").astype("datetime64[us]"),
        symbols=("A", "B"),
        open=open_,
        high=np.fmax(open_, close),
        low=np.fmin(open_, close),
        close=close,
        volume=np.where(missing, np.nan, 1.0),
        tradable=~missing,
        fingerprint="0" * 64,
    )
    features = rng.normal(size=(BARS, INSTRUMENTS, 3)).astype(np.float32)
    features[missing] = np.nan
    features[130, 0, 1] = np.nan
    train = np.zeros((2, BARS, INSTRUMENTS), bool)
    train[0, :80] = train[1, :110] = True
    return TrainingTask(
        features=features,
        labels=np.zeros((BARS, INSTRUMENTS), np.float32),
        train=train & np.isfinite(features).all(axis=2),
        validation=((85, 120), (120, 155)),
        kind="forward_return",
        panel=panel,
    )


def make_trainer(task=None, **changed) -> RLTrainer:
    rl = RLSection.model_validate({**RL.model_dump(), **changed})
    stage = make_stage(MODEL, rl, TERMS, long_only=False)
    return RLTrainer(task or make_task(), stage, rl, seeds=2, seed=9)


def make_hyper(count: int) -> dict[str, np.ndarray]:
    hyper = {name: np.full(count, getattr(RL, name)) for name in RL_SEARCHABLE}
    hyper["learning_rate"] = np.geomspace(1e-3, 3e-2, count)
    hyper["leverage"] = np.linspace(0.5, 2.0, count)
    return hyper


def take(hyper, lanes):
    return {name: values[lanes] for name, values in hyper.items()}


@pytest.fixture(scope="module")
def trainer():
    return make_trainer()


@pytest.fixture(scope="module")
def whole(trainer):
    return trainer.fit(make_hyper(COHORT), keep_models=True)


def test_a_configuration_is_the_same_alone_and_in_any_company(trainer, whole, equal) -> None:
    hyper = make_hyper(COHORT)
    for lanes in ([3], [4, 0], [2, 2, 1]):
        fit = trainer.fit(take(hyper, lanes), keep_models=True)
        for place, lane in enumerate(lanes):
            assert equal(fit.scores[:, :, place], whole.scores[:, :, lane])
            assert equal(fit.models[place].network, whole.models[lane].network)
            assert equal(fit.loss[place], whole.loss[lane])
    assert not equal(whole.scores[:, :, 0], whole.scores[:, :, 4])


def test_stretches_and_survivors_change_nothing(trainer, whole, equal) -> None:
    progress, _ = trainer.advance(trainer.start(make_hyper(COHORT)), 2)
    progress, fit = trainer.advance(progress.pick([4, 1]), 5)
    progress, fit = trainer.advance(progress, trainer.steps)
    assert progress.step == trainer.steps
    for place, lane in enumerate((4, 1)):
        assert equal(fit.scores[:, :, place], whole.scores[:, :, lane])
    with pytest.raises(TrainingError, match="step"):
        trainer.advance(progress, trainer.steps)


def test_it_decides_where_it_can(whole) -> None:
    task = make_task()
    defined = np.isfinite(task.features).all(axis=2)[85:155]
    assert not defined.all()
    for lane in range(COHORT):
        np.testing.assert_array_equal(np.isfinite(whole.scores[:, :, lane]), defined)
    assert np.nanmax(np.abs(whole.scores)) <= 1
    assert whole.failures == {}


def test_a_policy_by_seed_is_not_the_ensemble(trainer, whole) -> None:
    hyper = take(make_hyper(COHORT), [2])
    alone = trainer.by_seed(hyper)
    assert alone.shape == (70, INSTRUMENTS, 1, 2)
    assert set(np.unique(alone[np.isfinite(alone)])) <= {-1.0, 0.0, 1.0}
    together = whole.scores[:, :, 2]
    assert set(np.unique(together[np.isfinite(together)])) <= {-1.0, -0.5, 0.0, 0.5, 1.0}


def test_a_lane_that_explodes_fails_and_its_neighbours_do_not_notice(trainer, whole, equal) -> None:
    hyper = make_hyper(COHORT)
    hyper["learning_rate"][2] = 1e30
    fit = trainer.fit(hyper)
    assert list(fit.failures) == [2]
    assert "trial lane 2, fold 0, seed 0" in fit.failures[2]
    assert "non-finite" in fit.failures[2]
    assert np.isnan(fit.scores[:, :, 2]).all()
    for lane in (0, 1, 3, 4):
        assert equal(fit.scores[:, :, lane], whole.scores[:, :, lane])


def test_the_engine_trades_its_levels(whole) -> None:
    panel = make_task().panel
    part = replace(
        panel,
        **{
            name: np.ascontiguousarray(getattr(panel, name)[85:155])
            for name in ("timestamps", "open", "high", "low", "close", "volume", "tradable")
        },
    )
    result = run_policy(
        part,
        whole.scores,
        Policies(
            column=np.arange(COHORT),
            enter=np.zeros(COHORT),
            exit=np.zeros(COHORT),
            leverage=make_hyper(COHORT)["leverage"],
            band=np.full(COHORT, 0.01),
            long_only=False,
            proportional=True,
        ),
        costs=COSTS,
        execution=EXECUTION,
        periods_per_year=252.0,
    )
    assert (result.fills > 0).all()
    assert len(np.unique(result.final_equity)) == COHORT


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("discount", 1.0, r"hyper\['discount'\]\[1\]: must be in \[0, 1\)"),
        ("clip", 0.0, r"clip"),
        ("leverage", -1.0, "leverage"),
        ("entropy", np.nan, "entropy"),
    ],
)
def test_bad_hyperparameters_name_their_place(trainer, name, value, says) -> None:
    hyper = make_hyper(2)
    hyper[name][1] = value
    with pytest.raises(TrainingError, match=says):
        trainer.fit(hyper)


def test_bad_tasks_are_refused() -> None:
    task = make_task()
    with pytest.raises(TrainingError, match="panel: a policy that learns by trading"):
        make_trainer(replace(task, panel=None))
    with pytest.raises(SplitError, match="an episode takes 96"):
        make_trainer(task, episode_rollouts=16)
    with pytest.raises(SplitError, match="an episode takes 96"):
        make_trainer(task, algorithm="evolution", rollout_bars=96)
    flat = replace(task.panel, close=np.where(np.isnan(task.panel.close), np.nan, 5.0))
    with pytest.raises(TrainingError, match="do not move"):
        make_trainer(replace(task, panel=flat))
    infinite = task.features.copy()
    infinite[60, 1, 2] = np.inf
    with pytest.raises(TrainingError, match=r"features\[60, 1, 2\]: must be finite or NaN"):
        make_trainer(replace(task, features=infinite))
    with pytest.raises(StudyFileError, match=r"model\.family"):
        make_stage(ModelSection(family="tcn"), RL, TERMS, long_only=False)


def test_rollouts_an_episode_mean_nothing_to_evolution() -> None:
    """Its candidates begin anew at every update: it needs a history of one rollout."""
    fields = {"rollout_bars": 8, "episode_rollouts": 16}
    assert RLSection(**fields).episode_bars == 128
    assert RLSection(algorithm="evolution", **fields).episode_bars == 8
    make_trainer(algorithm="evolution", **fields)


def test_the_study_says_where_and_within_what_a_policy_is_trained() -> None:
    raw = {
        "study": {"name": "policy"},
        "data": {"source": "frame"},
        "training": {"trainer": "rl", "memory_budget_mib": 2048, "device": "cpu"},
        "rl": {"environments": 4, "rollout_bars": 6, "episode_rollouts": 2},
        "search": {"rl.discount": {"low": 0.9, "high": 0.99}},
    }
    assert own_trainer(make_task(), parse_study(raw), 0).plan.budget == 2048 * 2**20
    raw["training"]["memory_budget_mib"] = 256
    with pytest.raises(TrainingError, match="256 MiB do not hold"):
        own_trainer(make_task(), parse_study(raw), 0)
    raw["training"] = {"trainer": "rl", "device": "cuda"}
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("this machine has the device")
    with pytest.raises(TrainingError, match=r"training\.device: JAX has no 'cuda'"):
        own_trainer(make_task(), parse_study(raw), 0)
