"""What every strategy must do, whatever its brain; a new sampler joins by its name."""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from windtunnel.config.study import Choice, FloatRange
from windtunnel.errors import SearchSpaceError, TuningError
from windtunnel.tuning.optuna_strategy import OptunaStrategy
from windtunnel.tuning.samplers import KINDS
from windtunnel.tuning.strategy import Outcome, Strategy, Suggestion, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLERS = [
    name
    for name, kind in sorted(KINDS.items())
    if name != "gp"  # fits for seconds a trial; it has a small test of its own
    and all(importlib.util.find_spec(module) for module in kind.needs)
]
SEARCH = {
    "training.learning_rate": FloatRange(low=1e-4, high=1e-1, log=True),
    "policy.enter": FloatRange(low=0.0, high=1.0),
    "training.dropout": Choice(choices=(0.0, 0.1, 0.3)),
}


def height(params: dict[str, float]) -> float:
    """A smooth hill with its top at learning rate 0.01, enter 0.3, dropout 0.1."""
    return -(
        math.log10(params["training.learning_rate"] / 0.01) ** 2
        + (params["policy.enter"] - 0.3) ** 2
        + (params["training.dropout"] != 0.1)
    )


def evaluate(cohort: Sequence[Suggestion]) -> list[Outcome]:
    """Every sort of ending: complete, failed with and without saying so, pruned."""
    outcomes = []
    for suggestion in cohort:
        value: float | None = height(suggestion.params)
        state = "complete"
        if suggestion.number % 7 == 2:
            value, state = None, "failed"
        elif suggestion.number % 7 == 4:
            value = math.nan
        elif suggestion.number % 11 == 5:
            state = "pruned"
        outcomes.append(
            Outcome(
                suggestion.number,
                suggestion.params,
                value,
                state,  # type: ignore[arg-type]
                reports={3: height(suggestion.params)},
            )
        )
    return outcomes


class Make(Protocol):
    def __call__(self, history: Any = (), seed: int = 5, search: Any = None) -> Any: ...


@pytest.fixture(params=SAMPLERS)
def make(request: pytest.FixtureRequest) -> Make:
    def build(history: Any = (), seed: int = 5, search: Any = None) -> Any:
        return OptunaStrategy(
            SEARCH if search is None else search,
            seed=seed,
            sampler=request.param,
            cohort=16,
            history=history,
        )

    return build


def live(strategy: Strategy, cohorts: int, size: int = 16) -> list[list[Outcome]]:
    told = []
    for _ in range(cohorts):
        cohort = evaluate(strategy.ask(size))
        strategy.tell(cohort)
        told.append([settle(outcome) for outcome in cohort])  # NaN equals nothing
    return told


def test_a_rebuilt_study_goes_on_as_the_uninterrupted_one(make: Make) -> None:
    whole = live(make(), 6)
    for survived in range(6):
        rebuilt = make(history=whole[:survived])
        assert live(rebuilt, 6 - survived) == whole[survived:]


def test_history_may_be_flat_and_in_any_order(make: Make) -> None:
    whole = live(make(), 4)
    flat = [outcome for cohort in whole[:3] for outcome in cohort]
    assert live(make(history=flat[::-1]), 1) == whole[3:]


def test_the_order_of_lines_in_the_search_does_not_matter(make: Make) -> None:
    assert live(make(search=dict(reversed(SEARCH.items()))), 3) == live(make(), 3)


def test_outcomes_may_be_told_in_any_order(make: Make) -> None:
    one, other = make(), make()
    cohort = evaluate(one.ask(16))
    one.tell(cohort)
    other.ask(16)
    other.tell(cohort[::-1])
    assert one.ask(8) == other.ask(8)


def test_seeds_and_cohorts_draw_differently(make: Make) -> None:
    strategy = make(seed=1)
    first = strategy.ask(8)
    strategy.tell([Outcome(each.number, each.params, None, "failed") for each in first])
    second = strategy.ask(8)
    assert [each.number for each in second] == list(range(8, 16))
    draws = [tuple(each.params.values()) for each in [*first, *second, *make(seed=2).ask(8)]]
    assert len(set(draws)) == 24


def test_suggestions_lie_in_the_space(make: Make) -> None:
    for outcome in [each for cohort in live(make(), 3) for each in cohort]:
        assert list(outcome.params) == sorted(SEARCH)
        assert 1e-4 <= outcome.params["training.learning_rate"] <= 1e-1
        assert 0 <= outcome.params["policy.enter"] <= 1
        assert outcome.params["training.dropout"] in (0.0, 0.1, 0.3)


def test_told_counts_every_trial(make: Make) -> None:
    whole = live(make(), 2)
    strategy = make(history=whole)
    assert strategy.told == 32
    live(strategy, 1)
    assert strategy.told == 48


def test_told_must_be_what_was_asked(make: Make) -> None:
    strategy = make()
    cohort = evaluate(strategy.ask(4))
    with pytest.raises(TuningError, match=r"got outcomes of trials 0, 1, 2, asked were 0, 1, 2, 3"):
        strategy.tell(cohort[:3])
    with pytest.raises(TuningError, match="0, 0, 1, 2, 3"):
        strategy.tell([cohort[0], *cohort])
    changed = Outcome(3, {**cohort[3].params, "policy.enter": 0.5}, 1.0)
    with pytest.raises(TuningError, match="trial 3 has parameters"):
        strategy.tell([*cohort[:3], changed])
    with pytest.raises(TuningError, match="have not been told"):
        strategy.ask(4)
    strategy.tell(cohort)  # the refusals above left nothing behind
    with pytest.raises(TuningError, match="asked were none"):
        strategy.tell(cohort)
    other = make()
    other.ask(4)
    other.tell(cohort)
    assert strategy.ask(3) == other.ask(3)


def test_a_cohort_has_at_least_one_trial(make: Make) -> None:
    with pytest.raises(TuningError, match="got 0"):
        make().ask(0)


def test_a_history_with_a_gap_is_refused(make: Make) -> None:
    (cohort,) = live(make(), 1, size=5)
    with pytest.raises(TuningError, match=r"trial 2 is missing or comes twice .found trial 3"):
        make(history=[*cohort[:2], *cohort[3:]])
    with pytest.raises(TuningError, match=r"trial 1 is missing or comes twice .found trial 0"):
        make(history=[cohort[0], *cohort])


@pytest.mark.parametrize(
    "params",
    [
        {"training.learning_rate": 1.0, "policy.enter": 0.5, "training.dropout": 0.1},
        {"training.learning_rate": 0.01, "policy.enter": 0.5, "training.dropout": 0.2},
        {"training.learning_rate": 0.01, "policy.enter": 0.5},
        {
            "training.learning_rate": 0.01,
            "policy.enter": 0.5,
            "training.dropout": 0.1,
            "policy.exit": 0.0,
        },
    ],
)
def test_a_history_of_another_space_is_refused(make: Make, params: dict[str, float]) -> None:
    with pytest.raises(TuningError, match="trial 0 does not fit the search space"):
        make(history=[Outcome(0, params, 1.0)])


def test_an_empty_space_is_refused(make: Make) -> None:
    with pytest.raises(SearchSpaceError, match="search: is empty"):
        make(search={})
