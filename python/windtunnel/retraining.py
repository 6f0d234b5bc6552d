"""A study once more, with the bars that have come since, and its champion as a canary.

Nothing here decides that a new model is better: the re-study passes through the same tests as
every study, its version through the same gate, and the canary through the same judge. What is
decided here is whether to begin at all, since every re-study costs trials and a look at a holdout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from windtunnel.append_only import AppendOnlyFile
from windtunnel.config.study import StudyFile
from windtunnel.deployment.gate import Finding, examine, failed
from windtunnel.deployment.registry import Registry, replay_certificate
from windtunnel.deployment.state import State
from windtunnel.errors import RetrainError, WindtunnelError
from windtunnel.events import AlertRaised, EventBus, Observer, RetrainDecided, Warned
from windtunnel.experiments import Study, StudyResult
from windtunnel.memory_bank import MemoryBank, Remember
from windtunnel.monitoring.alerts.condition import version_in
from windtunnel.monitoring.alerts.standing import read_standing
from windtunnel.monitoring.continued import continued_bars
from windtunnel.monitoring.settings import RetrainSection
from windtunnel.runs import Run

RECORD = "retraining.jsonl"
MONTH = timedelta(days=30)


@dataclass(frozen=True)
class Retrained:
    """What came of a re-study.

    Attributes
    ----------
    result : StudyResult
    version : int
    findings : tuple of Finding
        What the gate says of the version.
    state : State
        What serves now.
    sentence : str
        The outcome in words.
    """

    result: StudyResult
    version: int
    findings: tuple[Finding, ...]
    state: State
    sentence: str


def retrain(
    run: str | Path,
    newer: str | Path | pl.DataFrame | pl.LazyFrame,
    *,
    why: str,
    settings: RetrainSection | None = None,
    registry: str | Path | None = None,
    observers: Sequence[Observer] = (),
    now: datetime | None = None,
) -> Retrained:
    """Carry a run's study out again on its own bars and newer ones; start a canary if it passes.

    The holdout of the re-study is cut from the new bars alone, so that it is one that nobody
    has read. The version becomes a canary only if the gate of promotion passes it; promoting
    or withdrawing it is the judge's affair, or yours.

    Parameters
    ----------
    run : path
        A complete run below a workspace's `runs/`.
    newer : path or DataFrame
        See `continued_bars`.
    why : str
        For the record: an alert, a schedule, a wish.
    settings : RetrainSection, optional
        Budget and frequency; the defaults when absent.
    registry : path or URL, optional
        The workspace's own when absent. Another has to know the model.
    observers : sequence of callables
        Each sees the study's events and the decision.
    now : datetime, optional
        For the record and the caps; the present when absent.

    Raises
    ------
    RetrainError
        The frequency, the budget or the number of new bars does not allow it. This is
        recorded.
    RegistryError
        The registry does not know the model; nothing is spent then.
    WindtunnelError
        Whatever stops a study. The attempt counts against the caps.
    """
    settings = settings or RetrainSection()
    moment = now or datetime.now(UTC)
    opened = Run.open(Path(run))
    workspace = opened.path.absolute().parent.parent
    name = opened.study().study.name
    if registry is not None:
        Registry(registry).versions(name)  # it knows the model, before anything is spent
    bus = EventBus(observers)
    bank = MemoryBank(workspace / "memory_bank")
    bank.initialise()
    bus.subscribe(Remember(bank, clock=lambda: moment), RetrainDecided)
    history = continued_bars(opened, newer)
    if history.seam:
        bus.emit(Warned(history.seam))  # what the gate finds odd, the study says
    bars = history.bars
    record = AppendOnlyFile(workspace / RECORD, "record of re-studies")
    try:
        study = _restudied(opened, bars, settings)
        with record.exclusive() as file:
            _check_caps(file.read(), name, study.study.trials, settings, moment)
            file.append(
                {
                    "model": name,
                    "time": moment.isoformat(),
                    "trials": study.study.trials,
                    "from_run": opened.id,
                    "why": why,
                }
            )
    except RetrainError as error:
        bus.emit(RetrainDecided(name, begins=False, why=f"{why}. {error.problem}"))
        raise
    bus.emit(RetrainDecided(name, begins=True, why=why))
    result = Study(study, bars=bars).run(workspace, observers=observers, registry=registry)
    told = EventBus(observers)
    told.subscribe(Remember(bank, clock=lambda: moment), *Remember.kinds)
    kept = Registry(registry or workspace / "registry", bus=told)
    return _try_out(result, name, why, settings, kept)


def _restudied(run: Run, bars: pl.DataFrame, settings: RetrainSection) -> StudyFile:
    """The run's study with a holdout of new bars and trials within the budget."""
    study = run.study()
    last = pl.scan_parquet(run.path / "bars.parquet").select(pl.col("timestamp").max()).collect()
    new = bars.filter(pl.col("timestamp") > last.item())["timestamp"].n_unique()
    if new < settings.fewest_bars:
        raise RetrainError(
            f"re-study of {study.study.name!r}: {new} bars have come since run {run.id}, "
            f"retrain.fewest_bars asks for {settings.fewest_bars}",
            "Wait for more bars: the holdout of a re-study is cut from new ones alone",
        )
    trials = min(study.study.trials, settings.trials or study.study.trials)
    return study.model_copy(
        update={
            "study": study.study.model_copy(
                update={"trials": trials, "cohort": min(study.study.cohort, trials)}
            ),
            "validation": study.validation.model_copy(
                update={"holdout_bars": min(new, study.validation.holdout_bars)}
            ),
            "data": study.data.model_copy(
                update={"source": "frame", "start": None, "end": None, "columns": {}}
            ),
        }
    )


def _check_caps(
    earlier: Sequence[dict[str, Any]],
    name: str,
    trials: int,
    settings: RetrainSection,
    now: datetime,
) -> None:
    """Refuse what comes too soon, too often, or costs more trials than are left."""
    own = [
        (datetime.fromisoformat(entry["time"]), int(entry["trials"]))
        for entry in earlier
        if entry["model"] == name
    ]
    if not own:
        return
    # One that lies ahead was recorded by a clock that ran fast: it counts against the caps
    # below, but says nothing of how long ago it was.
    since = min((now - moment for moment, _ in own if moment <= now), default=settings.cooldown)
    if since < settings.cooldown:
        raise RetrainError(
            f"re-study of {name!r}: the last one began {_days(since)} ago, retrain.cooldown is "
            f"{_days(settings.cooldown)}",
            "Wait, or shorten the cooldown",
        )
    month = [spent for moment, spent in own if now - moment < MONTH]
    if len(month) >= settings.per_month:
        raise RetrainError(
            f"re-study of {name!r}: {len(month)} began within 30 days, retrain.per_month allows "
            f"{settings.per_month}",
            "Wait, or raise the cap; each re-study is one more chance to be lucky",
        )
    budget = settings.trials_per_month
    if budget is not None and sum(month) + trials > budget:
        raise RetrainError(
            f"re-study of {name!r}: {trials} trials are wanted, {budget - sum(month)} of "
            f"retrain.trials_per_month = {budget} are left",
            "Wait, raise the budget, or lower retrain.trials",
        )


def _try_out(
    result: StudyResult, name: str, why: str, settings: RetrainSection, registry: Registry
) -> Retrained:
    """Start a canary with the version if the gate of promotion would let it through."""
    found = registry.find(result.bundle)
    if found is None:
        found = registry.resolve(name, registry.register(result.bundle, note=f"re-study: {why}"))
    ok, certificate = replay_certificate(result.bundle)
    findings = examine(registry.manifest(found), replays=ok, certificate=certificate)
    state, lacking = registry.state(name), failed(findings)
    if lacking:
        reasons = "; ".join(each.sentence for each in findings if not each.passed)
        sentence = f"Version {found.version} is registered and does not become a canary: {reasons}."
    elif state.champion in (None, found.version):
        if state.champion is None:  # there is nothing to try it beside, as in a first study
            why = f"re-study: {why}; the first version to pass, nothing served before"
            generation = state.generation
            state = registry.promote(
                name, found.version, why=why, who="retrain", generation=generation
            )
        sentence = f"Version {found.version} is the first to pass the gate, and serves."
    elif state.canary is not None:
        sentence = (
            f"Version {found.version} is registered; version {state.canary.version} is on trial "
            "already."
        )
    elif settings.mode == "live" and (apart := registry.obstacles(state, found.version)):
        sentence = (
            f"Version {found.version} is registered and does not become a live canary: it cannot "
            f"answer what version {state.champion} is asked ({'; '.join(apart)})."
        )
    else:
        state = registry.start_canary(
            name,
            found.version,
            weight=settings.weight,
            mode=settings.mode,
            why=f"re-study: {why}",
            who="retrain",
            generation=state.generation,
        )
        sentence = (
            f"Version {found.version} is on trial as canary with {settings.weight:.0%} of the "
            "requests."
        )
    return Retrained(result, found.version, findings, state, sentence)


class RetrainOnAlert:
    """An observer that begins a re-study when one of its rules raises an alert on the champion.

    Put it behind a `QueuedObserver`: a re-study takes minutes. What is refused is recorded and
    logged by `retrain`; the caps keep a storm of alerts from becoming a storm of studies.

    Parameters
    ----------
    run : callable
        The newest complete run of the model.
    newer : callable
        The bars that have come since; called when they are needed.
    settings : RetrainSection
        `settings.rules` names the rules.
    clock : callable
    """

    kinds = (AlertRaised,)

    def __init__(
        self,
        run: Callable[[], Path],
        newer: Callable[[], str | Path | pl.DataFrame],
        settings: RetrainSection,
        *,
        registry: str | Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._run, self._newer, self._settings = run, newer, settings
        self._registry, self._clock = registry, clock
        self.done: list[Retrained] = []
        self.refused: list[WindtunnelError] = []

    def __call__(self, event: AlertRaised) -> None:
        """Begin a re-study if the alert is of one of the rules, and on what serves."""
        if event.rule not in self._settings.rules:
            return
        run = self._run()
        if not _calls(event.subject, *champion_of(run, self._registry)):
            return
        try:
            self.done.append(
                retrain(
                    run,
                    self._newer(),
                    why=f"alert {event.rule!r} on {event.subject}: {event.what}",
                    settings=self._settings,
                    registry=self._registry,
                    now=self._clock(),
                )
            )
        except RetrainError as error:
            self.refused.append(error)


def champion_of(run: str | Path, registry: str | Path | None = None) -> tuple[str, int | None]:
    """The model of a run and the version that serves, by its workspace's registry or another."""
    opened = Run.open(Path(run))
    name = opened.study().study.name
    place = registry or opened.path.absolute().parent.parent / "registry"
    return name, Registry(place).state(name).champion


def newest_run(workspace: str | Path, name: str) -> Path:
    """The complete run of a study's name that was finished last.

    Raises
    ------
    RetrainError
        There is none.
    """
    found = [
        path.parent
        for path in (Path(workspace) / "runs").glob("*/manifest.json")
        if Run(path.parent).study().study.name == name
    ]
    if not found:
        raise RetrainError(
            f"workspace {str(workspace)!r} holds no complete run of {name!r}",
            "Name a study that was carried out there; `windtunnel runs` lists them",
        )
    return max(found, key=lambda path: (path / "manifest.json").stat().st_mtime)


def alert_stands(
    state: str | Path, rules: Sequence[str], name: str, champion: int | None
) -> str | None:
    """Say which alert of these rules stands on a model's champion; None if none does.

    Parameters
    ----------
    state : path
        The `alerts.json` that a monitor keeps.
    rules : sequence of str
        Names of rules, as in `RetrainSection.rules`.
    name : str
    champion : int or None
        An alert on another version says nothing of what serves; None is no version.

    Raises
    ------
    MonitoringError
        There is no such file, or it is damaged: neither says that all is well.
    """
    for (rule, subject), kept in read_standing(Path(state)).items():
        if kept.raised and rule in rules and _calls(subject, name, champion):
            return f"alert {rule!r} on {subject}: {kept.what}"
    return None


def _calls(subject: str, name: str, champion: int | None) -> bool:
    """Whether an alert on `subject` is about the model's champion, or the model as a whole."""
    return subject == name or (champion is not None and version_in(subject, name) == champion)


def _days(span: timedelta) -> str:
    return f"{np.round(span / timedelta(days=1), 1):g} days"
