"""Optuna as the brain of a study: cohorts drawn by its tree-structured Parzen estimator (TPE).

Configurations are asked for on a study in memory, which is rebuilt from the run's records
when a run is resumed. Optuna does not store the state of its random generators, so the
sampler is made anew for every cohort from the study's seed and the cohort's place in the
study: a rebuilt study then draws exactly what the uninterrupted one would have drawn.

References
----------
J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl, "Algorithms for Hyper-Parameter Optimization",
NeurIPS 2011, section 4. S. Falkner, A. Klein, F. Hutter, "BOHB", ICML 2018, section 3, for
the multivariate form, in which the dimensions are drawn together.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.samplers import TPESampler

from windtunnel.errors import TuningError
from windtunnel.tuning.space import to_distributions
from windtunnel.tuning.strategy import Outcome, Suggestion, settle
from windtunnel.tuning.trial_journal import STATES, TrialJournal, frozen_trial, quiet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from windtunnel.config.study import Dimension


class OptunaStrategy:
    """Multivariate TPE with a constant liar, asked a cohort at a time.

    Parameters
    ----------
    search : mapping of str to FloatRange or Choice
        The search space.
    study_name : str
        Name under which the journal keeps the study.
    seed : int
        Seed of the draws.
    journal : Path or None
        Journal file that Optuna's tools can open; none is kept when None.
    history : sequence of Outcome, or of cohorts of them
        Outcomes told in an earlier life of the study: whole cohorts, numbered from 0 without
        a gap, in any order. Those that the journal lacks, because the process was killed
        while it told them, are added to it.

    Raises
    ------
    SearchSpaceError
        The search space is empty.
    TuningError
        The history has gaps, or values outside the search space.
    RunError
        The journal disagrees with the history or cannot be read.
    """

    def __init__(
        self,
        search: Mapping[str, Dimension],
        *,
        study_name: str,
        seed: int,
        journal: Path | None,
        history: Sequence[Outcome] | Sequence[Sequence[Outcome]] = (),
    ) -> None:
        self._distributions = to_distributions(search)
        self._seed = seed
        self._open: dict[int, optuna.Trial] = {}
        with quiet():
            # Overwritten before every cohort; named here so that no unseeded one can be used.
            self._study = optuna.create_study(direction="maximize", sampler=_sampler(seed, 0))
        told = _in_order(_flat(history))
        for place, outcome in enumerate(told):
            if outcome.number != place:
                raise TuningError(
                    f"history: trial {place} is missing or comes twice "
                    f"(found trial {outcome.number} in its place)",
                    "Give the outcomes of all cohorts told so far",
                )
        self._study.add_trials([self._frozen(outcome) for outcome in told])
        self._told = len(told)
        self._journal = None if journal is None else TrialJournal(Path(journal), study_name)
        if self._journal is not None:
            self._journal.add(told, self._distributions)

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
        self._study.sampler = _sampler(self._seed, self._told)
        cohort = [self._study.ask(self._distributions) for _ in range(n)]
        self._open = {trial.number: trial for trial in cohort}
        return [Suggestion(trial.number, dict(trial.params)) for trial in cohort]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Record the outcomes of the cohort that was asked for, in the journal at once.

        Raises
        ------
        TuningError
            An outcome is missing, was not asked for, comes twice or has other parameters than
            its suggestion. Nothing has then been recorded.
        RunError
            The journal holds other outcomes for these trials.
        """
        settled = _in_order(outcomes)
        self._check_cohort(settled)
        if self._journal is not None:
            self._journal.add(settled, self._distributions)
        for outcome in settled:
            trial = self._open[outcome.number]
            if outcome.state == "pruned" and outcome.value is not None:
                trial.report(outcome.value, int(outcome.attributes.get("step", 0)))
            value = outcome.value if outcome.state == "complete" else None
            self._study.tell(trial, value, state=STATES[outcome.state])
        self._told += len(settled)
        self._open = {}

    def _frozen(self, outcome: Outcome) -> optuna.trial.FrozenTrial:
        """Return a told outcome as a trial, its parameters held to the search space."""
        try:
            return frozen_trial(outcome, self._distributions)
        except ValueError as error:  # a parameter is missing, unknown or out of range
            raise TuningError(
                f"history: trial {outcome.number} does not fit the search space ({error})",
                "Resume a study with the search space with which it began",
            ) from None

    def _check_cohort(self, outcomes: Sequence[Outcome]) -> None:
        numbers = [outcome.number for outcome in outcomes]
        if numbers != sorted(self._open):
            raise TuningError(
                f"tell: got outcomes of trials {_numbers(numbers)}, "
                f"asked were {_numbers(self._open)}",
                "Tell each trial of the cohort last asked for once, failed ones too",
            )
        for outcome in outcomes:
            asked = self._open[outcome.number].params
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


def _sampler(seed: int, first: int) -> TPESampler:
    """Make the TPE sampler for the cohort whose first trial is number `first`.

    The number stands for the cohort's place in the study: unlike a count of cohorts it is
    known from a flat history.
    """
    key = hashlib.sha256(f"{seed}:{first}".encode()).digest()
    return TPESampler(seed=int.from_bytes(key[:4], "little"), multivariate=True, constant_liar=True)


def _numbers(numbers: Sequence[int] | Mapping[int, object]) -> str:
    """List a few trial numbers in words."""
    listed = sorted(numbers)
    if not listed:
        return "none"
    shown = ", ".join(str(number) for number in listed[:6])
    return shown + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")
