"""A decision and its reason, with the date at which it was made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import front_matter
from windtunnel.memory_bank.fields import moment, tidy, utc
from windtunnel.memory_bank.markdown import inline, link, paragraphs

if TYPE_CHECKING:
    from windtunnel.memory_bank.front_matter import Scalar

KIND = "decision"
SCHEMA = 1
OPTIONAL = ("about", "versions")


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes
    ----------
    made : datetime
        In UTC, to the second.
    text : str
        The decision, one sentence.
    why : str
        The reason; a line is a paragraph.
    about : dict of str to str
        Targets by name: pages of the bank, relative to the folder ``decisions``. They are
        checked.
    versions : dict of str to str
        Of the software that recorded it.
    """

    made: datetime
    text: str
    why: str
    about: dict[str, Scalar] = field(default_factory=dict)
    versions: dict[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "made", moment("made", self.made))
        for name in ("about", "versions"):
            object.__setattr__(self, name, tidy(name, getattr(self, name)))
        for name in ("text", "why"):
            if not getattr(self, name).strip():
                raise MemoryBankError(
                    f"{name}: is empty", "Give the decision and the reason for it"
                )

    @property
    def name(self) -> str:
        """The file's name without ending: the moment, then a few words of the text."""
        words = re.findall(r"[a-z0-9]+", self.text.lower())[:6]
        return "-".join([f"{self.made:%Y%m%dT%H%M%SZ}", *words])[:100]


def render(decision: Decision) -> str:
    """Write the page of a decision."""
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": KIND,
        "made": utc(decision.made),
        "text": decision.text,
        "why": decision.why,
    }
    # Pages from before there were these stay what they are.
    fields |= {name: kept for name in OPTIONAL if (kept := getattr(decision, name))}
    return front_matter.write(fields, body(decision))


def body(decision: Decision) -> str:
    """Write what people read."""
    return (
        f"# {inline(decision.text)}\n\nDecided {decision.made:%Y-%m-%d %H:%M} UTC.\n\n"
        f"{paragraphs(decision.why)}\n" + _about(decision)
    )


def _about(decision: Decision) -> str:
    if not decision.about:
        return ""
    return f"\nAbout {', '.join(link(name, str(to)) for name, to in decision.about.items())}.\n"


def parse(text: str) -> Decision:
    """Read a decision back from its page.

    Raises
    ------
    MemoryBankError
        The page is not that of a decision, or was changed after it was recorded.
    """
    fields, _ = front_matter.read(text)
    if fields.get("kind") != KIND or fields.get("schema") != SCHEMA:
        raise MemoryBankError("does not hold a decision", "Restore the page")
    try:
        made = datetime.fromisoformat(str(fields["made"]))
        more: dict[str, Any] = {name: fields.get(name, {}) for name in OPTIONAL}
        return Decision(made, str(fields["text"]), str(fields["why"]), **more)
    except (KeyError, ValueError) as error:
        raise MemoryBankError(f"fields are missing or wrong ({error})", "Restore it") from None
