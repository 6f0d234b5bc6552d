"""What is known of every rule and subject, and the file in which it outlives the process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from windtunnel import artifacts
from windtunnel.errors import MonitoringError


@dataclass
class Standing:
    """What is known of one rule and subject between two checks."""

    breaches: int = 0
    clear: int = 0
    since: datetime | None = None
    raised: bool = False
    told: datetime | None = None  # when a message about it was last sent
    told_of_this: bool = False  # whether anybody heard of the alert that stands
    what: str = ""
    value: float = 0.0
    threshold: float = 0.0
    advice: str = ""
    picture: str = ""


Table: TypeAlias = dict[tuple[str, str], Standing]  # by rule and subject


def write_standing(path: Path, table: Table) -> None:
    """Write the state of all alerts as one file, whole or not at all."""
    rows = []
    for (rule, subject), kept in sorted(table.items()):
        row: dict[str, Any] = {"rule": rule, "subject": subject, **vars(kept)}
        for name in ("since", "told"):
            row[name] = None if row[name] is None else in_iso(row[name])
        for name in ("value", "threshold"):  # JSON has no infinity
            row[name] = repr(float(row[name]))
        rows.append(row)
    artifacts.write_json(path, {"schema": 1, "standing": rows})


def read_standing(path: Path) -> Table:
    """Read what `write_standing` has written.

    Raises
    ------
    MonitoringError
        There is no such file, or it is not the state of alerts.
    """
    try:
        found: Table = {}
        for row in json.loads(path.read_text(encoding="utf-8"))["standing"]:
            key = (row.pop("rule"), row.pop("subject"))
            for name in ("since", "told"):
                row[name] = None if row[name] is None else datetime.fromisoformat(row[name])
            for name in ("value", "threshold"):
                row[name] = float(row[name])
            found[key] = Standing(**row)
    except OSError as error:
        raise MonitoringError(
            f"alert state {str(path)!r} cannot be read: {error.strerror}",
            "Give the alerts.json that a monitor keeps, below monitoring/ of its workspace",
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MonitoringError(
            f"alert state {str(path)!r} cannot be read: {type(error).__name__}: {error}",
            "Give the alerts.json that a monitor keeps; if it is damaged, delete it: alerts that "
            "stand are then raised anew",
        ) from None
    return found


def in_iso(moment: datetime) -> str:
    """ISO 8601 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
