from __future__ import annotations

import os
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from windtunnel.tuning.journal import CohortJournal

FAILED = optuna.create_trial(state=TrialState.FAIL)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "optuna.journal"


def back(path: Path) -> list[optuna.trial.FrozenTrial]:
    """Open the file as Optuna's tools do."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.load_study(study_name="demo", storage=storage).trials


def test_a_block_does_not_wait_for_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = CohortJournal(path)
    study = optuna.create_study(study_name="demo", storage=JournalStorage(journal))
    waits: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (waits.append(handle), real(handle)))
    for cohort in range(1, 4):
        with journal.at_once():
            study.add_trials([FAILED] * 8)
            assert len(back(path)) == 8 * (cohort - 1)
        assert not waits
        assert [trial.number for trial in back(path)] == list(range(8 * cohort))
    study.add_trial(FAILED)  # outside of a block it does, as Optuna has it
    assert waits
    assert len(back(path)) == 25


def test_a_block_that_fails_writes_nothing(path: Path) -> None:
    journal = CohortJournal(path)
    study = optuna.create_study(study_name="demo", storage=JournalStorage(journal))
    before = path.read_bytes()

    def fail() -> None:
        with journal.at_once():
            study.add_trial(FAILED)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == before


def test_lines_of_others_may_come_in_between(path: Path) -> None:
    """The dashboard keeps its notes in the same file."""
    journal = CohortJournal(path)
    study = optuna.create_study(study_name="demo", storage=JournalStorage(journal))
    other = optuna.load_study(
        study_name="demo", storage=JournalStorage(JournalFileBackend(str(path)))
    )
    for _ in range(3):
        with journal.at_once():
            study.add_trials([FAILED] * 4)
            other.set_user_attr("note", "a promising one")
    assert [trial.number for trial in back(path)] == list(range(12))
    assert other.user_attrs == {"note": "a promising one"}
