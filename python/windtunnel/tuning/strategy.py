"""What a tuning strategy is: it is asked for a cohort of configurations and told the results.

A strategy knows neither trainers nor validation; the facade carries numbers between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windtunnel.config.search import Value

Direction: TypeAlias = Literal["maximize", "minimize"]
OutcomeState: TypeAlias = Literal["complete", "failed", "pruned"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A configuration to try.

    Attributes
    ----------
    number : int
        Position of the trial in its study, from 0; never reused.
    params : dict of str to float, int, str or bool
        A value for every dimension that the configuration has, by dotted name.
    """

    number: int
    params: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a suggestion.

    Attributes
    ----------
    number, params
        Those of the suggestion, unchanged.
    value : float or None
        The objective; of a pruned trial, its last value before it was stopped. Without a
        finite value a trial counts as failed, whatever `state` says.
    state : {"complete", "failed", "pruned"}
    attributes : dict
        Further figures or texts to show beside the trial.
    reports : dict of int to float
        The first objective at each rung that the trial reached, by steps made.
    further : tuple of float
        The other objectives, where a study has several.
    """

    number: int
    params: dict[str, Value]
    value: float | None
    state: OutcomeState = "complete"
    attributes: dict[str, float | int | str] = field(default_factory=dict)
    reports: dict[int, float] = field(default_factory=dict)
    further: tuple[float, ...] = ()

    @property
    def values(self) -> list[float]:
        """All objectives of a trial that has them."""
        return [] if self.value is None else [self.value, *self.further]


class Strategy(Protocol):
    """Chooses configurations from the results of those tried before.

    The same seed and the same history of told outcomes give the same suggestions, bit for
    bit, whether the history was lived through or handed to the constructor.
    """

    @property
    def told(self) -> int:
        """Number of trials told so far, failed and pruned ones included."""
        ...

    def ask(self, n: int) -> list[Suggestion]:
        """Suggest a cohort of `n` configurations with consecutive numbers."""
        ...

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Take the outcomes of every suggestion of the cohort last asked for."""
        ...


def settle(outcome: Outcome) -> Outcome:
    """Return `outcome` as it is recorded: failed and without a value unless it has a finite one.

    A failed trial keeps no value, so that no strategy can mistake one for a result.
    """
    reports = {
        int(step): float(value) for step, value in outcome.reports.items() if math.isfinite(value)
    }
    values = outcome.values
    if outcome.state == "failed" or not values or not all(map(math.isfinite, values)):
        return replace(outcome, value=None, state="failed", reports=reports, further=())
    first, *further = map(float, values)
    return replace(outcome, value=first, reports=reports, further=tuple(further))
