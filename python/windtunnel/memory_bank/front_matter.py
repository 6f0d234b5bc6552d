"""Fields above a Markdown text that people, hosting sites and the software all can read.

The fields are YAML of a very narrow kind: every key and value is written as JSON, which
YAML 1.2 contains, one a line. A repository's web view shows them as a table, no YAML
library is needed to read them back, and since JSON escapes line breaks and quotes, no
value can pose as another field or end the block.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, TypeAlias

from windtunnel.errors import MemoryBankError

if TYPE_CHECKING:
    from collections.abc import Mapping

Scalar: TypeAlias = float | int | str | None
Fields: TypeAlias = "dict[str, Scalar | dict[str, Scalar]]"

FENCE = "---"
# Valid inside JSON, but not inside YAML or not on one line.
UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
PLAIN_KEY = re.compile(r"[a-z][a-z0-9_]*")


def write(fields: Mapping[str, Scalar | Mapping[str, Scalar]], body: str) -> str:
    """Write a page: fields, then `body`. The last field is the digest of all the rest.

    Parameters
    ----------
    fields : mapping of str to scalar, or to a mapping of str to scalar
        Names are lower-case identifiers; names within an inner mapping are free. Floats must
        be finite.
    body : str
        Markdown, ends with a newline.
    """
    lines = []
    for name, value in fields.items():
        if not PLAIN_KEY.fullmatch(name):
            raise MemoryBankError(f"field {name!r}: is not a lower-case identifier", "Rename it")
        if isinstance(value, str | int | float) or value is None:
            lines.append(f"{name}: {_encode(value)}")
        elif value:
            lines.append(f"{name}:")
            lines += [f"  {_encode(key)}: {_encode(inner)}" for key, inner in value.items()]
        else:
            lines.append(f"{name}: {{}}")
    sealed = digest("\n".join(lines), body)
    return "\n".join([FENCE, *lines, f'digest: "{sealed}"', FENCE, "", body])


def read(text: str) -> tuple[Fields, str]:
    """Read a page back into its fields, the digest left out, and its body.

    Raises
    ------
    MemoryBankError
        The page has no such fields, or was changed since it was written.
    """
    block, body = _split(text)
    *lines, last = block
    fields: Fields = {}
    inner: dict[str, Scalar] = {}
    for number, line in enumerate(lines, start=2):
        try:
            if line.startswith("  "):
                _add(inner, *_decode_pair(line[2:]))
                continue
            name, _, rest = line.partition(":")
            if rest in ("", " {}"):
                inner = {}
                _add(fields, name, inner)
            else:
                _add(fields, name, _decode(rest.removeprefix(" ")))
        except ValueError as error:
            raise MemoryBankError(f"line {number}: {error}", "Restore the page") from None
    if last != f'digest: "{digest(chr(10).join(lines), body)}"':
        raise MemoryBankError(
            "the digest does not fit: a figure or the text was changed after it was recorded",
            "Restore the page",
        )
    return fields, body


def digest(block: str, body: str) -> str:
    """SHA-256 of the field lines and the body, as hexadecimal."""
    return hashlib.sha256(f"{block}\n{FENCE}\n{body}".encode()).hexdigest()


def _split(text: str) -> tuple[list[str], str]:
    """Split a page into its field lines and its body."""
    # Checked out with Windows line ends, a page is still the same page.
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0] != FENCE or FENCE not in lines[2:]:
        raise MemoryBankError(
            f"has no fields between two lines {FENCE!r} at its head", "Restore the page"
        )
    end = lines.index(FENCE, 2)
    if lines[end + 1 : end + 2] != [""]:
        raise MemoryBankError(f"line {end + 2}: must be empty", "Restore the page")
    return lines[1:end], "\n".join(lines[end + 2 :])


def _encode(value: Scalar) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise MemoryBankError(f"value {value} cannot be kept", "Give None for undefined")
        mantissa, e, exponent = repr(value).partition("e")
        # YAML takes a number with an exponent for a text unless it has a point.
        point = "" if "." in mantissa or not e else ".0"
        return f"{mantissa}{point}{e}{exponent}"
    text = json.dumps(value, ensure_ascii=False)
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _decode(text: str) -> Scalar:
    value = json.loads(text)
    if isinstance(value, str | int | float) or value is None:
        return value
    raise ValueError(f"{text[:40]!r} is not a single value")


def _decode_pair(text: str) -> tuple[str, Scalar]:
    key, end = json.JSONDecoder().raw_decode(text)
    if not isinstance(key, str) or not text.startswith(": ", end):
        raise ValueError("is not a quoted name and a value")
    return key, _decode(text[end + 2 :])


def _add(fields: dict[str, Scalar] | Fields, name: str, value: Scalar | dict[str, Scalar]) -> None:
    if name in fields:
        raise ValueError(f"{name!r} comes twice")
    fields[name] = value  # type: ignore[assignment]
