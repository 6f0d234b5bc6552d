"""Monitoring over history: what it would have said of a finished run's model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from windtunnel import artifacts
from windtunnel.data import align
from windtunnel.data.panel import Panel
from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.replay import score_panel
from windtunnel.errors import RunError
from windtunnel.events import AlertRaised, AlertResolved, Event
from windtunnel.features.compute import compute
from windtunnel.labels import make_labels
from windtunnel.monitoring.bars import as_moment
from windtunnel.monitoring.continued import continued_bars
from windtunnel.monitoring.monitor import make_manager
from windtunnel.monitoring.settings import MonitorFile
from windtunnel.monitoring.watch import ModelWatch
from windtunnel.runs import Run


@dataclass(frozen=True)
class Replay:
    """What monitoring said over a stretch of history.

    Attributes
    ----------
    subject : str
    first, last : datetime
        Of the bars watched.
    bars : int
    checks : polars.DataFrame
        One row a look for drift: time, size, threshold, drifted, leading, features.
    alerts : polars.DataFrame
        One row an alert: rule, severity, subject, since, until (null while it stands), what,
        value, threshold, advice, picture.
    ic : dict
        The live information coefficient at the end: mean, low, high, count; empty where the
        outcomes must not be looked at.
    note : str
        What was left out or is odd about the bars, and why; may be empty.
    """

    subject: str
    first: datetime
    last: datetime
    bars: int
    checks: pl.DataFrame
    alerts: pl.DataFrame
    ic: dict[str, float]
    note: str

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        head = (
            f"<b>{self.subject}</b>, {self.bars} bars from {self.first:%Y-%m-%d} to "
            f"{self.last:%Y-%m-%d}: {len(self.alerts)} alerts"
        )
        return f"<p>{head}</p>{self.alerts._repr_html_()}"


def replay(
    run: str | Path,
    settings: MonitorFile | None = None,
    *,
    bars: str | Path | pl.DataFrame | pl.LazyFrame | None = None,
    out: str | Path | None = None,
) -> Replay:
    """Feed the model of a finished run with the bars after its training, one after the other.

    A decision's outcome is told to the monitor on the bar on which it was known. Nothing is
    sent to any sink.

    Parameters
    ----------
    run : path
        A run directory.
    settings : MonitorFile, optional
        The defaults when absent.
    bars : path or DataFrame, optional
        Bars that have come since the run, see `continued_bars`.
    out : path, optional
        Folder for `alerts.jsonl` and pictures; nothing is written when absent.

    Raises
    ------
    RunError
        The run is not complete.
    DataError, MonitoringError
        The bars or the bundle cannot be used.
    """
    opened = Run.open(Path(run))
    if not opened.complete:
        raise RunError(
            f"run {opened.id} is not complete", f"Finish it with `windtunnel resume {opened.path}`"
        )
    study, result = opened.study(), opened.result()
    history = continued_bars(opened, bars)
    panel = align.to_panel(history.bars)
    bundle = load_bundle(opened.path / "bundle")
    trained = np.datetime64(bundle.manifest.periods["train"][1], "us")
    first = max(
        int(np.searchsorted(panel.timestamps, trained, side="right")), bundle.manifest.warmup
    )
    if first >= panel.bars:
        raise RunError(
            f"run {opened.id}: no bar lies after the training, which ends on {trained}",
            "Give newer bars",
        )
    sealed = _sealed_until(panel, result, bundle.manifest.periods)
    features = compute(panel, bundle.manifest.features).values
    scores = score_panel(bundle, panel, first)
    labels = make_labels(panel, study.label)
    watch = ModelWatch(bundle, int(result["model"]["version"]), settings or MonitorFile())
    events: list[Event] = []
    folder = Path(out) if out is not None else None
    manager = make_manager(
        settings or MonitorFile(),
        folder or Path(),
        emit=events.append,
        deliver=False,
        keep_state=False,
        pictures=folder is not None,
    )
    due = _due(labels.end, first, panel.bars)
    for t in range(first, panel.bars):
        at = as_moment(panel.timestamps[t])
        manager.consider(watch.tick(at))
        here = np.flatnonzero(panel.listed[t])
        symbols = tuple(panel.symbols[n] for n in here)
        watched = watch.bar(at, symbols, features[t, here], scores[t - first, here])
        manager.consider([*watched, *watch.close()])
        for decided in due.get(t, ()):
            if decided < sealed:
                continue
            values = labels.values[decided]
            known = {
                symbol: float(value)
                for symbol, value in zip(panel.symbols, values, strict=True)
                if np.isfinite(value)
            }
            manager.consider(watch.outcomes(as_moment(panel.timestamps[decided]), known))
    found = watch.skill.ic() if watch.skill is not None else None
    notes = [each for each in (history.seam, *(f"{odd}." for odd in history.warnings)) if each]
    if sealed > first:
        notes.append(
            "The holdout of this run is sealed, so no outcome within it was looked at: skill and "
            "calibration are watched on later bars alone."
        )
    if watch.unkept:
        notes.append(f"False alarms of drift may come more often than asked for: {watch.unkept}.")
    done = Replay(
        subject=watch.subject,
        first=as_moment(panel.timestamps[first]),
        last=as_moment(panel.timestamps[-1]),
        bars=panel.bars - first,
        checks=_check_table(watch),
        alerts=alert_table(events),
        ic={} if found is None or not found.count else vars(found),
        note=" ".join(notes),
    )
    if folder is not None:
        lines = [json.dumps(row, default=str) for row in done.alerts.to_dicts()]
        artifacts.write_text(folder / "alerts.jsonl", "".join(line + "\n" for line in lines))
    return done


def alert_table(events: list[Event]) -> pl.DataFrame:
    """Alerts as a table, each with the moment at which it ended, if it did."""
    rows: list[dict[str, Any]] = []
    standing: dict[tuple[str, str], dict[str, Any]] = {}
    for event in events:
        if isinstance(event, AlertRaised):
            row = {
                "rule": event.rule,
                "severity": event.severity,
                "subject": event.subject,
                "since": event.since,
                "until": None,
                "what": event.what,
                "value": event.value,
                "threshold": event.threshold,
                "advice": event.advice,
                "picture": event.picture,
            }
            rows.append(row)
            standing[event.rule, event.subject] = row
        elif isinstance(event, AlertResolved):
            standing.pop((event.rule, event.subject))["until"] = event.until
    kinds = {"value": pl.Float64, "threshold": pl.Float64}
    names = (
        "rule",
        "severity",
        "subject",
        "since",
        "until",
        "what",
        "value",
        "threshold",
        "advice",
        "picture",
    )
    return pl.DataFrame(rows, schema={name: kinds.get(name, pl.String) for name in names})


def _sealed_until(panel: Panel, result: dict[str, Any], periods: dict[str, tuple[str, str]]) -> int:
    """The first bar whose outcome may be looked at: a sealed holdout stays sealed."""
    if result["holdout"]["opened"]:
        return 0
    end = np.datetime64(periods["holdout"][1], "us")
    return int(np.searchsorted(panel.timestamps, end, side="right"))


def _due(end: np.ndarray[Any, Any], first: int, bars: int) -> dict[int, list[int]]:
    """The bars whose outcomes are all known on each bar, oldest first."""
    due: dict[int, list[int]] = {}
    for t in range(first, bars):
        known = int(end[t].max(initial=-1))
        if known >= 0:
            due.setdefault(known, []).append(t)
    return due


def _check_table(watch: ModelWatch) -> pl.DataFrame:
    rows = [
        {
            "time": at,
            "size": check.size,
            "threshold": check.threshold,
            "drifted": check.drifted,
            "leading": check.leading,
            "features": ", ".join(check.features),
        }
        for at, check in watch.checks
    ]
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "time": pl.Datetime("us", "UTC"),
        "size": pl.Float64,
        "threshold": pl.Float64,
        "drifted": pl.Boolean,
        "leading": pl.String,
        "features": pl.String,
    }
    return pl.DataFrame(rows, schema=schema)
