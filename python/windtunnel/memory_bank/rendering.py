"""An experiment's page: fields for the software, a page for people, one source for both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import front_matter
from windtunnel.memory_bank.entry import ExperimentEntry
from windtunnel.memory_bank.fields import plain_fields, record_of
from windtunnel.memory_bank.markdown import (
    fenced,
    figures,
    inline,
    link,
    paragraphs,
    picture,
)

if TYPE_CHECKING:
    from windtunnel.memory_bank.front_matter import Scalar

KIND = "experiment"
SCHEMA = 1


def render(entry: ExperimentEntry) -> str:
    """Write the page of an entry; equal entries give equal pages, byte for byte."""
    fields = {"schema": SCHEMA, "kind": KIND, **plain_fields(entry)}
    if not entry.pictures:
        del fields["pictures"]  # pages from before there were pictures stay what they are
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
    return record_of(ExperimentEntry, fields, "created")


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
        figures("figure", entry.figures) or "None were recorded.",
        "## Holdout",
        figures("figure", entry.holdout) or "It was not opened.",
        "## Champion",
        figures("parameter", entry.champion) or "There is none.",
        "## How to reproduce it",
        fenced(entry.command, "sh"),
        f"Study `{_code(entry.study_digest)}`, bars `{_code(entry.data_fingerprint)}`.",
        figures("package", entry.versions) or "No versions were recorded.",
        "## Files of the run",
        figures("file", entry.artifacts, "SHA-256") or "None were recorded.",
    ]
    if entry.links:
        parts += ["## See also", "\n".join(_link(*item) for item in entry.links.items())]
    return "\n\n".join(parts) + "\n"


def _link(text: str, target: Scalar) -> str:
    return f"- {link(text, str(target))}"


def _code(text: str) -> str:
    """Keep what a digest may be made of, so that it can stand between backticks."""
    return "".join(c for c in text if c.isascii() and c.isalnum()) or "unknown"
