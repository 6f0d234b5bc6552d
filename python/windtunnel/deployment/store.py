"""Where a registry keeps its bytes: a directory, or object storage through fsspec.

The registry asks for four things only. One of them, `Store.create`, is what all its promises
rest on: of several writers that create the same key at the same time exactly one succeeds,
and readers see nothing or the whole. A directory gives it by a hard link, object storage by
a conditional write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Keys are relative POSIX paths, made by the registry alone, never by a client.

    Attributes
    ----------
    location : str
        As the user gave it, for messages.
    """

    location: str

    def read(self, key: str) -> bytes | None:
        """The bytes under `key`, None when there are none; never a part of them."""
        ...

    def create(self, key: str, content: bytes) -> bool:
        """Write `key` unless it exists, durably; False when it does."""
        ...

    def put(self, key: str, content: bytes) -> None:
        """Write `key` whole and durably, replacing what is there."""
        ...

    def children(self, key: str) -> tuple[str, ...]:
        """Names directly below `key`, sorted; none when there is no such place."""
        ...

    def directory(self, key: str) -> Path | None:
        """The directory of the file system that holds `key`; None where there is none."""
        ...


def open_store(location: str | Path | Store) -> Store:
    """The store at a path, or at a URL such as ``s3://bucket/registry``; a store as it is.

    Raises
    ------
    RegistryError
        The protocol is unknown, lacks conditional writes, or its package is not installed.
    """
    from windtunnel.deployment.directory_store import DirectoryStore  # noqa: PLC0415 - a cycle

    if not isinstance(location, str | Path):
        return location
    text = str(location)
    scheme, separator, rest = text.partition("://")
    if isinstance(location, Path) or not separator:
        return DirectoryStore(Path(location))
    if scheme in {"file", "local"}:
        return DirectoryStore(Path(rest))
    from windtunnel.deployment.object_store import ObjectStore  # noqa: PLC0415 - imports fsspec

    return ObjectStore.open(text)
