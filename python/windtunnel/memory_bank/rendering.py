"""An experiment's page: fields for the software, a page for people, one source for both."""

from __future__ import annotations

from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import front_matter
from windtunnel.memory_bank.entry import ExperimentEntry
from windtunnel.memory_bank.fields import utc
from windtunnel.memory_bank.markdown import (
    fenced,
    inline,
    link,
    paragraphs,
    picture,
    table,
    value,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windtunnel.memory_bank.front_matter import Scalar

KIND = "experiment"
SCHEMA = 1


def render(entry: ExperimentEntry) -> str:
    """Write the page of an entry; equal entries give equal pages, byte for byte."""
    fields: dict[str, Any] = {"schema": SCHEMA, "kind": KIND}
    for each in dataclass_fields(entry):
        kept = getattr(entry, each.name)
        if each.name == "pictures" and not kept:
            continue  # pages from before there were pictures stay what they are
        fields[each.name] = utc(kept) if isinstance(kept, datetime) else kept
    return front_matter.write(fields, body(entry))


def parse(text: str) -> ExperimentEntry:
    """Read an entry back from its page.

    Raises
    ------
    MemoryBankError
        The page is not that of an experiment, was written by a newer version, or was changed
        after it was recorded.
    """
    fields, _ = front_matter.read(text)
    schema, kind = fields.pop("schema", None), fields.pop("kind", None)
    if kind != KIND or schema != SCHEMA:
        raise MemoryBankError(
            f"holds kind {kind!r}, schema {schema!r}, not {KIND!r}, schema {SCHEMA}",
            "Read it with the version of Windtunnel that wrote it",
        )
    try:
        created = datetime.fromisoformat(str(fields.pop("created")))
        return ExperimentEntry(created=created, **fields)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise MemoryBankError(f"fields are missing or wrong ({error})", "Restore it") from None


def body(entry: ExperimentEntry) -> str:
    """Write what people read."""
    parts = [
        f"# {inline(entry.study)}: {inline(entry.headline)}",
        f"Run `{entry.run_id}`, finished {entry.created:%Y-%m-%d %H:%M} UTC.",
        *(picture(entry.headline, path) for path in entry.pictures),
        "## What was asked",
        paragraphs(entry.question) or "Nothing was noted.",
        "## Verdict",
        paragraphs(entry.verdict) or "None was given.",
        "## Figures",
        _figures("figure", entry.figures, "None were recorded."),
        "## Holdout",
        _figures("figure", entry.holdout, "It was not opened."),
        "## Champion",
        _figures("parameter", entry.champion, "There is none."),
        "## How to reproduce it",
        fenced(entry.command, "sh"),
        f"Study `{_code(entry.study_digest)}`, bars `{_code(entry.data_fingerprint)}`.",
        _figures("package", entry.versions, "No versions were recorded."),
        "## Files of the run",
        _figures("file", entry.artifacts, "None were recorded.", "SHA-256"),
    ]
    if entry.links:
        parts += ["## See also", "\n".join(_link(*item) for item in entry.links.items())]
    return "\n\n".join(parts) + "\n"


def _figures(head: str, figures: Mapping[str, Scalar], empty: str, second: str = "value") -> str:
    if not figures:
        return empty
    return table([head, second], [[inline(name), value(each)] for name, each in figures.items()])


def _link(text: str, target: Scalar) -> str:
    return f"- {link(text, str(target))}"


def _code(text: str) -> str:
    """Keep what a digest may be made of, so that it can stand between backticks."""
    return "".join(c for c in text if c.isascii() and c.isalnum()) or "unknown"
