from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from windtunnel.config.study import Choice, FloatRange
from windtunnel.errors import RunError
from windtunnel.tuning.mirror import _journal, open_mirror
from windtunnel.tuning.optuna_strategy import OptunaStrategy
from windtunnel.tuning.strategy import Outcome, settle

SEARCH = {
    "policy.enter": FloatRange(low=0.0, high=1.0),
    "training.dropout": Choice(choices=(0.0, 0.1)),
}


def make(
    journal: Path, history: list[list[Outcome]] | None = None, seed: int = 3
) -> OptunaStrategy:
    return OptunaStrategy(
        SEARCH,
        seed=seed,
        cohort=6,
        mirror=_journal(journal, "demo", ("maximize",)),
        history=history or [],
    )


def live(strategy: OptunaStrategy, cohorts: int) -> list[list[Outcome]]:
    told = []
    for _ in range(cohorts):
        cohort = [
            Outcome(
                each.number,
                each.params,
                math.nan if each.number % 5 == 1 else each.params["policy.enter"],
                "pruned" if each.number % 5 == 3 else "complete",
                {"fold_0": each.number / 3, "reason": "why"},
                {2: each.params["policy.enter"]},
            )
            for each in strategy.ask(6)
        ]
        strategy.tell(cohort)
        told.append([settle(outcome) for outcome in cohort])  # NaN equals nothing
    return told


def load(journal: Path) -> list[optuna.trial.FrozenTrial]:
    """Open the journal as `optuna-dashboard` does."""
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.load_study(study_name="demo", storage=storage).trials


def contents(journal: Path) -> list[tuple[object, ...]]:
    return [(t.number, t.state, t.values, t.params, t.user_attrs) for t in load(journal)]


def test_optuna_reads_every_trial(tmp_path: Path) -> None:
    told = [each for cohort in live(make(tmp_path / "j"), 2) for each in cohort]
    trials = load(tmp_path / "j")
    assert [trial.number for trial in trials] == list(range(12))
    for trial, outcome in zip(trials, told, strict=True):
        assert trial.params == outcome.params
        assert trial.user_attrs == outcome.attributes
        if outcome.number % 5 == 1:
            assert (trial.state, trial.values) == (TrialState.FAIL, None)
        else:
            pruned = outcome.number % 5 == 3
            assert trial.state == (TrialState.PRUNED if pruned else TrialState.COMPLETE)
            assert trial.value == outcome.value


def test_asking_leaves_no_running_trial(tmp_path: Path) -> None:
    strategy = make(tmp_path / "j")
    live(strategy, 1)
    strategy.ask(6)
    assert len(load(tmp_path / "j")) == 6


def test_a_kill_in_the_middle_of_tell_is_mended(tmp_path: Path) -> None:
    """Whatever the byte at which the journal ends, resuming completes it."""
    whole = live(make(tmp_path / "whole"), 2)
    content = (tmp_path / "whole").read_bytes()
    expected = contents(tmp_path / "whole")
    for cut in [*range(0, len(content), 397), len(content) - 1]:
        journal = tmp_path / f"cut_{cut}"
        journal.write_bytes(content[:cut])
        strategy = make(journal, history=whole)
        assert contents(journal) == expected
        assert len(strategy.ask(1)) == 1


def test_a_lost_journal_is_written_anew(tmp_path: Path) -> None:
    whole = live(make(tmp_path / "j"), 2)
    expected = contents(tmp_path / "j")
    (tmp_path / "j").unlink()
    make(tmp_path / "j", history=whole)
    assert contents(tmp_path / "j") == expected


def test_resuming_adds_nothing_twice(tmp_path: Path) -> None:
    whole = live(make(tmp_path / "j"), 2)
    before = (tmp_path / "j").read_bytes()
    make(tmp_path / "j", history=whole)
    assert (tmp_path / "j").read_bytes() == before


def test_a_cohort_told_but_not_recorded_is_told_again(tmp_path: Path) -> None:
    """The journal may be a cohort ahead; computed again, the cohort is the same."""
    whole = live(make(tmp_path / "j"), 3)
    expected = contents(tmp_path / "j")
    assert live(make(tmp_path / "j", history=whole[:2]), 1) == whole[2:]
    assert contents(tmp_path / "j") == expected


def test_a_journal_of_another_seed_is_refused(tmp_path: Path) -> None:
    live(make(tmp_path / "j", seed=1), 1)
    other = live(make(tmp_path / "other", seed=2), 1)
    with pytest.raises(RunError, match=r"trial 0 has other params .* move the study away"):
        make(tmp_path / "j", history=other)


def test_an_altered_value_is_refused(tmp_path: Path) -> None:
    whole = live(make(tmp_path / "j"), 1)
    first = whole[0][0]
    whole[0][0] = replace(first, value=0.123)
    with pytest.raises(RunError, match="trial 0 has other values"):
        make(tmp_path / "j", history=whole)
    whole[0][0] = replace(first, attributes={"fold_0": 1.0})
    with pytest.raises(RunError, match="trial 0 has other attributes"):
        make(tmp_path / "j", history=whole)


def test_a_minimised_study_is_refused(tmp_path: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "j")))
    optuna.create_study(study_name="demo", storage=storage, direction="minimize")
    with pytest.raises(RunError, match="of other objectives"):
        make(tmp_path / "j")


@pytest.mark.parametrize("content", [b"not a journal\n", b'{"op_code": 77}\n', b"[1]\nx\ny\n"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(RunError, match="is not a readable Optuna storage"):
        make(tmp_path / "j")


def test_numpy_attributes_are_unwrapped_and_nan_is_left_out(tmp_path: Path) -> None:
    strategy = make(tmp_path / "j")
    (asked,) = strategy.ask(1)
    attributes = {"loss": np.float32(0.5), "bars": np.int64(7), "sharpe": math.nan}
    outcome = Outcome(0, asked.params, np.float64(0.25), "complete", attributes)  # type: ignore[arg-type]
    strategy.tell([outcome])
    make(tmp_path / "j", history=[[outcome]])
    assert load(tmp_path / "j")[0].user_attrs == {"loss": 0.5, "bars": 7}


def test_a_lock_left_by_a_killed_process_is_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("windtunnel.tuning.journal.LOCK_GRACE", 3)
    monkeypatch.chdir(tmp_path)
    whole = live(make(Path("j")), 1)
    with Path("j").open("ab") as file:
        file.write(b'{"op_code": 4, "torn')
    os.symlink(tmp_path / "j", tmp_path / "j.lock")  # noqa: PTH211 - as Optuna makes it
    make(Path("j"), history=whole)
    assert len(load(tmp_path / "j")) == 6


def test_the_dashboard_serves_the_journal(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    import json
    import threading
    import urllib.request
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name above
            pass

    live(make(tmp_path / "j"), 1)
    app = dashboard.wsgi(JournalStorage(JournalFileBackend(str(tmp_path / "j"))))
    with make_server("127.0.0.1", 0, app, handler_class=Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urllib.request.urlopen(
            f"http://127.0.0.1:{server.server_port}/api/studies/0?after=0"
        ) as answer:
            study = json.load(answer)
        server.shutdown()
    assert len(study["trials"]) == 6


def test_a_write_that_fails_without_a_word_is_named_by_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = open_mirror("journal", tmp_path, "study")
    assert mirror is not None

    def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(mirror, "_write", fail)
    outcome = Outcome(0, {}, 1.0, "complete", {}, {})
    with pytest.raises(RunError, match=r"takes no trials \(OSError\)"):
        mirror.add([outcome], lambda _: {})
