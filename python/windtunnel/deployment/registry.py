"""Versions of models in a directory, and the aliases that say which of them serve.

Layout, below the registry's path::

    NAME/versions/000001/bundle/             an immutable copy
    NAME/versions/000001/registration.json
    NAME/aliases.json                        replaced whole
    NAME/log.jsonl                           append-only: who, when, what, why
    NAME/.lock                               held by whoever writes

Readers take no lock and see the old state or the new. What a killed writer leaves behind
is swept, and the log completed, by the next one.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from windtunnel.deployment.manifest import NAME_PATTERN, manifest_digest, read_verified
from windtunnel.deployment.shelf import Aliases, Shelf, Version
from windtunnel.errors import BundleError, RegistryError

if TYPE_CHECKING:
    from windtunnel.deployment.bundle import Bundle

__all__ = ["ALIASES", "Aliases", "Registry", "Version", "as_record", "replay_certificate"]

ALIASES = ("champion", "canary")

Certify: TypeAlias = Callable[[Path], tuple[bool, str]]


def replay_certificate(path: Path) -> tuple[bool, str]:
    """Load and replay the bundle at `path`: whether it passed, and the sentence."""
    from windtunnel.deployment.bundle import load_bundle  # noqa: PLC0415 - jax, 0.5 s
    from windtunnel.deployment.replay import replay  # noqa: PLC0415 - jax, numba

    certificate = replay(load_bundle(path))
    return certificate.ok, certificate.sentence


class Registry:
    """A registry in a local or shared directory; made on first registration.

    Parameters
    ----------
    path : path
        The registry's directory.
    certify : callable, optional
        What a bundle must pass to be registered; the replay by default.
    """

    def __init__(self, path: str | Path, *, certify: Certify = replay_certificate) -> None:
        self.path = Path(path)
        self._certify = certify

    def names(self) -> tuple[str, ...]:
        """Models that have at least one version, sorted."""
        if not self.path.is_dir():
            return ()
        found = (entry for entry in self.path.iterdir() if re.fullmatch(NAME_PATTERN, entry.name))
        return tuple(sorted(entry.name for entry in found if Shelf(entry).numbers()))

    def versions(self, name: str) -> tuple[Version, ...]:
        """All versions of `name`, oldest first.

        Raises
        ------
        RegistryError
            There is no such model.
        """
        shelf = self._known(name)
        return tuple(map(shelf.version, shelf.numbers()))

    def aliases(self, name: str) -> Aliases:
        """Where the aliases of `name` point now."""
        return self._shelf(name).aliases()

    def history(self, name: str) -> tuple[dict[str, Any], ...]:
        """Every registration and every move of an alias, oldest first: who, when, what, why."""
        return tuple(self._shelf(name).history())

    def resolve(self, name: str, which: str | int = "champion") -> Version:
        """The version that an alias, or a number (also written out), stands for.

        Raises
        ------
        RegistryError
            There is no such model, version or alias.
        """
        shelf = self._known(name)
        numbers = shelf.numbers()
        if isinstance(which, int) or which.isdecimal():
            number = int(which)
        else:
            found = shelf.aliases().versions.get(which)
            if found is None:
                raise RegistryError(
                    f"registry {str(self.path)!r}: model {name!r} has no alias {which!r}",
                    f"Point it at one of the versions {numbers} first",
                )
            number = found
        if number not in numbers:
            raise RegistryError(
                f"registry {str(self.path)!r}: model {name!r} has no version {number}",
                f"Its versions are {numbers}",
            )
        return shelf.version(number)

    def find(self, bundle: str | Path) -> Version | None:
        """The version under which this very bundle is registered, if it is.

        Raises
        ------
        BundleError
            The bundle is incomplete or altered.
        """
        manifest, _ = read_verified(bundle)
        return self._shelf(manifest.name).find(manifest_digest(bundle))

    def load(self, version: Version) -> Bundle:
        """Load a version's bundle, held to the digest under which it was registered.

        Raises
        ------
        BundleError
            The copy in the registry is incomplete or altered.
        """
        from windtunnel.deployment.bundle import load_bundle  # noqa: PLC0415 - jax, 0.5 s

        if manifest_digest(version.path) != version.digest:
            raise BundleError(
                f"version {version.version} of {version.name!r} is not the bundle that was "
                f"registered: its manifest's SHA-256 should be {version.digest[:12]}...",
                "Restore the registry from a copy, or point the alias at another version",
            )
        return load_bundle(version.path)

    def register(
        self, bundle: str | Path, *, note: str, alias: str | None = None, who: str | None = None
    ) -> int:
        """Keep an immutable copy of a bundle as the next version of its model.

        A bundle that is registered already keeps its number, so that a registration that
        was cut off can be asked for again.

        Parameters
        ----------
        bundle : path
            Directory of the bundle; its manifest names the model.
        note : str
            Why it is registered, for the log.
        alias : str, optional
            Alias to point at the version in the same breath.
        who : str, optional
            For the log; the operating system's user by default.

        Returns
        -------
        int
            The version's number; numbers start at 1.

        Raises
        ------
        BundleError
            The bundle is incomplete or altered.
        RegistryError
            Its replay certificate fails, or the alias is unknown.
        """
        if alias is not None:
            _check_alias(alias)
        source = Path(bundle)
        manifest, _ = read_verified(source)
        digest = manifest_digest(source)
        ok, sentence = self._certify(source)
        if not ok:
            raise RegistryError(
                f"bundle {str(source)!r} does not replay: {sentence}",
                "Export it again with the versions that serve it; it was not registered",
            )
        shelf, who = self._shelf(manifest.name), who or _user()
        with shelf.writing():
            known = shelf.find(digest)
            number = (
                shelf.copy(source, digest, who=who, why=note, certificate=sentence)
                if known is None
                else known.version
            )
            if alias is not None and shelf.aliases().versions.get(alias) != number:
                shelf.move(alias, number, who=who, why=note)
        return number

    def set_alias(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        who: str,
        why: str,
        generation: int | None = None,
    ) -> int:
        """Point an alias at a version, atomically and on record.

        Parameters
        ----------
        generation : int, optional
            Refuse unless the aliases are still of this generation (compare and swap).

        Returns
        -------
        int
            The new generation.

        Raises
        ------
        RegistryError
            There is no such model, version or alias, or the generation has moved on.
        """
        _check_alias(alias)
        shelf = self._known(name)
        with shelf.writing():
            self.resolve(name, version)
            now = shelf.aliases().generation
            if generation is not None and generation != now:
                raise RegistryError(
                    f"aliases of {name!r} are of generation {now}, expected {generation}",
                    "Someone else moved an alias: look again, then decide",
                )
            return shelf.move(alias, version, who=who, why=why)

    def _shelf(self, name: str) -> Shelf:
        """A model's directory; a name cannot lead out of the registry."""
        if not re.fullmatch(NAME_PATTERN, name):
            raise RegistryError(
                f"model name: must be lower-case letters, digits, '_' and '-', got {name!r}",
                "Give the name of the study",
            )
        return Shelf(self.path / name)

    def _known(self, name: str) -> Shelf:
        shelf = self._shelf(name)
        if not shelf.numbers():
            known = ", ".join(self.names()) or "none"
            raise RegistryError(
                f"registry {str(self.path)!r} has no model {name!r}",
                f"Its models: {known}. Finish a study, or register a bundle",
            )
        return shelf


def as_record(version: Version) -> dict[str, Any]:
    """A version as plain JSON values, without its path."""
    record = asdict(version)
    del record["path"]
    return record


def _check_alias(alias: str) -> None:
    if alias not in ALIASES:
        raise RegistryError(
            f"alias: must be one of {', '.join(ALIASES)}, got {alias!r}", "Choose one of these"
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        return "unknown"
