"""What happened to a model in service: a promotion, a rollback, an alert, a re-study."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import front_matter
from windtunnel.memory_bank.fields import moment, plain_fields, record_of, tidy
from windtunnel.memory_bank.markdown import fenced, figures, inline, paragraphs, picture

if TYPE_CHECKING:
    from windtunnel.memory_bank.front_matter import Scalar

SCHEMA = 1
# The kind of an occurrence and the folder of its pages.
FOLDERS = {
    "promotion": "promotions",
    "rollback": "rollbacks",
    "alert": "alerts",
    "retraining": "retrainings",
}


@dataclass(frozen=True)
class Occurrence:
    """One promotion, rollback, alert or re-study.

    Attributes
    ----------
    kind : str
        A key of `FOLDERS`.
    happened : datetime
        Needs a time zone; kept in UTC to the second.
    headline : str
        What happened, in one sentence.
    text : str
        Why, and what to do; a line is a paragraph.
    ids : dict of str to scalar
        Whom it concerns: model, version, alias, rule, subject, run, who.
    digests : dict of str to str
        SHA-256 by name, for example of a version's manifest.
    figures : dict of str to scalar
        What it was decided by; undefined figures are None.
    versions : dict of str to str
        Of the software that recorded it.
    command : str
        What does the same by hand; may be empty.
    pictures : dict of str to str
        SHA-256 by path relative to the page.

    Raises
    ------
    MemoryBankError
        A field has a type or value that cannot be kept.
    """

    kind: str
    happened: datetime
    headline: str
    text: str
    ids: dict[str, Scalar] = field(default_factory=dict)
    digests: dict[str, Scalar] = field(default_factory=dict)
    figures: dict[str, Scalar] = field(default_factory=dict)
    versions: dict[str, Scalar] = field(default_factory=dict)
    command: str = ""
    pictures: dict[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in fields(self):
            given = getattr(self, each.name)
            kept = moment(each.name, given) if each.name == "happened" else tidy(each.name, given)
            object.__setattr__(self, each.name, kept)
        if self.kind not in FOLDERS:
            raise MemoryBankError(
                f"kind: must be one of {', '.join(FOLDERS)}, got {self.kind!r}", "Choose one"
            )
        if not self.headline.strip():
            raise MemoryBankError("headline: is empty", "Say in one sentence what happened")

    @property
    def name(self) -> str:
        """The file's name without ending: the moment, then a few words of the headline."""
        words = re.findall(r"[a-z0-9]+", self.headline.lower())[:6]
        return "-".join([f"{self.happened:%Y%m%dT%H%M%SZ}", *words])[:100]


def render(occurrence: Occurrence) -> str:
    """Write the page of an occurrence; equal ones give equal pages, byte for byte."""
    fields = {"schema": SCHEMA, **plain_fields(occurrence)}
    return front_matter.write(fields, body(occurrence))


def parse(text: str) -> Occurrence:
    """Read an occurrence back from its page.

    Raises
    ------
    MemoryBankError
        The page is not that of an occurrence, was written by a newer version, or was changed
        after it was recorded.
    """
    kept, _ = front_matter.read(text)
    schema = kept.pop("schema", None)
    if schema != SCHEMA or kept.get("kind") not in FOLDERS:
        raise MemoryBankError(
            f"holds kind {kept.get('kind')!r}, schema {schema!r}, no occurrence of schema {SCHEMA}",
            "Read it with the version of Windtunnel that wrote it",
        )
    return record_of(Occurrence, kept, "happened")


def body(occurrence: Occurrence) -> str:
    """Write what people read."""
    parts = [
        f"# {inline(occurrence.headline)}",
        f"{occurrence.kind.capitalize()}, {occurrence.happened:%Y-%m-%d %H:%M} UTC.",
        paragraphs(occurrence.text),
        *(picture(occurrence.headline, path) for path in occurrence.pictures),
        figures("what", occurrence.ids),
        *_section("Figures", figures("figure", occurrence.figures)),
        *_section("Digests", figures("of", occurrence.digests, "SHA-256")),
        *_section("By hand", fenced(occurrence.command, "sh") if occurrence.command else ""),
        *_section("Recorded with", figures("package", occurrence.versions)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(head: str, content: str) -> list[str]:
    return [f"## {head}", content] if content else []
