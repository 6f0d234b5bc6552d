"""What a registry says of one model at one moment: who serves, and who is being tried.

A state is immutable and complete: it is read from one record, so that a reader never sees
the champion of one moment beside the canary of another.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from windtunnel.errors import RegistryError

Mode: TypeAlias = Literal["live", "shadow"]
MODES: tuple[Mode, ...] = get_args(Mode)
ALIASES = ("champion", "canary", "previous")


@dataclass(frozen=True)
class Canary:
    """A version on trial beside the champion.

    Attributes
    ----------
    version : int
    weight : float
        Share of requests in [0, 1] that it takes part in.
    mode : {"live", "shadow"}
        ``live``: its answer is returned for its share. ``shadow``: champion and canary both
        answer that share, the champion's answer is returned.
    sticky : bool
        Whether requests that bring the same key are always treated alike.
    salt : str
        Decides which keys fall into the share. Kept while the canary runs, so that a larger
        weight adds keys and takes none away.
    """

    version: int
    weight: float
    mode: Mode = "live"
    sticky: bool = False
    salt: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and 0.0 <= self.weight <= 1.0):
            raise RegistryError(
                f"canary weight: must lie in [0, 1], got {self.weight!r}",
                "Give the share of requests, 0.05 for one in twenty",
            )
        if self.mode not in MODES:
            raise RegistryError(
                f"canary mode: must be one of {', '.join(MODES)}, got {self.mode!r}",
                "Choose one of these",
            )

    def takes(self, key: str | bytes) -> bool:
        """Whether a request with this sticky key falls into the canary's share.

        Uniform over keys and the same in every process and on every machine.
        """
        return self.takes_draw(position(key, self.salt))

    def takes_draw(self, draw: float) -> bool:
        """Whether a request that drew `draw`, uniform on [0, 1), falls into the share."""
        return draw < self.weight


def position(key: str | bytes, salt: str) -> float:
    """Where a key lies on [0, 1): 53 bits of BLAKE2b, keyed by the salt."""
    raw = key.encode() if isinstance(key, str) else key
    digest = hashlib.blake2b(raw, digest_size=8, key=salt.encode()[:64]).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


@dataclass(frozen=True)
class State:
    """Everything that routing needs of one model, as of one record of its log.

    Attributes
    ----------
    name : str
    sequence : int
        Number of the record; counts every change, registrations too. 0 before the first.
    generation : int
        Counts what changes how requests are answered: promotion, rollback, canary,
        retirement. It is what compare-and-swap compares; poll it to know when to reload.
    champion : int or None
    canary : Canary or None
    lineage : tuple of int
        Earlier champions, newest last, without those that were rolled back from or retired.
    retired : tuple of int
        Versions that must not serve again, ascending.
    registered : tuple of int
        Sequence numbers of the records that registered versions 1, 2, ...
    record : str
        SHA-256 of the record, empty before the first.
    """

    name: str
    sequence: int = 0
    generation: int = 0
    champion: int | None = None
    canary: Canary | None = None
    lineage: tuple[int, ...] = ()
    retired: tuple[int, ...] = ()
    registered: tuple[int, ...] = ()
    record: str = ""

    @property
    def previous(self) -> int | None:
        """The version that `rollback` returns to; None when there is none."""
        return self.lineage[-1] if self.lineage else None

    @property
    def numbers(self) -> range:
        """Numbers of the versions: 1, 2, ... without a gap."""
        return range(1, len(self.registered) + 1)

    @property
    def aliases(self) -> dict[str, int]:
        """The version behind each alias that is set."""
        canary = None if self.canary is None else self.canary.version
        found = {"champion": self.champion, "canary": canary, "previous": self.previous}
        return {alias: version for alias, version in found.items() if version is not None}

    def to_record(self) -> dict[str, Any]:
        """As JSON values, for a record; the record's own number and digest are left out."""
        values = asdict(self)
        for name in ("name", "sequence", "record"):
            del values[name]
        return values

    @classmethod
    def from_record(cls, name: str, sequence: int, digest: str, values: Mapping[str, Any]) -> State:
        """Rebuild a state from what `to_record` wrote; KeyError or TypeError when it did not."""
        canary = values["canary"]
        return cls(
            name=name,
            sequence=sequence,
            generation=int(values["generation"]),
            champion=values["champion"],
            canary=None if canary is None else Canary(**canary),
            lineage=tuple(values["lineage"]),
            retired=tuple(values["retired"]),
            registered=tuple(values["registered"]),
            record=digest,
        )
