"""What the fields of every record have in common: plain values, moments in UTC."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from windtunnel.errors import MemoryBankError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from windtunnel.memory_bank.front_matter import Scalar


R = TypeVar("R")


def moment(name: str, when: object) -> datetime:
    """Bring a moment to UTC and whole seconds.

    Raises
    ------
    MemoryBankError
        It is no datetime, or has no time zone.
    """
    if not isinstance(when, datetime):
        raise MemoryBankError(f"{name}: got {type(when).__name__}", "Give a datetime")
    if when.tzinfo is None:
        raise MemoryBankError(
            f"{name}: {when!r} has no time zone", "Add one, for example tzinfo=datetime.UTC"
        )
    return when.astimezone(UTC).replace(microsecond=0)


def utc(when: datetime) -> str:
    """Write a moment in UTC as text."""
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")


def record_of(make: Callable[..., R], kept: dict[str, Any], when: str) -> R:
    """Make a record of the fields of a page; `when` names the one that is a moment.

    Raises
    ------
    MemoryBankError
        Fields are missing, unknown or wrong.
    """
    try:
        return make(**{**kept, when: datetime.fromisoformat(str(kept[when]))})
    except (KeyError, TypeError, ValueError) as error:
        raise MemoryBankError(f"fields are missing or wrong ({error})", "Restore it") from None


def plain_fields(record: Any) -> dict[str, Any]:
    """The fields of a record as a page keeps them, in their order."""
    found = {each.name: getattr(record, each.name) for each in fields(record)}
    return {n: utc(v) if isinstance(v, datetime) else v for n, v in found.items()}


def tidy(name: str, given: object) -> Any:
    """Bring a text or a table of figures to the form in which it is kept.

    NaN and infinities become None, NumPy scalars plain numbers.

    Raises
    ------
    MemoryBankError
        It is neither, or holds what cannot be kept.
    """
    if isinstance(given, str):
        return _text(name, given)
    if isinstance(given, dict):
        return _table(name, given)
    raise MemoryBankError(
        f"{name}: got {type(given).__name__}", "Give text, or plain figures by name"
    )


def _table(name: str, given: Mapping[Any, Any]) -> dict[str, Scalar]:
    kept: dict[str, Scalar] = {}
    for key, item in given.items():
        plain = item.item() if hasattr(item, "item") else item
        place = f"{name}[{key!r}]"
        if not isinstance(key, str) or not (isinstance(plain, str | int | float) or plain is None):
            raise MemoryBankError(
                f"{place}: must be text with a number, text or None, got {item!r}",
                "Give plain figures by name",
            )
        if isinstance(plain, str):
            plain = _text(place, plain)
        elif isinstance(plain, float) and not math.isfinite(plain):
            plain = None
        kept[_text(place, key)] = plain
    return kept


def _text(place: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MemoryBankError(f"{place}: is not valid text: {text!r}", "Give valid UTF-8") from None
    return text
