"""Optuna as the brain of a study: cohorts drawn by one of its samplers, or by one of ours.

Configurations are asked for on a study in memory, which is rebuilt from the run's records
when a run is resumed. Optuna does not store the state of its random generators, so the
sampler is made anew for every cohort from the study's seed and the cohort's place in the
study: a rebuilt study then draws exactly what the uninterrupted one would have drawn. A
sampler that keeps notes beside the trials is asked anew for all that it was asked before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna

from windtunnel.config.search import is_active, parents_first
from windtunnel.errors import TuningError
from windtunnel.tuning import samplers
from windtunnel.tuning.mirror import STATES, frozen_trial, quiet
from windtunnel.tuning.space import active_names, to_distributions
from windtunnel.tuning.strategy import Direction, Outcome, Suggestion, settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from windtunnel.config.search import Dimension, Value
    from windtunnel.tuning.mirror import TrialMirror


class OptunaStrategy:
    """A sampler of Optuna's kind, asked a cohort at a time.

    Parameters
    ----------
    search : mapping of str to FloatRange, IntRange or Choice
        The search space.
    seed : int
        Seed of the draws.
    sampler : str
        One of `samplers.KINDS`.
    cohort : int
        Size of a full cohort; only the last one may be smaller.
    directions : sequence of "maximize" or "minimize"
        One for each objective.
    mirror : TrialMirror or None
        Storage in which Optuna's tools see the study; none is kept when None.
    history : sequence of Outcome, or of cohorts of them
        Outcomes told in an earlier life of the study: whole cohorts, numbered from 0 without
        a gap, in any order. Those that the mirror lacks, because the process was killed
        while it told them, are added to it.

    Raises
    ------
    SearchSpaceError
        The search space is empty.
    TuningError
        The history has gaps, values outside the search space, or was drawn by another sampler;
        or the sampler cannot serve this study.
    RunError
        The mirror disagrees with the history or cannot be read.
    """

    def __init__(
        self,
        search: Mapping[str, Dimension],
        *,
        seed: int,
        sampler: str = "cohort_tpe",
        cohort: int = 64,
        directions: Sequence[Direction] = ("maximize",),
        mirror: TrialMirror | None = None,
        history: Sequence[Outcome] | Sequence[Sequence[Outcome]] = (),
    ) -> None:
        self._search = dict(search)
        self._distributions = to_distributions(search)
        self._order = parents_first(search)
        self._seed, self._cohort = seed, cohort
        self._kind = samplers.kind_of(sampler, objectives=len(directions))
        self._objectives = len(directions)
        self._open: dict[int, optuna.Trial] = {}
        self._asked: dict[int, dict[str, Value]] = {}
        self._told = 0
        self._sampler_at = self._samplers()
        with quiet():
            self._study = optuna.create_study(
                directions=list(directions), sampler=self._sampler_at(0)
            )
        told = _in_order(_flat(history))
        for place, outcome in enumerate(told):
            if outcome.number != place:
                raise TuningError(
                    f"history: trial {place} is missing or comes twice "
                    f"(found trial {outcome.number} in its place)",
                    "Give the outcomes of all cohorts told so far",
                )
        frozen = [self._frozen(outcome) for outcome in told]
        if self._kind.remembers:
            self._live_again(told)
        else:
            self._study.add_trials(frozen)
            self._told = len(told)
        self._mirror = mirror
        if mirror is not None:
            mirror.add(told, self._distributions_of)

    @property
    def told(self) -> int:
        """Number of trials told so far, failed and pruned ones included."""
        return self._told

    def ask(self, n: int) -> list[Suggestion]:
        """Suggest a cohort of `n` configurations.

        Raises
        ------
        TuningError
            `n` is below 1, or the cohort before has not been told.
        """
        if n < 1:
            raise TuningError(f"n: a cohort has at least 1 trial, got {n}", "Ask for one or more")
        if self._open:
            raise TuningError(
                f"ask: trials {_numbers(self._open)} have not been told",
                "Tell the outcomes of a cohort before asking for the next",
            )
        self._study.sampler = self._sampler_at(self._told)
        for _ in range(n):
            trial = self._study.ask()
            self._open[trial.number] = trial
            self._asked[trial.number] = self._suggest(trial)
        return [Suggestion(number, dict(params)) for number, params in self._asked.items()]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Record the outcomes of the cohort that was asked for, in the mirror at once.

        Raises
        ------
        TuningError
            An outcome is missing, was not asked for, comes twice or has other parameters than
            its suggestion. Nothing has then been recorded.
        RunError
            The mirror holds other outcomes for these trials.
        """
        settled = _in_order(outcomes)
        self._check_cohort(settled)
        if self._mirror is not None:
            self._mirror.add(settled, self._distributions_of)
        self._take(settled)

    def _take(self, settled: Sequence[Outcome]) -> None:
        for outcome in settled:
            trial = self._open[outcome.number]
            if self._objectives == 1:
                for step, value in outcome.reports.items():
                    trial.report(value, step)
            values = outcome.values if outcome.state == "complete" else None
            self._study.tell(trial, values, state=STATES[outcome.state])
        self._told += len(settled)
        self._open, self._asked = {}, {}

    def _live_again(self, told: Sequence[Outcome]) -> None:
        """Ask for what was asked before, so that the sampler has its notes again."""
        for first in range(0, len(told), self._cohort):
            settled = told[first : first + self._cohort]
            asked = self.ask(len(settled))
            if [each.params for each in asked] != [outcome.params for outcome in settled]:
                raise TuningError(
                    f"history: trials {first} to {first + len(settled) - 1} are not what this "
                    "sampler draws",
                    "Resume a study with the sampler, seed and cohort with which it began",
                )
            self._take(settled)

    def _suggest(self, trial: optuna.Trial) -> dict[str, Value]:
        """Draw the dimensions that the configuration has, parents before those below them."""
        drawn: dict[str, Any] = {}
        for name in self._order:
            dimension = self._search[name]
            if not is_active(dimension, drawn):
                continue
            kind = self._distributions[name]
            if isinstance(kind, optuna.distributions.CategoricalDistribution):
                drawn[name] = trial.suggest_categorical(name, kind.choices)
            elif isinstance(kind, optuna.distributions.IntDistribution):
                drawn[name] = trial.suggest_int(
                    name, kind.low, kind.high, step=kind.step, log=kind.log
                )
            elif isinstance(kind, optuna.distributions.FloatDistribution):
                drawn[name] = trial.suggest_float(name, kind.low, kind.high, log=kind.log)
        return dict(sorted(drawn.items()))

    def _samplers(self) -> samplers.SamplerAt:
        def active(values: Mapping[str, Any]) -> list[str]:
            return active_names(self._search, values)

        conditional = any(dimension.when for dimension in self._search.values())
        return samplers.start(
            self._kind,
            samplers.Setting(
                self._seed, self._cohort, self._distributions, active if conditional else None
            ),
        )

    def _distributions_of(self, outcome: Outcome) -> dict[str, Any]:
        return {name: self._distributions[name] for name in outcome.params}

    def _frozen(self, outcome: Outcome) -> optuna.trial.FrozenTrial:
        """Return a told outcome as a trial, its parameters held to the search space."""
        problem = ""
        if outcome.params.keys() - self._distributions.keys():
            problem = f"unknown {sorted(outcome.params.keys() - self._distributions.keys())}"
        else:
            wanted = set(active_names(self._search, outcome.params))
            if wanted != set(outcome.params):
                problem = f"missing or superfluous {sorted(wanted ^ set(outcome.params))}"
        try:
            if not problem:
                return frozen_trial(outcome, self._distributions_of(outcome))
        except ValueError as error:  # a parameter is out of range
            problem = str(error)
        raise TuningError(
            f"history: trial {outcome.number} does not fit the search space ({problem})",
            "Resume a study with the search space with which it began",
        )

    def _check_cohort(self, outcomes: Sequence[Outcome]) -> None:
        numbers = [outcome.number for outcome in outcomes]
        if numbers != sorted(self._open):
            raise TuningError(
                f"tell: got outcomes of trials {_numbers(numbers)}, "
                f"asked were {_numbers(self._open)}",
                "Tell each trial of the cohort last asked for once, failed ones too",
            )
        for outcome in outcomes:
            asked = self._asked[outcome.number]
            if outcome.params != asked:
                raise TuningError(
                    f"tell: trial {outcome.number} has parameters {outcome.params}, "
                    f"asked were {asked}",
                    "Tell an outcome with the parameters of its suggestion",
                )


def _flat(history: Sequence[Outcome] | Sequence[Sequence[Outcome]]) -> Iterator[Outcome]:
    for item in history:
        if isinstance(item, Outcome):
            yield item
        else:
            yield from item


def _in_order(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return outcomes as they are recorded, by number."""
    return sorted((settle(outcome) for outcome in outcomes), key=lambda each: each.number)


def _numbers(numbers: Sequence[int] | Mapping[int, object]) -> str:
    """List a few trial numbers in words."""
    listed = sorted(numbers)
    if not listed:
        return "none"
    shown = ", ".join(str(number) for number in listed[:6])
    return shown + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")
