"""The storage in which Optuna's tools, such as `optuna-dashboard`, see a study's trials.

It is a mirror: a run's own records are the truth, and a mirror that was lost can be written
again from them. Only finished trials enter it, so a study that was killed leaves none that
seem to be running for ever.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from windtunnel.errors import RunError, TuningError, first_line
from windtunnel.tuning.database import CohortDatabase
from windtunnel.tuning.journal import CohortJournal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage

    from windtunnel.tuning.strategy import Direction, Outcome

    # Adds trials to a study, all of them by one write.
    Write = Callable[[optuna.Study, Sequence[FrozenTrial]], None]

# By kind of storage: the files that its mirror may leave in a run directory, the mirror last.
FILES = {
    "journal": ("optuna.journal.lock", "optuna.journal"),
    "sqlite": ("optuna.db-journal", "optuna.db"),
}
STATES = {
    "complete": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
    "pruned": TrialState.PRUNED,
}


def open_mirror(
    storage: str, folder: Path, study_name: str, directions: Sequence[Direction] = ("maximize",)
) -> TrialMirror | None:
    """Open the mirror of a study, None for "memory", which keeps none.

    A mirror of another kind in the folder would no longer follow the records: it is removed.

    Parameters
    ----------
    storage : str
        "memory"; "journal" or "sqlite", a file in `folder`; or a URL "postgresql://...".
    folder : Path
        The run directory.
    study_name : str
        Name of the study within the storage.
    directions : sequence of "maximize" or "minimize"

    Raises
    ------
    RunError
        The storage cannot be opened, or holds a study of that name with other objectives.
    TuningError
        PostgreSQL is asked for and its driver is not installed.
    """
    for kind, names in FILES.items():
        for name in names if kind != storage else ():
            (folder / name).unlink(missing_ok=True)
    if storage == "memory":
        return None
    if storage == "journal":
        return _journal(folder / "optuna.journal", study_name, directions)
    url = storage
    if storage == "sqlite":
        folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{(folder / 'optuna.db').absolute()}"
    elif storage.startswith("postgresql://"):
        url = "postgresql+psycopg" + storage.removeprefix("postgresql")

    def open_database() -> tuple[BaseStorage, Write]:
        database = CohortDatabase(url)
        return database.storage, database.add

    return TrialMirror(open_database, storage, study_name, directions)


def _journal(path: Path, study_name: str, directions: Sequence[Direction]) -> TrialMirror:
    """Open the journal file at `path`; a last line torn by a crash is cut off."""
    journal = CohortJournal(path)
    return TrialMirror(
        lambda: (JournalStorage(journal), journal.add), str(path), study_name, directions
    )


class TrialMirror:
    """Finished trials of one study in an Optuna storage; made by `open_mirror`."""

    def __init__(
        self,
        open_storage: Callable[[], tuple[BaseStorage, Write]],
        place: str,
        study_name: str,
        directions: Sequence[Direction],
    ) -> None:
        self.place = place
        wanted = [StudyDirection[direction.upper()] for direction in directions]
        try:
            with quiet():
                storage, self._write = open_storage()
                # Not `load_if_exists`, which adds a line to the journal at every opening.
                if study_name in optuna.get_all_study_names(storage):
                    self._study = optuna.load_study(study_name=study_name, storage=storage)
                else:
                    self._study = optuna.create_study(
                        storage=storage, study_name=study_name, directions=list(directions)
                    )
        except ImportError as error:
            raise TuningError(
                f"tuning.storage: {place!r} needs a driver that is not installed ({error})",
                "Install it with `pip install 'windtunnel[postgres]'`",
            ) from None
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise self._disagreement(f"is not a readable Optuna storage ({error})") from error
        except Exception as error:  # a database has errors of its own, by its driver
            raise RunError(
                f"tuning.storage: {place!r} cannot be opened ({first_line(error)})",
                "Start the database or mend the URL, or set tuning.storage to 'journal', and run "
                "the study again",
            ) from error
        if self._study.directions != wanted:
            raise self._disagreement(f"holds a study {study_name!r} of other objectives")
        self._trials = list(self._study.get_trials(deepcopy=False))

    def add(
        self,
        outcomes: Sequence[Outcome],
        distributions: Callable[[Outcome], Mapping[str, BaseDistribution]],
    ) -> None:
        """Add settled outcomes, in order of number; those that are there already stay as they are.

        Raises
        ------
        RunError
            A trial is in the mirror with other parameters, state, value or attributes, trials
            before the first outcome are missing, or the storage cannot be written to.
        """
        new: list[FrozenTrial] = []
        for outcome in outcomes:
            trial = frozen_trial(outcome, distributions(outcome))
            if outcome.number < len(self._trials):
                difference = _difference(self._trials[outcome.number], trial)
                if difference:
                    raise self._disagreement(
                        f"trial {outcome.number} has other {difference} than the run's records"
                    )
            elif outcome.number == len(self._trials) + len(new):
                new.append(trial)
            else:
                raise self._disagreement(
                    f"ends at trial {len(self._trials) - 1}, before trial {outcome.number}"
                )
        if new:
            try:
                self._write(self._study, new)
            except Exception as error:  # a disk or a database, by its driver's class
                raise RunError(
                    f"tuning.storage: {self.place!r} takes no trials ({first_line(error)})",
                    "The run's own records have them: mend the storage and resume the run, which "
                    "adds what is missing, or set tuning.storage to 'journal' and run the study "
                    "again",
                ) from error
            self._trials += new

    def _disagreement(self, problem: str) -> RunError:
        return RunError(
            f"tuning storage {self.place!r}: {problem}",
            "The run's own records are the truth and the storage only mirrors them: move the "
            "study away and resume the run, it is then written anew",
        )


def frozen_trial(outcome: Outcome, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """Return a settled outcome as a finished Optuna trial.

    Attributes that are not finite are left out, since the journal is JSON. Optuna keeps
    reports between only where there is one objective.
    """
    several = bool(outcome.further)
    return optuna.create_trial(
        state=STATES[outcome.state],
        values=None if outcome.value is None else outcome.values,
        params=dict(outcome.params),
        distributions=dict(distributions),
        user_attrs=_plain(outcome.attributes),
        intermediate_values=None if several else dict(outcome.reports),
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from reporting that it opened a study; its verbosity is put back after."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _plain(attributes: Mapping[str, Any]) -> dict[str, float | int | str]:
    """Return attributes as plain JSON values, NumPy scalars unwrapped."""
    values = {
        name: value.item() if hasattr(value, "item") else value
        for name, value in attributes.items()
    }
    return {
        name: value
        for name, value in values.items()
        if not isinstance(value, float) or math.isfinite(value)
    }


def _difference(there: FrozenTrial, wanted: FrozenTrial) -> str:
    """Name what sets a mirrored trial apart from the one wanted; empty when nothing does."""
    for name in ("params", "distributions", "state", "values", "intermediate_values", "user_attrs"):
        if getattr(there, name) != getattr(wanted, name):
            return "attributes" if name == "user_attrs" else name
    return ""
