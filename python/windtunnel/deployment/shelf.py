"""One model's directory in a registry: its versions, aliases and audit log.

A version appears by one rename, an alias moves by another; each carries its own entry for
the log, so that a log cut short by a crash can be completed from them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from windtunnel import artifacts
from windtunnel.deployment.lock import exclusive
from windtunnel.deployment.manifest import manifest_digest, read_verified
from windtunnel.errors import RegistryError


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


@dataclass(frozen=True)
class Shelf:
    """The directory `home` of one model. Reading takes no lock; writers hold `writing`."""

    home: Path

    def numbers(self) -> list[int]:
        """Numbers of the versions, ascending."""
        versions = self.home / "versions"
        if not versions.is_dir():
            return []
        return sorted(int(entry.name) for entry in versions.iterdir() if entry.name.isdecimal())

    def version(self, number: int) -> Version:
        """What is on record of a version."""
        directory = self._directory(number)
        entry = _read_json(directory / "registration.json")
        if entry is None:
            raise RegistryError(
                f"{str(directory)!r} has no registration.json",
                "The registry was altered by hand; restore it from a copy",
            )
        return Version(
            name=self.home.name,
            version=number,
            path=directory / "bundle",
            digest=entry["digest"],
            registered=entry["at"],
            who=entry["who"],
            note=entry["why"],
            certificate=entry["certificate"],
        )

    def find(self, digest: str) -> Version | None:
        """The version of the bundle whose manifest has this digest, if there is one."""
        return next(
            (found for found in map(self.version, self.numbers()) if found.digest == digest), None
        )

    def aliases(self) -> Aliases:
        """Where the aliases point now."""
        record = _read_json(self.home / "aliases.json")
        return (
            Aliases(0, {}) if record is None else Aliases(record["generation"], record["aliases"])
        )

    def history(self) -> list[dict[str, Any]]:
        """All changes, oldest first, those included that a crash kept out of the log."""
        lines = _log_lines(self.home / "log.jsonl")
        return lines + self._unlogged(lines)

    def writing(self) -> AbstractContextManager[None]:
        """The lock on this model, with what a killed writer left behind cleared away."""
        return exclusive(self.home / ".lock", on_entry=self._recover)

    def copy(self, source: Path, digest: str, *, who: str, why: str, certificate: str) -> int:
        """Copy a bundle in as the next version; the rename at the end is what counts."""
        number = max(self.numbers(), default=0) + 1
        with artifacts.new_directory(self._directory(number)) as directory:
            shutil.copytree(source, directory / "bundle")
            for file in (directory / "bundle").iterdir():
                file.chmod(0o444)
            read_verified(directory / "bundle")
            if manifest_digest(directory / "bundle") != digest:
                raise RegistryError(
                    f"bundle {str(source)!r} was replaced while it was registered",
                    "Register it again once nothing writes there",
                )
            entry = {
                "action": "registered",
                "at": _now(),
                "version": number,
                "digest": digest,
                "certificate": certificate,
                "who": who,
                "why": why,
            }
            artifacts.write_json(directory / "registration.json", entry)
        self._complete_log()
        return number

    def move(self, alias: str, version: int, *, who: str, why: str) -> int:
        """Point an alias at a version; the replaced file is what counts."""
        before = self.aliases()
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
        artifacts.write_json(self.home / "aliases.json", record)
        self._complete_log()
        return before.generation + 1

    def _directory(self, number: int) -> Path:
        return self.home / "versions" / f"{number:06d}"

    def _recover(self) -> None:
        for directory in (self.home, self.home / "versions"):
            for leftover in directory.glob(".*.tmp"):
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()
        self._complete_log()

    def _complete_log(self) -> None:
        log = self.home / "log.jsonl"
        for entry in self._unlogged(_log_lines(log)):
            artifacts.append_line(log, json.dumps(entry, sort_keys=True))

    def _unlogged(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Changes that happened but are not in the log yet."""
        logged = {line["version"] for line in lines if line["action"] == "registered"}
        missing = [
            _read_json(self._directory(number) / "registration.json")
            for number in self.numbers()
            if number not in logged
        ]
        record = _read_json(self.home / "aliases.json")
        moved = max((line["generation"] for line in lines if line["action"] == "alias"), default=0)
        if record is not None and record["generation"] > moved:
            missing.append(record["change"])
        return [entry for entry in missing if entry is not None]


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
    """Whole lines of the log; a torn one is written anew from what it was about."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_bytes().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines
