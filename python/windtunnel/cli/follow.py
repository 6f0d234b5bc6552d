"""`windtunnel watch` and `windtunnel work`: a running study from another terminal."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape

from windtunnel.cli.sparkline import sparkline
from windtunnel.runs import Run

RunPath = Annotated[Path, typer.Argument(help="A run directory, below runs/.")]

# Files that appear as a run comes to its end, and what is then under way.
STAGES = (
    ("trials.parquet", "judging the champion"),
    ("holdout.parquet", "writing the report"),
    ("report.html", "exporting and registering"),
)


def watch(
    run: RunPath,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.05)] = 1.0,
    once: Annotated[bool, typer.Option(help="Show how it stands, and do not wait.")] = False,
) -> None:
    """Follow a running study from another terminal; reads only what it has committed."""
    opened = Run.open(run)
    console = Console()
    seen = Standing(opened.study().study.trials)
    said = ""
    while True:
        # Before looking: what was committed until then is shown before the end is told.
        ended = opened.complete or not opened.is_led()
        lines = seen.read(opened)
        for line in lines[-1:] if once else lines:
            console.print(line, highlight=False)
        stage = next((text for name, text in STAGES[::-1] if (opened.path / name).exists()), "")
        if stage and stage != said and not opened.complete:
            console.print(f"[bold]{stage}[/]", highlight=False)
            said = stage
        if opened.complete:
            headline = escape(opened.result()["verdict"]["headline"])
            console.print(f"[bold]{headline}[/]", highlight=False)
            return
        if ended:
            console.print(
                f"nobody carries it out; go on with `windtunnel resume {escape(str(opened.path))}`"
            )
            return
        if once:
            return
        time.sleep(every)


def work(run: RunPath) -> None:
    """Help the process that carries a study out, if it shares parts out (tuning.parts)."""
    from windtunnel.experiments import work_on  # noqa: PLC0415 - imports jax

    parts = work_on(run)
    Console().print(f"{parts} parts were trained here; the search has ended")


@dataclass
class Standing:
    """What was seen of a run's cohorts so far."""

    wanted: int
    best: list[float] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)

    def read(self, run: Run) -> list[str]:
        """A line for each cohort that was committed since."""
        lines: list[str] = []
        while True:
            path = run.path / "cohorts" / f"{len(self.best):04d}" / "trials.parquet"
            if not path.is_file():
                return lines
            lines.append(self._line(pl.read_parquet(path)))

    def _line(self, table: pl.DataFrame) -> str:
        before = self.best[-1] if self.best else -math.inf
        self.best.append(max([before, *table["objective"].drop_nulls().to_list()]))
        self.states.update(table["state"].to_list())
        text = (
            f"{sum(self.states.values())}/{self.wanted} trials  "
            f"best {self.best[-1]:.3f}  [cyan]{sparkline(self.best)}[/]"
        )
        if "steps" in table.columns and "pruned" in table["state"].to_list():
            reached = table["steps"].unique().sort().to_list()
            left = [int((table["steps"] >= step).sum()) for step in reached]
            text += "  rungs " + " > ".join(map(str, left))
        if self.states["failed"]:
            text += f"  [yellow]{self.states['failed']} failed[/]"
        return text
