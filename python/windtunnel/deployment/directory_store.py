"""A registry's bytes in a directory, local or shared by machines."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from windtunnel import artifacts
from windtunnel.errors import RegistryError

_UNFINISHED = ".unfinished"  # apart, since a bundle's directory holds its files and no other
_ABANDONED = 3600.0  # seconds; no write of one file takes an hour


class DirectoryStore:
    """Files below `root`; see `windtunnel.deployment.store.Store`.

    There is no lock. What a killed writer leaves behind is a temporary file that nothing
    reads; a later writer removes it once it is an hour older than a file that the file server
    has just dated, so that the clocks of machines do not matter.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.location = str(root)

    def read(self, key: str) -> bytes | None:
        """The bytes under `key`, None when there are none."""
        try:
            return (self.root / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failed(key, "read", error) from None

    def create(self, key: str, content: bytes) -> bool:
        """Write `key` unless it exists; False when it does."""
        path = self.root / key
        try:
            created = artifacts.create_bytes(path, content, scratch=self._ready(path))
        except OSError as error:
            raise self._failed(key, "written", error) from None
        return created

    def put(self, key: str, content: bytes) -> None:
        """Write `key` whole; the file is read-only, as everything in a registry."""
        path = self.root / key
        try:
            artifacts.write_bytes(path, content, scratch=self._ready(path))
            path.chmod(0o444)
        except OSError as error:
            raise self._failed(key, "written", error) from None

    def children(self, key: str) -> tuple[str, ...]:
        """Names directly below `key`, temporary files left out."""
        try:
            names = [entry.name for entry in (self.root / key).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise self._failed(key, "listed", error) from None
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def directory(self, key: str) -> Path:
        """The directory that holds `key`."""
        return self.root / key

    def _ready(self, path: Path) -> Path:
        """Where to write the temporary file that becomes `path`, old ones swept."""
        scratch = self.root / _UNFINISHED
        self._make(path.parent)
        self._make(scratch)
        handle, probe = tempfile.mkstemp(dir=scratch, prefix=".now.", suffix=".tmp")
        os.close(handle)
        now = Path(probe).stat().st_mtime
        Path(probe).unlink()
        for leftover in scratch.iterdir():
            with contextlib.suppress(FileNotFoundError):  # its writer has just finished
                if now - leftover.stat().st_mtime > _ABANDONED:
                    leftover.unlink()
        return scratch

    def _make(self, directory: Path) -> None:
        """Make a directory, its own name on the disk: a file in it is safe only then."""
        if directory.is_dir():
            return
        self._make(directory.parent)
        directory.mkdir(exist_ok=True)
        artifacts.sync(directory.parent)

    def _failed(self, key: str, what: str, error: OSError) -> RegistryError:
        return RegistryError(
            f"registry {self.location!r}: {key} cannot be {what}: {error.strerror or error}",
            "Mend the directory (space, permission; it needs hard links) and repeat the "
            "command; nothing is half-written",
        )
