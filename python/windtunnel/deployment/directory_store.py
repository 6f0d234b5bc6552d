"""A registry's bytes in a directory, local or shared by machines."""

from __future__ import annotations

from pathlib import Path

from windtunnel import artifacts
from windtunnel.errors import RegistryError

_ABANDONED = 3600.0  # seconds; no write of one file takes an hour


class DirectoryStore:
    """Files below `root`; see `windtunnel.deployment.store.Store`.

    There is no lock. What a killed writer leaves behind is a temporary file that nothing
    reads; the next writer in the same directory removes it once it is an hour older than a
    file that the file server dates now, so that the clocks of machines do not matter.
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
            self._make(path.parent)
            created = artifacts.create_bytes(path, content)
            self._sweep(path)
        except OSError as error:
            raise self._failed(key, "written", error) from None
        return created

    def put(self, key: str, content: bytes) -> None:
        """Write `key` whole; the file is read-only, as everything in a registry."""
        path = self.root / key
        try:
            self._make(path.parent)
            artifacts.write_bytes(path, content)
            path.chmod(0o444)
            self._sweep(path)
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

    def _make(self, directory: Path) -> None:
        """Make a directory, and its name last: a file in it is safe only once that is."""
        if directory.is_dir():
            return
        self._make(directory.parent)
        directory.mkdir(exist_ok=True)
        artifacts.sync(directory.parent)

    def _sweep(self, fresh: Path) -> None:
        now = fresh.stat().st_mtime
        for leftover in fresh.parent.glob(".*.tmp"):
            try:
                if now - leftover.stat().st_mtime > _ABANDONED:
                    leftover.unlink(missing_ok=True)
            except FileNotFoundError:  # its writer was alive and has just finished
                continue

    def _failed(self, key: str, what: str, error: OSError) -> RegistryError:
        return RegistryError(
            f"registry {self.location!r}: {key} cannot be {what}: {error.strerror or error}",
            "Mend the directory (space, permission; it needs hard links) and repeat the "
            "command; nothing is half-written",
        )
