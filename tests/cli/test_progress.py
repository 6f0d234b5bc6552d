"""What a person sees while a study runs, on a terminal and in a file."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from windtunnel import events
from windtunnel.cli.progress import ProgressDisplay


def cohort(at: int, best: float) -> events.CohortFinished:
    return events.CohortFinished(
        cohort=at,
        trials_done=8 * (at + 1),
        trials_here=8 * (at + 1),
        trials_total=24,
        failed=1,
        best=best,
        seconds=2.0,
        pruned=6,
        survivors=(4, 2, 1),
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_survivors_of_the_rungs_and_the_best_as_a_sparkline(terminal: bool) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=200, color_system=None)
    with ProgressDisplay(console) as show:
        show(events.TuningStarted(0, 24))
        for at, best in enumerate((0.5, 0.75, 1.0)):
            show(cohort(at, best))
            if terminal:
                show._progress.refresh()
        show(events.StageStarted("report", ""))
    shown = text.getvalue()
    assert "Tuning (24 trials)" in shown
    for line in ("best 0.500 ▁ ", "best 0.750 ▁█ ", "best 1.000 ▁▅█ "):
        assert line in shown
    assert "rungs 4 > 2 > 1" in shown
    assert "1 failed" in shown
    assert "4.0 trials/s" in shown
    assert re.search(r"24/24", shown)
    assert "Writing the report" in shown
    assert ("\x1b[" in shown) == terminal  # a bar that moves, or lines that stay


@pytest.mark.parametrize("words", ["no column in [data]; pip install 'x[boosting]'", "x [/nope] y"])
def test_brackets_of_others_are_words_and_not_markup(words: str) -> None:
    text = io.StringIO()
    console = Console(file=text, width=200, color_system=None)
    with ProgressDisplay(console) as show:
        show(events.Warned(words))
        show(events.StageStarted("audit", words))
    assert text.getvalue().splitlines() == [f"note {words}", f"Auditing the study ({words})"]
