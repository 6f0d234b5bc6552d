"""Samplers that remember what Optuna's look up draw what Optuna's draw, bit for bit."""

from __future__ import annotations

import importlib.util
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
)
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import TrialState

from windtunnel.config.search import Choice, Dimension, FloatRange, IntRange
from windtunnel.tuning.cohort_qmc import SobolSequence
from windtunnel.tuning.finished import Finished
from windtunnel.tuning.mirror import quiet
from windtunnel.tuning.optuna_strategy import OptunaStrategy
from windtunnel.tuning.samplers import KINDS, Kind, SamplerAt, Setting
from windtunnel.tuning.strategy import Outcome

COHORT = 12
FLAT: dict[str, Dimension] = {
    "policy.enter": FloatRange(low=0.0, high=1.0),
    "training.learning_rate": FloatRange(low=1e-4, high=1e-1, log=True),
    "training.dropout": Choice(choices=(0.0, 0.1, 0.3)),
    "model.width": IntRange(integer=True, low=4, high=64),
}
CONDITIONAL: dict[str, Dimension] = {
    "model.family": Choice(choices=("linear", "mlp")),
    "model.width": IntRange(
        integer=True, low=4, high=64, log=True, when={"model.family": ("mlp",)}
    ),
    "policy.enter": FloatRange(low=0.0, high=1.0),
}
# Optuna's own, made as ours are made: anew for every cohort, with the cohort's seed.
STOCK: dict[str, Callable[[Setting, int], BaseSampler]] = {
    "nsga2": lambda of, first: NSGAIISampler(seed=of.seed_at(first), population_size=of.cohort),
    "nsga3": lambda of, first: NSGAIIISampler(seed=of.seed_at(first), population_size=of.cohort),
    "qmc": lambda of, first: QMCSampler(
        seed=of.seed,
        scramble=True,
        independent_sampler=RandomSampler(seed=of.seed_at(first)),
        warn_independent_sampling=False,
    ),
    "cmaes": lambda of, first: CmaEsSampler(
        seed=of.seed_at(first), popsize=of.cohort, warn_independent_sampling=False
    ),
}
NAMES = [
    name
    for name in STOCK
    if all(importlib.util.find_spec(module) is not None for module in KINDS[name].needs)
]


def stock(name: str) -> Callable[[Setting], SamplerAt]:
    def start(of: Setting) -> SamplerAt:
        return lambda first: STOCK[name](of, first)

    return start


def draws(
    sampler: str,
    search: dict[str, Dimension],
    *,
    objectives: int = 1,
    ending: float = 0.3,
    cohorts: int = 9,
) -> list[dict[str, Any]]:
    """All that is drawn while a share of the trials fails and another is pruned."""
    chance = random.Random(5)  # noqa: S311 - nothing secret
    strategy = OptunaStrategy(
        search,
        seed=3,
        sampler=sampler,
        cohort=COHORT,
        directions=("maximize", "minimize")[:objectives],
    )
    found = []
    for _ in range(cohorts):
        told = []
        for each in strategy.ask(COHORT):
            found.append(each.params)
            enter = float(each.params["policy.enter"])
            value = float(each.params.get("model.width", 10)) / 64 - abs(enter - 0.3)
            fate = chance.random()
            if fate < ending / 2:
                told.append(Outcome(each.number, each.params, None, "failed"))
            else:
                state = "pruned" if fate < ending else "complete"
                further = (enter**2,) * (objectives - 1)
                told.append(
                    Outcome(each.number, each.params, value, state, further=further)  # type: ignore[arg-type]
                )
        strategy.tell(told)
    return found


@pytest.mark.parametrize("ending", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("search", [FLAT, CONDITIONAL], ids=["flat", "conditional"])
@pytest.mark.parametrize("name", NAMES)
def test_it_draws_what_optuna_s_draws(
    name: str, search: dict[str, Dimension], ending: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    objectives = 2 if KINDS[name].several and name != "qmc" else 1
    monkeypatch.setitem(KINDS, "stock", Kind(stock(name), several=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        theirs = draws("stock", search, objectives=objectives, ending=ending)
    assert draws(name, search, objectives=objectives, ending=ending) == theirs


def test_dimensions_that_all_complete_trials_have_are_optuna_s() -> None:
    with quiet():
        study = optuna.create_study()
    finished, theirs = Finished(), IntersectionSearchSpace()
    kinds = {
        "x": optuna.distributions.FloatDistribution(0, 1),
        "y": optuna.distributions.IntDistribution(0, 9),
        "z": optuna.distributions.CategoricalDistribution((1, 2)),
    }
    chance = random.Random(0)  # noqa: S311 - nothing secret
    for cohort in range(6):
        for _ in range(5):
            dropped = "z" if cohort > 1 else "y" if cohort > 3 else ""
            own = {name: kind for name, kind in kinds.items() if name != dropped}
            trial = study.ask(own)
            failed = chance.random() < 0.4
            study.tell(trial, None if failed else 0.5, state=TrialState.FAIL if failed else None)
        finished.take(study)
        assert finished.space == theirs.calculate(study)
        assert list(finished.space) == sorted(finished.space)


def test_a_sequence_may_be_entered_anywhere() -> None:
    from scipy.stats.qmc import Sobol

    whole = Sobol(3, seed=4, scramble=True).random(16)
    sequence = SobolSequence(4)
    for place in (0, 1, 2, 9, 10, 3, 15, 0):
        assert (sequence.point(place, 3) == whole[place]).all()
    assert sequence.point(1, 2).shape == (1, 2)


class Looks(list[Any]):
    """A study's trials, which count how many of them are looked at."""

    count = 0

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            Looks.count += 1
            yield item

    def __reversed__(self) -> Iterator[Any]:
        return iter(Looks(self[::-1]))

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return Looks(super().__getitem__(place))
        Looks.count += 1
        return super().__getitem__(place)


@pytest.mark.parametrize("name", [*NAMES, "cohort_tpe", "random"])
def test_a_long_search_looks_at_no_more_trials_than_a_short_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cohort looks at those of the cohort before and at its own, however many there were."""
    real = optuna.Study._get_trials
    looks: list[int] = []

    def get_trials(study: optuna.Study, *args: Any, **options: Any) -> Looks:
        found = Looks(real(study, *args, **options))
        if options.get("states") is not None:  # chosen from all of them
            Looks.count += len(real(study, deepcopy=False))
        return found

    def ask(strategy: OptunaStrategy, n: int) -> Any:
        Looks.count = 0
        asked = real_ask(strategy, n)
        looks.append(Looks.count)
        return asked

    real_ask = OptunaStrategy.ask
    monkeypatch.setattr(optuna.Study, "_get_trials", get_trials)
    monkeypatch.setattr(OptunaStrategy, "ask", ask)
    draws(name, FLAT, ending=0.0, cohorts=20)
    assert len(looks) == 20
    assert max(looks[3:]) <= 4 * COHORT
    if name in STOCK:  # what it was made for: the count would show it
        looks.clear()
        monkeypatch.setitem(KINDS, "stock", Kind(stock(name)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            draws("stock", FLAT, ending=0.0, cohorts=20)
        assert looks[-1] > 10 * COHORT * COHORT
