"""Versions of models in a directory, and the aliases that say which of them serve.

Layout, below the registry's path::

    NAME/versions/000001/bundle/          an immutable copy
    NAME/versions/000001/registration.json
    NAME/aliases.json                     replaced whole; holds the change that made it
    NAME/log.jsonl                        append-only: who, when, what, why
    NAME/.lock                            held by whoever writes

Readers take no lock: a version appears by one rename, an alias moves by another. What a
killed writer leaves behind is swept, and the log completed, by the next one.
"""

from __future__ import annotations

import getpass
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from windtunnel import artifacts
from windtunnel.deployment.lock import exclusive
from windtunnel.deployment.manifest import NAME_PATTERN, manifest_digest, read_verified
from windtunnel.errors import BundleError, RegistryError

if TYPE_CHECKING:
    from windtunnel.deployment.bundle import Bundle

ALIASES = ("champion", "canary")
_NAME = re.compile(NAME_PATTERN)

Certify: TypeAlias = Callable[[Path], tuple[bool, str]]


@dataclass(frozen=True)
class Version:
    """One registered version. `path` is its bundle, `digest` the SHA-256 of its manifest."""

    name: str
    version: int
    path: Path
    digest: str
    registered: str
    who: str
    note: str
    certificate: str


@dataclass(frozen=True)
class Aliases:
    """Where the aliases point. `generation` counts the changes, from 0."""

    generation: int
    versions: Mapping[str, int]


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
        found = (entry.name for entry in self.path.iterdir() if _NAME.fullmatch(entry.name))
        return tuple(sorted(name for name in found if self._numbers(name)))

    def versions(self, name: str) -> tuple[Version, ...]:
        """All versions of `name`, oldest first.

        Raises
        ------
        RegistryError
            There is no such model.
        """
        return tuple(self._version(name, number) for number in self._known(name))

    def aliases(self, name: str) -> Aliases:
        """Where the aliases of `name` point now."""
        record = _read_json(self._home(name) / "aliases.json")
        if record is None:
            return Aliases(0, {})
        return Aliases(record["generation"], record["aliases"])

    def resolve(self, name: str, which: str | int = "champion") -> Version:
        """The version that an alias, or a number, stands for.

        Raises
        ------
        RegistryError
            There is no such model, version or alias.
        """
        known = self._known(name)
        if isinstance(which, int):
            number = which
        else:
            found = self.aliases(name).versions.get(which)
            if found is None:
                raise RegistryError(
                    f"registry {str(self.path)!r}: model {name!r} has no alias {which!r}",
                    f"Point it at one of the versions {known} first",
                )
            number = found
        if number not in known:
            raise RegistryError(
                f"registry {str(self.path)!r}: model {name!r} has no version {number}",
                f"Its versions are {known}",
            )
        return self._version(name, number)

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

    def history(self, name: str) -> tuple[dict[str, Any], ...]:
        """The audit log of `name`, oldest first; a line torn by a crash is left out."""
        lines = _log_lines(self._home(name) / "log.jsonl")
        return (*lines, *self._unlogged(name, lines))

    def register(
        self, bundle: str | Path, *, note: str, alias: str | None = None, who: str | None = None
    ) -> int:
        """Keep an immutable copy of a bundle as the next version of its model.

        Parameters
        ----------
        bundle : path
            Directory of the bundle; its manifest names the model.
        note : str
            Why it is registered, for the log.
        alias : str, optional
            Alias to point at the new version in the same breath.
        who : str, optional
            For the log; the operating system's user by default.

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
        ok, sentence = self._certify(source)
        if not ok:
            raise RegistryError(
                f"bundle {str(source)!r} does not replay: {sentence}",
                "Export it again with the versions that serve it; it was not registered",
            )
        name, who = manifest.name, who or getpass.getuser()
        with self._writing(name):
            number = max(self._numbers(name), default=0) + 1
            with artifacts.new_directory(self._directory(name, number)) as directory:
                shutil.copytree(source, directory / "bundle")
                for file in (directory / "bundle").iterdir():
                    file.chmod(0o444)
                read_verified(directory / "bundle")  # the source may have changed meanwhile
                entry = {
                    "action": "registered",
                    "at": _now(),
                    "version": number,
                    "digest": manifest_digest(directory / "bundle"),
                    "certificate": sentence,
                    "who": who,
                    "why": note,
                }
                artifacts.write_json(directory / "registration.json", entry)
            self._complete_log(name)
            if alias is not None:
                self._move(name, alias, number, who=who, why=note)
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
        self._known(name)
        with self._writing(name):
            self.resolve(name, version)
            now = self.aliases(name).generation
            if generation is not None and generation != now:
                raise RegistryError(
                    f"aliases of {name!r} are of generation {now}, expected {generation}",
                    "Someone else moved an alias: look again, then decide",
                )
            return self._move(name, alias, version, who=who, why=why)

    def _move(self, name: str, alias: str, version: int, *, who: str, why: str) -> int:
        """Replace aliases.json, then log; the file holds the entry until the log does."""
        before = self.aliases(name)
        entry = {
            "action": "alias",
            "at": _now(),
            "generation": before.generation + 1,
            "alias": alias,
            "version": version,
            "before": before.versions.get(alias),
            "who": who,
            "why": why,
        }
        record = {
            "generation": before.generation + 1,
            "aliases": {**before.versions, alias: version},
            "change": entry,
        }
        artifacts.write_json(self._home(name) / "aliases.json", record)
        self._complete_log(name)
        return before.generation + 1

    def _writing(self, name: str) -> Any:
        """The lock on one model, with what a killed writer left behind cleared away."""
        return exclusive(self._home(name) / ".lock", on_entry=lambda: self._recover(name))

    def _recover(self, name: str) -> None:
        for directory in (self._home(name), self._home(name) / "versions"):
            for leftover in directory.glob(".*.tmp"):
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()
        self._complete_log(name)

    def _complete_log(self, name: str) -> None:
        log = self._home(name) / "log.jsonl"
        for entry in self._unlogged(name, _log_lines(log)):
            artifacts.append_line(log, json.dumps(entry, sort_keys=True))

    def _unlogged(self, name: str, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Changes that happened but are not in the log yet."""
        logged = {line["version"] for line in lines if line["action"] == "registered"}
        missing = [
            _read_json(self._directory(name, number) / "registration.json")
            for number in self._numbers(name)
            if number not in logged
        ]
        record = _read_json(self._home(name) / "aliases.json")
        moved = max((line["generation"] for line in lines if line["action"] == "alias"), default=0)
        if record is not None and record["generation"] > moved:
            missing.append(record["change"])
        return [entry for entry in missing if entry is not None]

    def _home(self, name: str) -> Path:
        """A model's directory; a name cannot lead out of the registry."""
        if not _NAME.fullmatch(name):
            raise RegistryError(
                f"model name: must be lower-case letters, digits, '_' and '-', got {name!r}",
                "Give the name of the study",
            )
        return self.path / name

    def _directory(self, name: str, number: int) -> Path:
        return self._home(name) / "versions" / f"{number:06d}"

    def _numbers(self, name: str) -> list[int]:
        versions = self._home(name) / "versions"
        if not versions.is_dir():
            return []
        return sorted(int(entry.name) for entry in versions.iterdir() if entry.name.isdigit())

    def _known(self, name: str) -> list[int]:
        numbers = self._numbers(name)
        if not numbers:
            known = ", ".join(self.names()) or "none"
            raise RegistryError(
                f"registry {str(self.path)!r} has no model {name!r}",
                f"Its models: {known}. Finish a study, or register a bundle",
            )
        return numbers

    def _version(self, name: str, number: int) -> Version:
        directory = self._directory(name, number)
        entry = _read_json(directory / "registration.json")
        if entry is None:
            raise RegistryError(
                f"{str(directory)!r} has no registration.json",
                "The registry was altered by hand; restore it from a copy",
            )
        return Version(
            name=name,
            version=number,
            path=directory / "bundle",
            digest=entry["digest"],
            registered=entry["at"],
            who=entry["who"],
            note=entry["why"],
            certificate=entry["certificate"],
        )


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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RegistryError(
            f"{str(path)!r} is not valid JSON: {error}", "Restore it from a copy"
        ) from None
    return record


def _log_lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of the log. A torn one was never reported as done and is healed anew."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_bytes().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines
