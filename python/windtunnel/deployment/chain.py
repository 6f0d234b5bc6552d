"""The log of one model: a chain of records, each the whole state after one change.

Record k is the object ``log/000000k.json``. It is created once and never written again, and
names the SHA-256 of record k - 1. A change is made by creating the next record: of several
writers exactly one creates it, the others look again. So the log cannot disagree with the
state, since the state is the newest record, and nothing needs a lock or a repair after a crash.
Order is that of the numbers; the times in the records are for people.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from windtunnel.deployment.state import State
from windtunnel.deployment.store import Store
from windtunnel.errors import RegistryError

FORMAT = 1


@dataclass(frozen=True)
class Change:
    """What a writer wants to do: `state` afterwards, and what the log says about it.

    `forced` names the rules of the promotion gate that were overridden.
    """

    action: str
    state: State
    who: str
    why: str
    details: Mapping[str, Any]
    forced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chain:
    """The records of the model `name` in a store."""

    store: Store
    name: str

    def head(self, known: State | None = None) -> State:
        """The newest state.

        Parameters
        ----------
        known : State, optional
            A state read earlier: one look for the record after it then mostly suffices, and
            `known` itself is returned when there is none.
        """
        state = State(self.name) if known is None else known
        # Records have no gap: leap until one is missing, then halve the stretch in between.
        step = 1
        low, missing = state.sequence, None
        while missing is None:
            found = self._read(low + step)
            if found is None:
                missing = low + step
            else:
                state, low, step = found, low + step, 2 * step
        while missing - low > 1:
            middle = (low + missing) // 2
            found = self._read(middle)
            if found is None:
                missing = middle
            else:
                state, low = found, middle
        return state

    def append(self, before: State, change: Change) -> State | None:
        """Create the record after `before`; None when another writer was faster."""
        sequence = before.sequence + 1
        raw = _encode(before, change)
        key = self._key(sequence)
        # A request that was repeated after its answer was lost meets its own record.
        if not self.store.create(key, raw) and self.store.read(key) != raw:
            return None
        return replace(change.state, sequence=sequence, record=hashlib.sha256(raw).hexdigest())

    def records(self) -> list[dict[str, Any]]:
        """Every record, oldest first, the chain of digests checked.

        Raises
        ------
        RegistryError
            A record is damaged, or is not the one that its successor names.
        """
        found: list[dict[str, Any]] = []
        before = ""
        while (raw := self.store.read(self._key(len(found) + 1))) is not None:
            record = self._parse(len(found) + 1, raw)
            if record["before"] != before:
                raise self._altered(
                    len(found), "was altered or exchanged: the next record names another digest"
                )
            before = hashlib.sha256(raw).hexdigest()
            found.append(record)
        return found

    def record(self, sequence: int) -> dict[str, Any]:
        """One record."""
        raw = self.store.read(self._key(sequence))
        if raw is None:
            raise self._altered(sequence, "is missing")
        return self._parse(sequence, raw)

    def _read(self, sequence: int) -> State | None:
        raw = self.store.read(self._key(sequence))
        if raw is None:
            return None
        record = self._parse(sequence, raw)
        digest = hashlib.sha256(raw).hexdigest()
        try:
            return State.from_record(self.name, sequence, digest, record["state"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._altered(
                sequence, f"holds no state ({type(error).__name__}: {error})"
            ) from None

    def _parse(self, sequence: int, raw: bytes) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(raw)
            found = (record["sequence"], record["name"], record["format"], record["before"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._altered(sequence, f"is not a record ({error!r})") from None
        if found[2] != FORMAT:
            raise RegistryError(
                f"registry {self.store.location!r}: {self._key(sequence)} is of format "
                f"{found[2]!r}, this version of Windtunnel reads {FORMAT}",
                "Install the version that wrote it",
            )
        if found[:2] != (sequence, self.name):
            raise self._altered(sequence, f"says it is record {found[0]!r} of {found[1]!r}")
        return record

    def _key(self, sequence: int) -> str:
        return f"{self.name}/log/{sequence:08d}.json"

    def _altered(self, sequence: int, problem: str) -> RegistryError:
        return RegistryError(
            f"registry {self.store.location!r}: {self._key(sequence)} {problem}",
            "Only the software writes there: restore the registry from a copy",
        )


def _encode(before: State, change: Change) -> bytes:
    record = {
        "format": FORMAT,
        "id": uuid.uuid4().hex,  # tells equal changes of two writers apart
        "name": before.name,
        "sequence": before.sequence + 1,
        "before": before.record,
        "action": change.action,
        "at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "who": change.who,
        "why": change.why,
        "forced": list(change.forced),
        "details": dict(change.details),
        "state": change.state.to_record(),
    }
    text = json.dumps(record, indent=2, sort_keys=True, allow_nan=False)
    return text.encode() + b"\n"
