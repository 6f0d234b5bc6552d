"""The facade: one call takes a study from bars to a registered model, and resumes it.

The only module that joins data, trainers, validation, tuning, reports, deployment and the
memory bank; each of these knows nothing of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from windtunnel import artifacts, conclusion, environment, events, notebook, tracking
from windtunnel.assessor import Assessor, assessor_for
from windtunnel.campaign import Campaign
from windtunnel.config import StudyFile, load_study_file, parse_study
from windtunnel.config.bucket import LABEL_NAMES
from windtunnel.config.search import Value
from windtunnel.course import Course
from windtunnel.data import align, load, quality
from windtunnel.data.panel import Panel
from windtunnel.errors import RunError, first_line
from windtunnel.executors import executor_of
from windtunnel.findings import Work
from windtunnel.judgement import choose_champion
from windtunnel.protocols import TrainingTask
from windtunnel.runs import Run, run_id
from windtunnel.shared_parts import help_with
from windtunnel.supervised_rival import rival_study, supervised_rival
from windtunnel.trainers import compiling, devices
from windtunnel.trainers.own import own_trainer
from windtunnel.validation import Pipeline

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class StudyResult:
    """A complete run, read from its directory.

    Attributes
    ----------
    run : Run
        Where everything is.
    trials : polars.DataFrame
        One row per trial: number, cohort, state, objective, parameters, metrics.
    figures : dict
        What `result.json` holds: champion, verdict, statistics, holdout, registered version.
    """

    run: Run
    trials: pl.DataFrame
    figures: dict[str, Any]

    @classmethod
    def load(cls, run: Run) -> StudyResult:
        """Read a complete run.

        Raises
        ------
        RunError
            The run is not complete, or a file of it cannot be read.
        """
        if not run.complete:
            raise RunError(
                f"run {run.id} is not complete", f"Finish it with `windtunnel resume {run.path}`"
            )
        try:
            return cls(run, pl.read_parquet(run.path / "trials.parquet"), run.result())
        except (pl.exceptions.PolarsError, ValueError, OSError) as error:
            raise RunError(
                f"run {run.id} is damaged: {first_line(error)}",
                f"`windtunnel verify {run.path}` names the files; restore them, or run the study "
                "anew with --fresh",
            ) from None

    @property
    def verdict(self) -> str:
        """The honest verdict in one sentence."""
        return str(self.figures["verdict"]["headline"])

    @property
    def champion(self) -> dict[str, float]:
        """The champion's searched parameters."""
        return dict(self.figures["champion"]["params"])

    @property
    def bundle(self) -> Path:
        """The exported model."""
        return self.run.path / "bundle"

    def plot(self) -> Figure:
        """The champion's equity over the validation slices, as a Plotly figure."""
        return notebook.figure(self.run, self.figures)

    def _repr_html_(self) -> str:
        return notebook.html(self.run, self.figures)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report to `path`; without one, say where the run keeps it.

        The ending decides: '.pdf' and '.png' are made by a headless Chromium, '.html' is the
        page itself.

        Raises
        ------
        ReportError
            The ending is another one; or there is no Chromium for a PDF or PNG, or it fails.
        """
        kept = self.run.path / "report.html"
        if path is None:
            return kept
        if Path(path).suffix.lower() not in {".html", ".htm"}:
            from windtunnel.reports.browser import export  # noqa: PLC0415 - seldom wanted

            return export(kept, path)
        artifacts.write_bytes(path, kept.read_bytes())
        return Path(path)


@dataclass
class Study:
    """A study file and, when given from Python, its bars.

    Parameters
    ----------
    file : StudyFile
        The validated study.
    base : Path
        Folder to which `data.source` is relative.
    bars : polars.DataFrame or LazyFrame, optional
        Bars in long form, used in place of `data.source`.
    origin : str, optional
        The study file as it was named, for the record of how to run it again.
    """

    file: StudyFile
    base: Path = field(default_factory=Path)
    bars: pl.DataFrame | pl.LazyFrame | None = None
    origin: str | None = None

    @classmethod
    def from_toml(
        cls, path: str | Path, *, bars: pl.DataFrame | pl.LazyFrame | None = None
    ) -> Study:
        """Read a study file; errors as in `windtunnel.config.load_study_file`."""
        given = Path(path)
        # Records are shared: a path of this machine alone would help nobody.
        origin = given.name if given.is_absolute() else given.as_posix()
        own = bars is None
        return cls(load_study_file(given), given.parent, bars, origin if own else None)

    @classmethod
    def from_dict(
        cls, raw: dict[str, Any], *, bars: pl.DataFrame | pl.LazyFrame | None = None
    ) -> Study:
        """Build a study from nested dictionaries with the study file's tables as keys."""
        if bars is not None:
            raw = {**raw, "data": {"source": "frame", **raw.get("data", {})}}
        return cls(parse_study(raw), Path(), bars)

    def run(
        self,
        workspace: str | Path = ".",
        *,
        observers: Sequence[events.Observer] = (),
        fresh: bool = False,
        open_holdout: str | None = None,
        registry: str | Path | None = None,
    ) -> StudyResult:
        """Carry the study out, or go on where an earlier attempt stopped.

        A study that was completed before, on the same bars, is not run again: its result is
        returned. Where and by whom trials are computed, and the memory budget, may change from
        attempt to attempt.

        Parameters
        ----------
        workspace : path
            Folder that holds `runs/`, `registry/` and `memory_bank/`.
        observers : sequence of callables
            Each is called with every event.
        fresh : bool
            Set an earlier run of this study aside and begin anew.
        open_holdout : str, optional
            Reason for reading a holdout that an earlier run has read. Recorded, and shown in
            every later report. Each look makes the holdout worth less.
        registry : path or URL, optional
            Where the champion is registered; the workspace's own registry when absent.

        Raises
        ------
        WindtunnelError
            Any of its subclasses: see `windtunnel.errors`.
        """
        run = self._directory(Path(workspace), fresh=fresh)
        return _carry_out(run, observers, open_holdout, self.file, registry)

    def _directory(self, workspace: Path, *, fresh: bool) -> Run:
        """The run's directory, made now or by an earlier attempt; all else is read from it."""
        section = self.file.data
        bars = (
            load.load_bars(section, self.base)
            if self.bars is None
            else load.normalise_bars(self.bars, section)
        )
        quality.gate(bars, section)
        path = workspace / "runs" / run_id(self.file, align.to_panel(bars).fingerprint)
        if fresh:
            Run(path).set_aside()
        source = None if self.bars is None else "bars given from Python"
        return Run.create(path, self.file, bars, origin=self.origin, source=source)


def resume(
    run: str | Path,
    *,
    observers: Sequence[events.Observer] = (),
    open_holdout: str | None = None,
) -> StudyResult:
    """Finish the run in directory `run`; a complete one is returned as it is.

    Raises
    ------
    RunError
        No run is there, another process works on it, or the environment changed.
    DataError
        Its study or its bars are not those that it began with.
    """
    return _carry_out(Run.open(Path(run)), observers, open_holdout)


def _carry_out(
    run: Run,
    observers: Sequence[events.Observer],
    open_holdout: str | None,
    given: StudyFile | None = None,
    registry: str | Path | None = None,
) -> StudyResult:
    """All stages of a run, each skipped where its outcome is on disk.

    `given` is the study of this attempt, None for the one that the directory holds; `registry`
    is None for that of the workspace.
    """
    if run.complete:
        return StudyResult.load(run)

    devices.configure_cpu()
    bus = events.EventBus(list(observers))
    with run.locked():
        if run.complete:  # by another process, before this one came to the lock
            return StudyResult.load(run)
        panel, gated = _bars_of(run)
        if given is not None:
            run.take_settings(given)
        study = run.study()
        run.hold_environment(environment.decisive())
        for warning in gated.warnings:
            bus.emit(events.Warned(warning))

        bus.emit(events.StageStarted("prepare", f"{panel.bars} bars x {panel.instruments}"))
        assessor = assessor_for(study, panel)
        if study.training.trainer == "rl":
            rival_study(study)  # what is wrong with it is told before the search, not after
        with compiling.counted() as compiled, executor_of(run, assessor) as executor:
            Campaign(run, assessor, executor, bus).carry_out()
        if compiled.prepared:  # otherwise an earlier attempt ended the search
            run.write_compilation(compiled.figures)
            bus.emit(events.ProgramsCompiled(compiled.compiled, compiled.read, compiled.seconds))
        beside = supervised_rival(run, assessor, bus)
        course, folds = _of_champion(run, assessor)

        def pipeline(task: TrainingTask) -> Pipeline:
            return Pipeline(course, own_trainer(task, course.study, study.study.seed))

        work = Work(run, course, gated, folds, pipeline, bus, beside)
        final = conclusion.conclude(work, open_holdout, registry)
        run.seal()
        bus.emit(events.StudyFinished(str(run.path), final))
    result = StudyResult.load(run)
    if study.tuning.mlflow is not None:
        tracking.track(result.run, study.tuning.mlflow)
    return result


def work_on(run: str | Path) -> int:
    """Help the process that carries a run out with the parts of its cohorts.

    Returns
    -------
    int
        How many parts were assessed here, when the search has ended.

    Raises
    ------
    RunError
        No run is there, no process carries it out, or the environment is another.
    DataError
        Its study or its bars are not those that it began with.
    """
    opened = Run.open(Path(run))
    if not opened.is_led():
        raise RunError(
            f"run {opened.id}: no process carries it out, there is nothing to help with",
            f"Start it with `windtunnel resume {opened.path}`, then help",
        )
    devices.configure_cpu()
    opened.hold_environment(environment.decisive())
    panel, _ = _bars_of(opened)
    return help_with(opened, assessor_for(opened.study(), panel))


def _bars_of(run: Run) -> tuple[Panel, quality.QualityReport]:
    """The bars in a run's directory, which are to be those of its name, as its study is."""
    section = run.study().data
    bars = load.load_bars(section, run.path)
    panel = align.to_panel(bars)
    run.hold_meaning(panel.fingerprint)
    return panel, quality.gate(bars, section)


def _of_champion(run: Run, assessor: Assessor) -> tuple[Course, Pipeline]:
    """What the champion was trained on: where labels were searched, its own."""
    params: dict[str, Value] = {}
    if any(name in assessor.study.search for name in LABEL_NAMES):
        trials = pl.concat([table for table, _ in run.cohorts()], how="diagonal")
        params = choose_champion(assessor.course, trials).params
    pipeline = assessor.pipeline(params)
    return pipeline.course, pipeline
