"""A decision and its reason, with the date at which it was made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import front_matter
from windtunnel.memory_bank.fields import moment, utc
from windtunnel.memory_bank.markdown import inline, paragraphs

if TYPE_CHECKING:
    from windtunnel.memory_bank.front_matter import Scalar

KIND = "decision"
SCHEMA = 1


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
    """

    made: datetime
    text: str
    why: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "made", moment("made", self.made))
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
    fields: dict[str, Scalar] = {
        "schema": SCHEMA,
        "kind": KIND,
        "made": utc(decision.made),
        "text": decision.text,
        "why": decision.why,
    }
    return front_matter.write(fields, body(decision))


def body(decision: Decision) -> str:
    """Write what people read."""
    return (
        f"# {inline(decision.text)}\n\nDecided {decision.made:%Y-%m-%d %H:%M} UTC.\n\n"
        f"{paragraphs(decision.why)}\n"
    )


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
        return Decision(made, str(fields["text"]), str(fields["why"]))
    except (KeyError, ValueError) as error:
        raise MemoryBankError(f"fields are missing or wrong ({error})", "Restore it") from None
