"""The bank's pages: texts for people to write on, and the parts that the software generates.

A generated part stands between two comments. Everything outside them belongs to the people
who write the page and is never touched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank.entry import ExperimentEntry
from windtunnel.memory_bank.markdown import inline, link, paragraphs, table, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windtunnel.memory_bank.decision import Decision
    from windtunnel.memory_bank.records import Stored

# Columns of the table of experiments: head, table of the entry, name of the figure.
COLUMNS = (
    ("Trials", "figures", "trials.total"),
    ("Sharpe", "figures", "metrics.sharpe"),
    ("Deflated", "figures", "statistics.dsr"),
    ("Holdout Sharpe", "holdout", "metrics.sharpe"),
)

PROJECT_BRIEF = """\
# Project brief

What this project is for, what would count as success, and what is out of bounds. Write it
here; the software never changes this page.
"""

SYSTEM_PATTERNS = """\
# System patterns

How studies are set up here: the conventions of data, features, costs and validation that
every experiment keeps to, and why. Write it here; the software never changes this page.
"""

TECH_CONTEXT = """\
# Technical context

Machines, data sources and anything unusual about them. Write it here, outside the lines
that are generated.
"""

ACTIVE_CONTEXT = """\
# Active context

Where the project stands. Add what you are about to do and why, outside the lines that are
generated.
"""

PROGRESS = """\
# Progress

Every experiment, newest first. Figures are those of the champion out of sample, after costs;
"Deflated" is the probability that its Sharpe ratio is above what luck would reach in as many
trials.
"""

DECISION_LOG = """\
# Decision log

Decisions in the order in which they were made, each with its reason.
"""

# Page, its text when it is new, and the generated part that it carries, if any.
PAGES = {
    "project_brief.md": (PROJECT_BRIEF, None),
    "active_context.md": (ACTIVE_CONTEXT, "active context"),
    "system_patterns.md": (SYSTEM_PATTERNS, None),
    "tech_context.md": (TECH_CONTEXT, "versions"),
    "progress.md": (PROGRESS, "experiments"),
    "decision_log.md": (DECISION_LOG, "decisions"),
}


def generated(
    part: str,
    experiments: Sequence[Stored[ExperimentEntry]],
    decisions: Sequence[Stored[Decision]],
) -> str:
    """Generate one part from what is recorded.

    Parameters
    ----------
    part : str
        A name from `PAGES`.
    experiments, decisions : sequences of Stored
        Oldest first; those that cannot be read are named in their place.
    """
    if part == "experiments":
        return _experiments(experiments)
    if part == "decisions":
        return _decisions(decisions)
    readable = [each.record for each in experiments if each.record is not None]
    if part == "versions":
        return _versions(readable)
    return _active(experiments, decisions)


def place(text: str, part: str, content: str) -> str:
    """Put a generated part into a page, in place of the one before or at its end.

    Raises
    ------
    MemoryBankError
        The comments around the part are damaged.
    """
    begin, end = marks(part)
    block = f"{begin}\n\n{content}\n\n{end}"
    if begin not in text and end not in text:
        return f"{text.rstrip()}\n\n{block}\n" if text.strip() else f"{block}\n"
    start, stop = text.find(begin), text.find(end)
    if text.count(begin) != 1 or text.count(end) != 1 or stop < start:
        raise MemoryBankError(
            f"the comments around the generated part {part!r} are damaged",
            f"Leave one line {begin!r} and after it one line {end!r}, or neither",
        )
    return text[:start] + block + text[stop + len(end) :]


def marks(part: str) -> tuple[str, str]:
    """Return the comments before and after a generated part."""
    return (
        f"<!-- generated: {part}; changes up to the next comment are overwritten -->",
        f"<!-- end of generated: {part} -->",
    )


def _experiments(experiments: Sequence[Stored[ExperimentEntry]]) -> str:
    if not experiments:
        return "No experiment has been recorded yet."
    heads = ["Date", "Experiment", "Study", *(head for head, _, _ in COLUMNS), "Finding"]
    rows = []
    for stored in reversed(experiments):
        target = link(stored.path.stem, f"experiments/{stored.path.name}")
        entry = stored.record
        if entry is None:
            blank = [value(None)] * (len(heads) - 3)
            problem = f"cannot be trusted: {inline(stored.problem)}"
            rows.append([value(None), target, *blank, problem])
            continue
        figures = [value(getattr(entry, kind).get(name)) for _, kind, name in COLUMNS]
        day = f"{entry.created:%Y-%m-%d}"
        rows.append([day, target, inline(entry.study), *figures, inline(entry.headline)])
    return table(heads, rows)


def _decisions(decisions: Sequence[Stored[Decision]]) -> str:
    if not decisions:
        return "No decision has been recorded yet."
    parts = []
    for stored in decisions:
        target = f"decisions/{stored.path.name}"
        decision = stored.record
        if decision is None:
            parts.append(f"## {link(stored.path.stem, target)}")
            parts.append(f"Cannot be trusted: {inline(stored.problem)}")
            continue
        parts.append(f"## {decision.made:%Y-%m-%d}: {link(decision.text, target)}")
        parts.append(paragraphs(decision.why))
    return "\n\n".join(parts)


def _versions(entries: Sequence[ExperimentEntry]) -> str:
    if not entries:
        return "Versions are shown here once an experiment has been recorded."
    latest = entries[-1]
    rows = [[inline(name), value(version)] for name, version in latest.versions.items()]
    return f"Versions behind the latest experiment, `{latest.run_id}`:\n\n" + table(
        ["package", "version"], rows
    )


def _active(
    experiments: Sequence[Stored[ExperimentEntry]], decisions: Sequence[Stored[Decision]]
) -> str:
    counted = f"Recorded so far: {len(experiments)} experiments, {len(decisions)} decisions."
    parts = [re.sub(r"\b1 (\w+)s\b", r"1 \1", counted)]
    latest = next((each for each in reversed(experiments) if each.record is not None), None)
    if latest is None or latest.record is None:
        parts.append("No experiment has been recorded yet; `windtunnel run STUDY` records one.")
    else:
        entry = latest.record
        target = link(latest.path.stem, f"experiments/{latest.path.name}")
        parts += [
            f"## Latest experiment: {target}, {entry.created:%Y-%m-%d}",
            f"**{inline(entry.headline)}**",
            paragraphs(entry.verdict),
        ]
    last = next((each for each in reversed(decisions) if each.record is not None), None)
    if last is not None and last.record is not None:
        target = link(last.record.text, f"decisions/{last.path.name}")
        parts += [f"## Latest decision: {target}, {last.record.made:%Y-%m-%d}"]
        parts += [paragraphs(last.record.why)]
    return "\n\n".join(part for part in parts if part)
