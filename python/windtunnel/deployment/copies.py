"""The bundles that a registry keeps, under the digests of their manifests."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from windtunnel import artifacts
from windtunnel.deployment.manifest import (
    FILES,
    MANIFEST,
    Manifest,
    manifest_digest,
    read_verified,
    verify,
)
from windtunnel.deployment.store import Store
from windtunnel.errors import BundleError, RegistryError


class Copies:
    """Bundles in a store. One that no record names is unfinished, and is written anew."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, source: Path, name: str, digest: str) -> None:
        """Copy the bundle at `source` in, checked before and after.

        Raises
        ------
        BundleError
            The copy does not verify.
        RegistryError
            `source` is no longer the bundle with this digest.
        """
        contents = {file: (source / file).read_bytes() for file in FILES}
        verify(str(source), contents)
        if hashlib.sha256(contents[MANIFEST]).hexdigest() != digest:
            raise RegistryError(
                f"bundle {str(source)!r} was replaced while it was registered",
                "Register it again once nothing writes there",
            )
        for file, content in contents.items():
            self._store.put(f"{name}/bundles/{digest}/{file}", content)
        self.read(name, digest)

    def has(self, name: str, digest: str) -> bool:
        """Whether a manifest with this digest was ever copied in."""
        return self._store.read(f"{name}/bundles/{digest}/{MANIFEST}") is not None

    def read(self, name: str, digest: str) -> tuple[Manifest, dict[str, bytes]]:
        """Manifest and contents, held to the digest and to one another.

        Raises
        ------
        BundleError
            A file is missing or altered.
        """
        return verify(self._label(name, digest), self._fetch(name, digest))

    def local(self, name: str, digest: str) -> Path:
        """A directory with the bundle; what comes from object storage is kept in a cache.

        Raises
        ------
        BundleError
            The bundle, or what the cache holds under its digest, is altered.
        """
        there = self._store.directory(f"{name}/bundles/{digest}")
        if there is not None:
            return there
        cached = _cache() / digest
        if not cached.exists():
            files = self._fetch(name, digest)
            verify(self._label(name, digest), files)
            with (
                contextlib.suppress(FileExistsError),  # another process fetched it meanwhile
                artifacts.new_directory(cached) as directory,
            ):
                for file, content in files.items():
                    (directory / file).write_bytes(content)
        read_verified(cached)
        if manifest_digest(cached) != digest:
            raise BundleError(
                f"bundle {str(cached)!r} was altered in the cache", "Remove that directory"
            )
        return cached

    def _fetch(self, name: str, digest: str) -> dict[str, bytes]:
        files = {}
        for file in FILES:
            content = self._store.read(f"{name}/bundles/{digest}/{file}")
            if content is None:
                raise BundleError(
                    f"bundle {self._label(name, digest)!r}: {file} is missing",
                    "Restore the registry from a copy, or serve another version",
                )
            files[file] = content
        found = hashlib.sha256(files[MANIFEST]).hexdigest()
        if found != digest:
            raise BundleError(
                f"bundle {self._label(name, digest)!r} is not the bundle that was registered: "
                f"its manifest has SHA-256 {found[:12]}...",
                "Restore the registry from a copy, or serve another version",
            )
        return files

    def _label(self, name: str, digest: str) -> str:
        return f"{self._store.location}/{name}/bundles/{digest}"


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "windtunnel" / "bundles"
