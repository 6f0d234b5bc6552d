"""The search of one study: ask, train, commit, tell, until its trials are done.

What is committed is the truth. A cohort is committed at once, while it is told and the next one is
asked for and trained, which is over only when this one is safe. A crash in between leaves the
ledger behind the records, or the mirror behind or before them: the next attempt rebuilds the
strategy from what is committed, and enters and mirrors what is missing. A cohort that the mirror
knew first is computed again, and is the same.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from windtunnel import events, interrupts
from windtunnel.assessor import Assessor, Past
from windtunnel.errors import TrainingError
from windtunnel.feasibility import check_space
from windtunnel.ledger import Ledger
from windtunnel.rungs import Assessed
from windtunnel.runs import Run
from windtunnel.trial_rows import directions_of, ledger_entry, named_rows, outcomes, past_of
from windtunnel.tuning.mirror import open_mirror
from windtunnel.tuning.optuna_strategy import OptunaStrategy
from windtunnel.tuning.pruners import LOOK_BACK
from windtunnel.tuning.samplers import concern
from windtunnel.tuning.strategy import Suggestion
from windtunnel.validation import Params


class Executor(Protocol):
    """Has the parts of a cohort assessed, by whomever."""

    def assess(self, parts: Sequence[Sequence[Params]], cohort: int, past: Past) -> list[Assessed]:
        """Assess each part of cohort number `cohort`, and give them back in their order."""
        ...


@dataclass(frozen=True)
class InProcess:
    """Assesses one part after the other, here."""

    assessor: Assessor

    def assess(self, parts: Sequence[Sequence[Params]], cohort: int, past: Past) -> list[Assessed]:
        """Assess the parts in turn."""
        return [self.assessor.assess(part, cohort, past) for part in parts]


def split(items: Sequence[Suggestion], parts: int) -> list[list[Suggestion]]:
    """Part a cohort evenly; a small one has fewer parts, none of them empty."""
    bounds = np.linspace(0, len(items), min(parts, len(items)) + 1).round().astype(int)
    return [list(items[a:b]) for a, b in itertools.pairwise(bounds)]


@dataclass
class Tally:
    """What progress is told from, counted on so that a long search tells it as fast.

    Attributes
    ----------
    cohorts, trials, failed, pruned : int
    best : float
        Highest objective, NaN while there is none.
    """

    cohorts: int = 0
    trials: int = 0
    failed: int = 0
    pruned: int = 0
    best: float = float("nan")

    def add(self, table: pl.DataFrame) -> None:
        """Count a cohort's trials."""
        states = table["state"].to_list()
        self.cohorts += 1
        self.trials += len(states)
        self.failed += states.count("failed")
        self.pruned += states.count("pruned")
        reached = table["objective"].drop_nulls().to_list()
        self.best = float(np.fmax.reduce([self.best, *reached]))


@dataclass
class Campaign:
    """One run's search.

    Attributes
    ----------
    run : Run
    assessor : Assessor
    executor : Executor
    bus : events.EventBus
    folder : Path or None
        That of the project's ledger; the run's own by default.
    """

    run: Run
    assessor: Assessor
    executor: Executor
    bus: events.EventBus
    folder: Path | None = None

    def carry_out(self) -> None:
        """Make the trials that are missing.

        Raises
        ------
        SearchSpaceError
            There are no trials yet, and some point of the space cannot be tried.
        TrainingError
            Every trial failed.
        """
        study = self.assessor.study
        done = [table for table, _ in self.run.cohorts()]
        if not done:
            check_space(self.assessor)
        looks_back = study.tuning.pruner in LOOK_BACK
        past = past_of(done) if looks_back else []
        tally = Tally()
        for table in done:
            tally.add(table)
        ledger = self.ledger  # remembers how far it was read
        for index, table in enumerate(done):  # a crash may have come before
            ledger.append(ledger_entry(self.run, self.assessor.course, index, table))
        with self._whole():
            strategy = self._strategy(done)
        if problem := concern(study.tuning.sampler, study.study.trials):
            self.bus.emit(events.Warned(problem))
        already = tally.trials
        self.bus.emit(events.TuningStarted(already, study.study.trials))
        # Of two cohorts that are not on the disk the second one is not finished.
        with ThreadPoolExecutor(1) as disk:
            recorded: Future[None] | None = None
            while tally.trials < study.study.trials:
                began = time.monotonic()
                asked = strategy.ask(min(study.study.cohort, study.study.trials - tally.trials))
                asking = time.monotonic() - began
                table, found = self._assess(asked, len(done), past)
                if recorded is not None:
                    recorded.result()
                recorded = disk.submit(self._record, len(done), table, found, ledger)
                with self._whole():
                    strategy.tell(outcomes(table, study))
                done.append(table)
                past += past_of([table]) if looks_back else []
                tally.add(table)
                self._report(tally, found, tally.trials - already, began, asking)
            if recorded is not None:
                recorded.result()
        _check_some_succeeded(pl.concat(done, how="diagonal"))

    @property
    def ledger(self) -> Ledger:
        """The project's ledger."""
        return Ledger((self.folder or self.run.path.parent) / "ledger.jsonl")

    def _whole(self) -> AbstractContextManager[None]:
        """Let nothing be left half told by Ctrl-C."""
        return interrupts.held_back()

    def _record(
        self, cohort: int, table: pl.DataFrame, found: Sequence[Assessed], ledger: Ledger
    ) -> None:
        """Commit a cohort, then enter it into the ledger."""
        equity = np.concatenate([part.equity for part in found], axis=1)
        self.run.commit_cohort(cohort, table, equity)
        ledger.append(ledger_entry(self.run, self.assessor.course, cohort, table))

    def _strategy(self, done: Sequence[pl.DataFrame]) -> OptunaStrategy:
        study = self.assessor.study
        directions = directions_of(study)
        return OptunaStrategy(
            study.search,
            seed=study.study.seed,
            sampler=study.tuning.sampler,
            cohort=study.study.cohort,
            directions=directions,
            mirror=open_mirror(study.tuning.storage, self.run.path, self.run.id, directions),
            history=[outcomes(table, study) for table in done],
        )

    def _assess(
        self, asked: Sequence[Suggestion], cohort: int, past: Past
    ) -> tuple[pl.DataFrame, list[Assessed]]:
        study = self.assessor.study
        parts = split(asked, study.tuning.parts)
        found = self.executor.assess(
            [[each.params for each in part] for part in parts], cohort, past
        )
        rows = pl.concat([part.table for part in found], how="diagonal")
        table = pl.concat([named_rows(asked, cohort, study), rows], how="horizontal")
        for problem in dict.fromkeys(text for part in found for text in part.problems):
            self.bus.emit(events.Warned(problem))
        return table, found

    def _report(
        self, tally: Tally, found: Sequence[Assessed], here: int, began: float, asking: float
    ) -> None:
        rungs = max(len(part.survivors) for part in found)
        self.bus.emit(
            events.CohortFinished(
                cohort=tally.cohorts - 1,
                trials_done=tally.trials,
                trials_here=here,
                trials_total=self.assessor.study.study.trials,
                failed=tally.failed,
                best=tally.best,
                seconds=time.monotonic() - began,
                pruned=tally.pruned,
                survivors=tuple(
                    sum(part.survivors[at] for part in found if at < len(part.survivors))
                    for at in range(rungs)
                ),
                asking_seconds=asking,
            )
        )


def _check_some_succeeded(trials: pl.DataFrame) -> None:
    if trials["objective"].drop_nulls().is_empty():
        reasons = trials["reason"].unique().sort().to_list()[:3]
        raise TrainingError(
            f"all {len(trials)} trials failed, for example: {'; '.join(reasons)}",
            "Narrow the search of learning_rate, choose another objective, or look at the bars",
        )
