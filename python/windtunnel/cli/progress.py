"""What a person sees while a study runs: stages, trials done, best so far, time left."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from windtunnel import events
from windtunnel.cli.sparkline import sparkline

STAGES = {
    "prepare": "Preparing features, labels and folds",
    "rivals": "Tuning the supervised champion that the policy is set beside",
    "stress": "Stressing the champion: other costs, a later fill",
    "paths": "Cross-validating the champion on other histories",
    "refit": "Refitting the champion on all development bars",
    "holdout": "Opening the sealed holdout",
    "audit": "Auditing the study",
    "report": "Writing the report",
    "export": "Exporting and replaying the bundle",
    "register": "Registering the model",
    "remember": "Writing the memory bank",
}


class ProgressDisplay:
    """An observer that draws a live bar on a terminal and plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="cyan"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._tuning_seconds = 0.0
        self._best: list[float] = []

    def __enter__(self) -> Self:
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._progress.stop()

    def __call__(self, event: events.Event) -> None:
        """Show one event."""
        match event:
            case events.StageStarted(stage, detail):
                self._end_tuning()
                text = STAGES.get(stage, stage)
                self._say(f"[bold]{text}[/]" + (f" [dim]({escape(detail)})[/]" if detail else ""))
            case events.TuningStarted():
                self._begin_tuning(event)
            case events.CohortFinished():
                self._cohort(event)
            case events.ProgramsCompiled():
                self._end_tuning()
                self._say(
                    f"[dim]{event.compiled} programs compiled, {event.read} read from the cache, "
                    f"in {event.seconds:.1f} s[/]"
                )
            case events.Warned(message):
                self._say(f"[yellow]note[/] {escape(message)}")
            case _:
                self._end_tuning()

    def _begin_tuning(self, event: events.TuningStarted) -> None:
        done = f", {event.trials_done} of them done before" if event.trials_done else ""
        self._say(f"[bold]Tuning[/] [dim]({event.trials_total} trials{done})[/]")
        if self._live:
            self._task = self._progress.add_task(
                "  trials",
                total=event.trials_total,
                completed=event.trials_done,
                detail="the first cohort compiles",
            )

    def _cohort(self, event: events.CohortFinished) -> None:
        self._tuning_seconds += event.seconds
        rate = event.trials_here / self._tuning_seconds
        left = (event.trials_total - event.trials_done) / rate
        self._best.append(event.best)
        detail = (
            f"best {event.best:.3f} {sparkline(self._best)} {rate:.1f} trials/s, {left:.0f} s left"
        )
        if len(event.survivors) > 1:
            detail += f", rungs {' > '.join(map(str, event.survivors))}"
        if event.failed:
            detail += f", {event.failed} failed"
        if self._task is None:
            self._say(f"  {event.trials_done}/{event.trials_total} trials, {detail}")
        else:
            self._progress.update(self._task, completed=event.trials_done, detail=detail)

    def _end_tuning(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False)
