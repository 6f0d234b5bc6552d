"""A registry's bytes in object storage, through fsspec."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from windtunnel.errors import RegistryError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# Protocols whose fsspec driver turns mode="create" into one conditional request
# (If-None-Match on S3, ifGenerationMatch on Google Cloud Storage), and the memory of this
# process. Others look first and write then, which two writers can do at the same time.
CONDITIONAL = ("gcs", "gs", "memory", "s3", "s3a")

_IN_MEMORY = threading.Lock()  # fsspec's memory looks first, too


class ObjectStore:
    """Objects below a prefix; see `windtunnel.deployment.store.Store`.

    Before its first conditional write it tries whether the server honours one: some that
    speak S3 ignore the condition, and would let two writers win.
    """

    def __init__(self, filesystem: AbstractFileSystem, prefix: str, location: str) -> None:
        self.location = location
        self._filesystem = filesystem
        self._prefix = prefix.rstrip("/")
        self._proven = False

    @classmethod
    def open(cls, url: str) -> ObjectStore:
        """The store at a URL; credentials and endpoint come from the driver's own settings.

        Raises
        ------
        RegistryError
            The protocol is unknown, lacks conditional writes, or its package is not installed.
        """
        scheme = url.partition("://")[0]
        if scheme not in CONDITIONAL:
            raise RegistryError(
                f"registry {url!r}: {scheme} is not known for conditional writes, without which "
                "two writers could both win",
                f"Use a directory, or one of {', '.join(CONDITIONAL)}",
            )
        try:
            from fsspec import url_to_fs  # noqa: PLC0415 - an extra

            filesystem, prefix = url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            raise RegistryError(
                f"registry {url!r} needs a package that is not installed: {error}",
                "Install it with `pip install 'windtunnel[object-storage]'`",
            ) from None
        return cls(filesystem, prefix, url)

    def read(self, key: str) -> bytes | None:
        """The bytes under `key`, None when there are none."""
        try:
            with self._failures(key, "read"):
                content: bytes = self._filesystem.cat_file(f"{self._prefix}/{key}")
        except FileNotFoundError:
            return None
        return content

    def create(self, key: str, content: bytes) -> bool:
        """Write `key` unless it exists; False when it does."""
        if not self._proven:
            self._prove(key.partition("/")[0])
        return self._create(key, content)

    def put(self, key: str, content: bytes) -> None:
        """Write `key` whole, replacing what is there."""
        with self._failures(key, "written"):
            self._filesystem.pipe_file(f"{self._prefix}/{key}", content)

    def children(self, key: str) -> tuple[str, ...]:
        """Names directly below `key`."""
        try:
            with self._failures(key, "listed"):
                found = self._filesystem.ls(f"{self._prefix}/{key}".rstrip("/"), detail=False)
        except FileNotFoundError:
            return ()
        names = {str(path).rstrip("/").rpartition("/")[2] for path in found}
        return tuple(sorted(name for name in names if name and not name.startswith(".")))

    def directory(self, key: str) -> None:  # noqa: ARG002 - what the protocol asks
        """Objects lie in no directory."""
        return

    def _create(self, key: str, content: bytes) -> bool:
        guard = _IN_MEMORY if "memory" in self._filesystem.protocol else contextlib.nullcontext()
        try:
            with guard, self._failures(key, "written"):
                self._filesystem.pipe_file(f"{self._prefix}/{key}", content, mode="create")
        except FileExistsError:
            return False
        return True

    def _prove(self, place: str) -> None:
        key = f"{place}/.probe-{uuid.uuid4().hex}"
        honoured = self._create(key, b"1") and not self._create(key, b"2")
        with self._failures(key, "removed"):
            self._filesystem.rm_file(f"{self._prefix}/{key}")
        if not honoured:
            raise RegistryError(
                f"registry {self.location!r}: the server ignores conditional writes, so that two "
                "writers could both win",
                "Use a server that honours If-None-Match, or a directory",
            )
        self._proven = True

    @contextlib.contextmanager
    def _failures(self, key: str, what: str) -> Iterator[None]:
        """Whatever a driver raises, except that a key exists or is not there, as one error."""
        try:
            yield
        except FileExistsError:
            raise
        except Exception as error:
            if isinstance(error, FileNotFoundError) and what in {"read", "listed"}:
                raise
            raise RegistryError(
                f"registry {self.location!r}: {key} cannot be {what}: "
                f"{type(error).__name__}: {error}",
                "See to the bucket, its permissions and the network, and repeat the command; "
                "nothing is half-written",
            ) from error
