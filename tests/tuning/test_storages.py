"""One study in every storage, read back by Optuna's own means; a database is a real server."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import urllib.request
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import pytest
from sqlalchemy.pool import NullPool

from windtunnel.config.search import Choice, FloatRange
from windtunnel.errors import RunError
from windtunnel.tuning.mirror import open_mirror
from windtunnel.tuning.optuna_strategy import OptunaStrategy
from windtunnel.tuning.strategy import Outcome

SEARCH = {
    "policy.enter": FloatRange(low=0.0, high=1.0),
    "model.family": Choice(choices=("linear", "mlp")),
}
# For example postgresql://postgres@127.0.0.1:5432/windtunnel, of a server that may be written to.
POSTGRES = os.environ.get("WINDTUNNEL_TEST_POSTGRES", "")


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> str:
    if request.param == "postgresql":
        if not POSTGRES:
            pytest.skip("WINDTUNNEL_TEST_POSTGRES names no server")
        pytest.importorskip("psycopg")
        return POSTGRES
    return str(request.param)


def back(storage: str, folder: Path, name: str) -> optuna.Study:
    """Open the storage as Optuna's tools do."""
    if storage == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(folder / "optuna.journal"))
        return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))
    url = f"sqlite:///{folder / 'optuna.db'}" if storage == "sqlite" else storage
    database = optuna.storages.RDBStorage(
        url.replace("postgresql:", "postgresql+psycopg:"), engine_kwargs={"poolclass": NullPool}
    )
    return optuna.load_study(study_name=name, storage=database)


def tell(strategy: OptunaStrategy, cohorts: int) -> list[list[Outcome]]:
    told = []
    for _ in range(cohorts):
        cohort = [
            Outcome(
                each.number,
                each.params,
                float(each.params["policy.enter"]),
                "pruned" if each.number % 3 == 1 else "complete",
                {"sharpe": 1 / 3},
                {5: 0.25},
            )
            for each in strategy.ask(6)
        ]
        strategy.tell(cohort)
        told.append(cohort)
    return told


def test_every_storage_holds_the_same_trials(storage: str, tmp_path: Path) -> None:
    name = f"study-{uuid.uuid4().hex[:8]}"

    def make(history: Any = ()) -> OptunaStrategy:
        mirror = open_mirror(storage, tmp_path, name)
        return OptunaStrategy(SEARCH, seed=1, cohort=6, mirror=mirror, history=history)

    told = tell(make(), 2)
    told += tell(make(told), 1)  # resumed: nothing twice
    flat = [each for cohort in told for each in cohort]
    trials = back(storage, tmp_path, name).trials
    assert [trial.number for trial in trials] == list(range(18))
    assert [trial.params for trial in trials] == [each.params for each in flat]
    assert [trial.user_attrs for trial in trials] == [each.attributes for each in flat]
    assert [trial.intermediate_values for trial in trials] == [{5: 0.25}] * 18
    assert [trial.value for trial in trials] == [each.value for each in flat]
    # A crash between two cohorts' records: the mirror catches up.
    other = f"{name}-late"
    OptunaStrategy(
        SEARCH, seed=1, cohort=6, mirror=open_mirror(storage, tmp_path, other), history=told
    )
    assert len(back(storage, tmp_path, other).trials) == 18


def test_memory_keeps_nothing(tmp_path: Path) -> None:
    assert open_mirror("memory", tmp_path, "x") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("before", "after"), [("journal", "sqlite"), ("sqlite", "journal")])
def test_another_kind_is_caught_up_and_the_one_before_is_gone(
    tmp_path: Path, before: str, after: str
) -> None:
    own = tmp_path / "optuna.journal.mine"
    own.write_text("a copy")
    mirror = open_mirror(before, tmp_path, "x")
    told = tell(OptunaStrategy(SEARCH, seed=1, cohort=6, mirror=mirror), 2)
    (left,) = set(tmp_path.iterdir()) - {own}
    mirror = open_mirror(after, tmp_path, "x")
    tell(OptunaStrategy(SEARCH, seed=1, cohort=6, mirror=mirror, history=told), 1)
    assert len(back(after, tmp_path, "x").trials) == 18
    assert not left.exists()
    assert open_mirror("memory", tmp_path, "x") is None
    assert list(tmp_path.iterdir()) == [own]


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(RunError, match=r"nobody@127\.0\.0\.1:1/none.*cannot be opened"):
        open_mirror("postgresql://nobody@127.0.0.1:1/none", tmp_path, "x")


def test_a_database_that_fails_under_way_is_named_and_caught_up(tmp_path: Path) -> None:
    def rename(table: str, name: str) -> None:
        with closing(sqlite3.connect(tmp_path / "optuna.db")) as database:
            database.execute(f"ALTER TABLE {table} RENAME TO {name}")

    mirror = open_mirror("sqlite", tmp_path, "x")
    strategy = OptunaStrategy(SEARCH, seed=1, cohort=6, mirror=mirror)
    told = tell(strategy, 1)
    rename("trial_values", "gone")
    with pytest.raises(RunError, match=r"'sqlite' takes no trials \(.*no such table") as failed:
        tell(strategy, 1)
    assert "resume the run" in str(failed.value)
    rename("gone", "trial_values")
    assert len(back("sqlite", tmp_path, "x").trials) == 6  # a cohort is there whole, or not at all
    again = open_mirror("sqlite", tmp_path, "x")
    tell(OptunaStrategy(SEARCH, seed=1, cohort=6, mirror=again, history=told), 1)
    assert len(back("sqlite", tmp_path, "x").trials) == 12


class Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name above
        pass


def test_the_dashboard_opens_the_storage(storage: str, tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    name = f"shown-{uuid.uuid4().hex[:8]}"
    mirror = open_mirror(storage, tmp_path, name)
    tell(OptunaStrategy(SEARCH, seed=1, cohort=6, mirror=mirror), 1)
    study = back(storage, tmp_path, name)
    app = dashboard.wsgi(study._storage)
    with make_server("127.0.0.1", 0, app, handler_class=Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}/api/studies/{study._study_id}?after=0"
        with urllib.request.urlopen(place) as answer:
            shown = json.load(answer)
        server.shutdown()
    assert len(shown["trials"]) == 6
