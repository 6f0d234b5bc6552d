from __future__ import annotations

import pytest

from windtunnel.config.search import Choice, FloatRange, IntRange
from windtunnel.config.tuning import TuningSection
from windtunnel.errors import TuningError
from windtunnel.tuning.optuna_strategy import OptunaStrategy
from windtunnel.tuning.samplers import KINDS, concern, kind_of
from windtunnel.tuning.strategy import Outcome

SEARCH = {
    "model.family": Choice(choices=("linear", "mlp")),
    "model.width": IntRange(
        integer=True, low=4, high=64, log=True, when={"model.family": ("mlp",)}
    ),
    "policy.enter": FloatRange(low=0.0, high=1.0),
}


def value(params: dict) -> float:
    return params.get("model.width", 10) / 64 - abs(params["policy.enter"] - 0.3)


def test_the_study_file_says_which_take_several_objectives() -> None:
    one = " and ".join(repr(name) for name, kind in KINDS.items() if not kind.several)
    said = TuningSection.model_fields["sampler"].description or ""
    assert f"all but {one} take several objectives" in said


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"gp"}))
def test_conditional_dimensions(name: str) -> None:
    """Every sampler gives a dimension to those that have it, and resumes all the same."""
    pytest.importorskip("cmaes")
    strategy = OptunaStrategy(SEARCH, seed=1, sampler=name, cohort=12)
    told = []
    for _ in range(4):
        asked = strategy.ask(12)
        for each in asked:
            assert ("model.width" in each.params) == (each.params["model.family"] == "mlp")
            assert list(each.params) == sorted(each.params)
        told.append([Outcome(each.number, each.params, value(each.params)) for each in asked])
        strategy.tell(told[-1])
    again = OptunaStrategy(SEARCH, seed=1, sampler=name, cohort=12, history=told)
    assert again.ask(12) == strategy.ask(12)


@pytest.mark.parametrize("name", ["nsga2", "nsga3", "tpe", "random", "qmc"])
def test_several_objectives(name: str) -> None:
    """Higher `enter` is better for the first and worse for the second."""
    search = {
        "policy.enter": FloatRange(low=0.0, high=1.0),
        "policy.exit": FloatRange(low=0, high=1),
    }
    directions = ("maximize", "minimize")

    def outcomes(strategy: OptunaStrategy) -> list[Outcome]:
        return [
            Outcome(
                each.number,
                each.params,
                each.params["policy.enter"] - each.params["policy.exit"],
                further=(each.params["policy.enter"] ** 2 + each.params["policy.exit"],),
            )
            for each in strategy.ask(16)
        ]

    strategy = OptunaStrategy(search, seed=2, sampler=name, cohort=16, directions=directions)
    told = []
    for _ in range(6):
        told.append(outcomes(strategy))
        strategy.tell(told[-1])
    again = OptunaStrategy(
        search, seed=2, sampler=name, cohort=16, directions=directions, history=told
    )
    assert again.ask(16) == strategy.ask(16)
    if name == "tpe":  # the front has no `exit`; genetic search needs far more trials
        late = [each.params["policy.exit"] for each in told[-1]]
        assert sorted(late)[8] < 0.35


def test_gaussian_process() -> None:
    pytest.importorskip("torch")
    search = {"policy.enter": FloatRange(low=0.0, high=1.0)}
    strategy = OptunaStrategy(search, seed=0, sampler="gp", cohort=4)
    for _ in range(4):
        asked = strategy.ask(4)
        strategy.tell(
            [Outcome(e.number, e.params, -abs(e.params["policy.enter"] - 0.3)) for e in asked]
        )
    assert min(abs(each.params["policy.enter"] - 0.3) for each in strategy.ask(4)) < 0.1


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(TuningError, match="'divination' is unknown"):
        kind_of("divination")
    with pytest.raises(TuningError, match="'cmaes' takes one objective, the study has 2"):
        kind_of("cmaes", objectives=2)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(TuningError, match=r"'cmaes' needs cmaes.*windtunnel\[samplers\]"):
        kind_of("cmaes")


def test_another_sampler_s_history_is_refused() -> None:
    strategy = OptunaStrategy(SEARCH, seed=1, sampler="random", cohort=4)
    told = [Outcome(each.number, each.params, 0.0) for each in strategy.ask(4)]
    with pytest.raises(TuningError, match="trials 0 to 3 are not what this sampler draws"):
        OptunaStrategy(SEARCH, seed=1, sampler="qmc", cohort=4, history=told)


def test_a_long_search_by_optuna_s_own_tpe_is_warned_of() -> None:
    assert "'cohort_tpe'" in str(concern("tpe", 10_000))
    assert concern("tpe", 2000) is None
    assert concern("cohort_tpe", 10_000) is None
