"""The bank's pages: texts for people to write on, and the parts that the software generates.

A generated part stands between two comments. Everything outside them belongs to the people
who write the page and is never touched.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank.entry import ExperimentEntry
from windtunnel.memory_bank.markdown import inline, link, paragraphs, table, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windtunnel.memory_bank.decision import Decision
    from windtunnel.memory_bank.occurrence import Occurrence
    from windtunnel.memory_bank.records import Records, Stored

Record = TypeVar("Record")

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

OPERATIONS = """\
# Operations

What happened to models in service, newest first: promotions, rollbacks, alerts
and re-studies.
"""

# Page, its text when it is new, and the generated part that it carries, if any.
PAGES = {
    "project_brief.md": (PROJECT_BRIEF, None),
    "active_context.md": (ACTIVE_CONTEXT, "active context"),
    "system_patterns.md": (SYSTEM_PATTERNS, None),
    "tech_context.md": (TECH_CONTEXT, "versions"),
    "progress.md": (PROGRESS, "experiments"),
    "operations.md": (OPERATIONS, "operations"),
    "decision_log.md": (DECISION_LOG, "decisions"),
}


def generated(part: str, records: Records) -> str:
    """Generate one part, named in `PAGES`, from what is recorded.

    Records that cannot be read are named in their place.
    """
    if part == "experiments":
        return _experiments(records.experiments)
    if part == "operations":
        return _operations(records.occurrences)
    if part == "decisions":
        return _decisions(records.decisions)
    if part == "versions":
        return _versions([each.record for each in records.experiments if each.record is not None])
    return _active(records)


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


def _operations(occurrences: Sequence[Stored[Occurrence]]) -> str:
    if not occurrences:
        return "Nothing has been recorded yet."
    heads = ["Time, UTC", "Kind", "What happened", "Model", "Version"]
    rows = []
    for stored in reversed(occurrences):
        target = f"{stored.path.parent.name}/{stored.path.name}"
        kept = stored.record
        if kept is None:
            problem = (
                f"{link(stored.path.stem, target)} cannot be trusted: {inline(stored.problem)}"
            )
            rows.append([value(None), value(None), problem, value(None), value(None)])
            continue
        of = [value(kept.ids.get(name)) for name in ("model", "version")]
        when = f"{kept.happened:%Y-%m-%d %H:%M}"
        rows.append([when, kept.kind, link(kept.headline, target), *of])
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


def _active(records: Records) -> str:
    counts = {
        "experiment": len(records.experiments),
        "decision": len(records.decisions),
        # Named once a model is in service.
        **Counter(each.path.parent.name[:-1] for each in records.occurrences),
    }
    counted = ", ".join(f"{many} {name}{'' if many == 1 else 's'}" for name, many in counts.items())
    parts = [f"Recorded so far: {counted}."]
    latest = _latest(records.experiments)
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
    happened = _latest(records.occurrences)
    if happened is not None and happened.record is not None:
        target = link(happened.record.headline, f"{happened.path.parent.name}/{happened.path.name}")
        parts += [f"## Latest in service: {target}, {happened.record.happened:%Y-%m-%d}"]
        parts += [paragraphs(happened.record.text)]
    last = _latest(records.decisions)
    if last is not None and last.record is not None:
        target = link(last.record.text, f"decisions/{last.path.name}")
        parts += [f"## Latest decision: {target}, {last.record.made:%Y-%m-%d}"]
        parts += [paragraphs(last.record.why)]
    return "\n\n".join(part for part in parts if part)


def _latest(kept: Sequence[Stored[Record]]) -> Stored[Record] | None:
    """The newest record that can be trusted."""
    return next((each for each in reversed(kept) if each.record is not None), None)
