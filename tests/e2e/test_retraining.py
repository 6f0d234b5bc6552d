"""The loop closed: a regime shifts, an alert begins a re-study, its champion comes to serve."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import windtunnel as wt
from windtunnel.data.align import to_panel
from windtunnel.deployment.registry import Registry
from windtunnel.deployment.replay import score_panel
from windtunnel.errors import DataError, RetrainError
from windtunnel.events import AlertRaised, Event, EventBus, RetrainDecided, RowsScored, Warned
from windtunnel.features.compute import compute
from windtunnel.memory_bank import MemoryBank, Remember
from windtunnel.monitoring.alerts.standing import Standing, write_standing
from windtunnel.monitoring.canary_action import act
from windtunnel.monitoring.canary_judge import CanaryJudge
from windtunnel.monitoring.canary_terms import Terms
from windtunnel.monitoring.monitor import attach
from windtunnel.monitoring.settings import MonitorFile, RetrainSection
from windtunnel.retraining import RetrainOnAlert, _check_caps, alert_stands, newest_run, retrain

BARS, NEW = 1100, 160
STUDY = {
    "study": {"name": "planted", "trials": 16, "cohort": 16, "seed": 1},
    "data": {"periods_per_year": 252},
    "features": {"use": ["return_1", "volatility_5"]},
    "label": {"horizon": 1},
    "validation": {
        "folds": 2,
        "train_bars": 200,
        "embargo_bars": 1,
        "holdout_bars": 120,
        "min_train_rows": 50,
        "path_groups": 4,
        "path_tested": 1,
    },
    "model": {"family": "linear"},
    "training": {"steps": 60, "batch_size": 64},
    "policy": {"direction": "long_short"},
    "search": {
        "training.learning_rate": {"low": 0.01, "high": 0.1, "log": True},
        "policy.enter": {"low": 0.0, "high": 0.6},
    },
}
SETTINGS = MonitorFile.model_validate(
    {
        "drift": {"window": 40, "stride": 20, "false_alarm_bars": 1000, "resamples": 200},
        "retrain": {"trials": 16, "per_month": 1, "weight": 0.2},
    }
)


def planted_bars() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns that half of tomorrow follow from today's; at the end five times as large."""
    random = np.random.default_rng(3)
    total = BARS + NEW
    stamps = [datetime(2015, 1, 1, tzinfo=UTC) + timedelta(days=k) for k in range(total)]
    size = np.where(np.arange(total) < BARS, 0.01, 0.05)
    parts = []
    for symbol in ("A", "B"):
        shocks, returns = random.normal(size=total), np.zeros(total)
        for t in range(1, total):
            returns[t] = 0.5 * returns[t - 1] * size[t] / size[t - 1] + size[t] * shocks[t]
        close = 100 * np.exp(returns.cumsum())
        opened = np.concatenate([[100.0], close[:-1]])
        parts.append(
            pl.DataFrame(
                {
                    "timestamp": stamps,
                    "symbol": [symbol] * total,
                    "open": opened,
                    "high": np.maximum(opened, close) * 1.001,
                    "low": np.minimum(opened, close) / 1.001,
                    "close": close,
                    "volume": np.full(total, 1e6),
                }
            )
        )
    everything = pl.concat(parts).sort("timestamp", "symbol")
    return everything.filter(pl.col("timestamp") < stamps[BARS]), everything


def stream(bus: EventBus, registry: Registry, everything: pl.DataFrame) -> None:
    """Let the champion score the new bars, one after the other, as a service would."""
    champion = registry.resolve("planted", "champion")
    bundle = registry.load(champion)
    panel = to_panel(everything)
    features = compute(panel, bundle.manifest.features).values
    scores = score_panel(bundle, panel, BARS)
    for t in range(BARS, panel.bars):
        stamps = np.full(panel.instruments, panel.timestamps[t])
        bus.emit(
            RowsScored(
                "planted",
                champion.version,
                features[t],
                scores[t - BARS],
                stamps,
                panel.symbols,
            )
        )


def judged(registry: Registry, failing: float) -> Any:
    """Let the judge see answers of champion and canary until it rules, and do what it says."""
    judge = CanaryJudge(Terms(fewest=50))
    random = np.random.default_rng(5)
    while True:
        for _ in range(100):
            judge.answered("champion", 0.001)
            if random.random() < failing:
                judge.failed("canary")
            else:
                judge.answered("canary", 0.001)
        ruling = judge.rule()
        if ruling.decision != "wait":
            return act(registry, registry.state("planted"), ruling)


@pytest.mark.slow
def test_from_a_shift_to_a_new_champion_and_back(tmp_path: Path) -> None:
    own, everything = planted_bars()
    place = tmp_path / "elsewhere"  # services and studies may share a registry of their own
    first = wt.Study.from_dict(STUDY, bars=own).run(tmp_path, registry=place)
    bank = MemoryBank(tmp_path / "memory_bank")
    bus = EventBus()
    bus.subscribe(Remember(bank), *Remember.kinds)
    registry = Registry(place, bus=bus)
    assert registry.state("planted").champion == 1
    assert registry.history("planted")[-1]["forced"] == [], "it passed the gate by itself"

    trigger = RetrainOnAlert(
        lambda: newest_run(tmp_path, "planted"),
        lambda: everything,
        SETTINGS.retrain,
        registry=place,
    )
    alerts: list[AlertRaised] = []
    bus.subscribe(alerts.append, AlertRaised)
    bus.subscribe(trigger, *RetrainOnAlert.kinds)
    watching = attach(
        bus,
        lambda model, version: registry.load(registry.resolve(model, version)),
        SETTINGS,
        tmp_path / "monitoring",
    )
    stream(bus, registry, everything)
    assert watching.queued.drain(600)
    assert watching.close()

    # The shift was noticed, its picture drawn, and the study carried out again.
    assert sorted(alert.rule for alert in alerts) == ["features drift", "stream has changed"]
    state = tmp_path / "monitoring" / "alerts.json"
    assert alert_stands(state, ("features drift",), "planted", 1)
    assert bus.failures(trigger) == 0
    (done,) = trigger.done
    assert trigger.refused == []
    assert done.result.run.path != first.run.path
    study = done.result.run.study()
    # Its holdout is new bars alone, which nobody has read.
    assert study.validation.holdout_bars == 120
    assert all(finding.passed for finding in done.findings), done.sentence
    state = registry.state("planted")
    assert state.champion == 1
    assert state.canary is not None
    assert (state.canary.version, state.canary.weight) == (2, 0.2)
    assert not (tmp_path / "registry").exists(), "it is registered once, where it serves"

    # The judge promotes a canary that is as good, and withdraws one that fails.
    assert judged(registry, failing=0.0).champion == 2
    registry.start_canary("planted", 1, weight=0.2, why="the old one once more", who="test")
    after = judged(registry, failing=0.3)
    assert after.champion == 2
    assert after.canary is None

    # A second re-study at once is refused, and that is on record too.
    with pytest.raises(RetrainError, match="cooldown"):
        retrain(first.run.path, everything, why="impatience", settings=SETTINGS.retrain)

    told = {
        kind: " ".join(page.read_text() for page in (bank.path / kind).glob("*.md"))
        for kind in ("alerts", "retrainings", "promotions", "rollbacks", "experiments")
    }
    assert "training rows" in told["alerts"]
    assert "planted is studied again" in told["retrainings"]
    assert "refused" in told["retrainings"]
    assert "version 2 became canary" in told["promotions"]
    assert "version 2 became champion" in told["promotions"]
    assert "canary" in told["rollbacks"]
    assert done.result.run.id in told["experiments"]
    assert list((bank.path / "pictures").glob("*.svg"))
    assert bank.verify() == []


NOW = datetime(2026, 6, 1, tzinfo=UTC)


def entries(*days: int, model: str = "m", trials: int = 100) -> list[dict[str, Any]]:
    return [
        {"model": model, "time": (NOW - timedelta(days=day)).isoformat(), "trials": trials}
        for day in days
    ]


@pytest.mark.parametrize(
    ("earlier", "settings", "named"),
    [
        (entries(3), {}, "3 days ago, retrain.cooldown is 7 days"),
        (entries(20, 10), {}, "2 began within 30 days"),
        (entries(10), {"trials_per_month": 150}, "100 trials are wanted, 50 of"),
        (entries(40, 35), {"trials_per_month": 100}, None),
        (entries(1, model="other"), {}, None),
        # A clock that ran fast blocks nothing for years, and buys no trial either.
        (entries(-400), {}, None),
        (entries(-400, 3), {}, "3 days ago, retrain.cooldown is 7 days"),
        (entries(-400, -401), {}, "2 began within 30 days"),
        ([], {}, None),
    ],
)
def test_frequency_and_budget_are_kept(earlier, settings, named: str | None) -> None:
    section = RetrainSection.model_validate(settings)
    if named is None:
        _check_caps(earlier, "m", 100, section, NOW)
    else:
        with pytest.raises(RetrainError, match=named):
            _check_caps(earlier, "m", 100, section, NOW)


def test_too_few_new_bars_are_refused_before_anything_is_spent(
    finished: Any, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    shutil.copytree(finished.run, workspace / "runs" / finished.run.name)
    own = pl.read_parquet(finished.run / "bars.parquet")
    last = own.filter(pl.col("timestamp") == own["timestamp"].max())
    newer = last.with_columns(pl.col("timestamp") + timedelta(days=1))
    told: list[Event] = []
    with pytest.raises(RetrainError, match="1 bars have come since"):
        retrain(workspace / "runs" / finished.run.name, newer, why="x", observers=(told.append,))
    warned, decided = told
    assert isinstance(warned, Warned)
    assert "share none with the run's own" in warned.message
    assert isinstance(decided, RetrainDecided)
    assert not decided.begins
    assert not (workspace / "retraining.jsonl").exists()


def test_a_registry_without_the_model_is_refused_before_anything_is_spent(
    finished: Any, windtunnel: Any, wild_bars: Any, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    run = workspace / "runs" / finished.run.name
    shutil.copytree(finished.run, run)
    newer = tmp_path / "newer.parquet"
    wild_bars(pl.read_parquet(run / "bars.parquet"), 70, 1.0, seed=1).write_parquet(newer)
    (tmp_path / "elsewhere").mkdir()
    registry = ("--registry", tmp_path / "elsewhere")
    done = windtunnel("retrain", "small", "--bars", newer, *registry, cwd=workspace)
    assert done.returncode == 7
    assert "has no model 'small'" in " ".join(done.stderr.split())
    assert [path.name for path in workspace.iterdir()] == ["runs"]
    assert [path.name for path in (workspace / "runs").iterdir()] == [run.name]


def standing(path: Path, **changed: Any) -> Path:
    """The state of a monitor in which one alert stands, `changed` in part."""
    row = {"rule": "features drift", "subject": "m version 3", "raised": True} | changed
    kept = Standing(raised=row["raised"], what="x")
    write_standing(path, {(row["rule"], row["subject"]): kept})
    return path


@pytest.mark.parametrize(
    ("changed", "calls"),
    [
        ({}, True),
        ({"subject": "m version 3 features"}, True),
        ({"subject": "m"}, True),
        ({"raised": False}, False),
        ({"rule": "bars are stale"}, False),
        ({"subject": "m version 2"}, False),
        ({"subject": "m version 30"}, False),
        ({"subject": "other version 3"}, False),
        ({"subject": "mm version 3"}, False),
        ({"subject": "m2"}, False),
    ],
)
def test_only_an_alert_on_what_serves_calls(changed: Any, calls: bool, tmp_path: Path) -> None:
    state = standing(tmp_path / "alerts.json", **changed)
    found = alert_stands(state, ("features drift",), "m", 3)
    subject = changed.get("subject", "m version 3")
    assert found == (f"alert 'features drift' on {subject}: x" if calls else None)
    found = alert_stands(state, ("features drift",), "m", None)
    assert (found is not None) == (subject == "m")


@pytest.fixture
def served(finished: Any, tmp_path: Path) -> Path:
    """The workspace of the finished study, its version promoted."""
    workspace = tmp_path / "workspace"
    shutil.copytree(finished.workspace / "registry", workspace / "registry")
    shutil.copytree(finished.run, workspace / "runs" / finished.run.name)
    Registry(workspace / "registry").promote("small", 1, why="to serve", force=True)
    return workspace


def test_a_timetable_does_nothing_while_no_alert_stands(
    windtunnel: Any, served: Path, tmp_path: Path
) -> None:
    state = standing(tmp_path / "alerts.json", subject="small version 2")
    command = ("retrain", "small", "--bars", "none.parquet", "--if-standing")
    done = windtunnel(*command, state, "--json", cwd=served)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "sentence": "No alert stands that calls for a re-study.",
        "began": False,
    }
    standing(state, subject="small version 1")
    done = windtunnel(*command, state, cwd=served)
    assert done.returncode == 3
    assert "there is no file 'none.parquet'" in " ".join(done.stderr.split())
    # A state that is not there says nothing of alerts.
    done = windtunnel(*command, tmp_path / "alrets.json", cwd=served)
    assert done.returncode == 11
    assert "alrets.json" in done.stderr.replace("\n", "")


def test_an_observer_studies_again_for_its_own_champion_alone(served: Path) -> None:
    asked: list[str] = []

    def newer() -> pl.DataFrame:
        asked.append("newer")
        raise DataError("there are none", "Wait")

    trigger = RetrainOnAlert(lambda: newest_run(served, "small"), newer, SETTINGS.retrain)
    alert = AlertRaised("features drift", "warning", "", "x", "2026-01-01T00:00:00Z", 2.0, 1.0, "")
    for subject in ("small version 2", "other version 1", "small version 10"):
        trigger(replace(alert, subject=subject))
    assert asked == []
    with pytest.raises(DataError):
        trigger(replace(alert, subject="small version 1"))
