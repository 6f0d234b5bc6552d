"""Reading a registry: versions, states and bundles, without a lock and without a write."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windtunnel.deployment.alike import obstacles
from windtunnel.deployment.chain import Chain
from windtunnel.deployment.copies import Copies
from windtunnel.deployment.manifest import NAME_PATTERN, Manifest, manifest_digest, read_verified
from windtunnel.deployment.state import State
from windtunnel.deployment.store import Store, open_store
from windtunnel.errors import RegistryError

if TYPE_CHECKING:
    from windtunnel.deployment.bundle import Bundle


@dataclass(frozen=True)
class Version:
    """One registered version. `digest` is the SHA-256 of its bundle's manifest."""

    name: str
    version: int
    digest: str
    registered: str
    who: str
    note: str
    certificate: str


class RegistryReader:
    """What can be asked of a registry; `windtunnel.deployment.registry.Registry` adds changes.

    Parameters
    ----------
    location : path, URL or Store
        A directory, or for example ``s3://bucket/registry``; need not exist yet.
    """

    def __init__(self, location: str | Path | Store) -> None:
        self._store = open_store(location)
        self._copies = Copies(self._store)

    @property
    def location(self) -> str:
        """Where the registry is, for people."""
        return self._store.location

    def names(self) -> tuple[str, ...]:
        """Models that have at least one version, sorted."""
        found = (name for name in self._store.children("") if re.fullmatch(NAME_PATTERN, name))
        return tuple(name for name in found if self.state(name).registered)

    def state(self, name: str, known: State | None = None) -> State:
        """The state of `name` now: aliases, canary, retired versions, all of one moment.

        Parameters
        ----------
        known : State, optional
            The state that the caller saw last. Polling with it costs one look at the store,
            and the same object comes back while nothing has changed.
        """
        return self._chain(name).head(known)

    def versions(self, name: str) -> tuple[Version, ...]:
        """All versions of `name`, oldest first.

        Raises
        ------
        RegistryError
            There is no such model.
        """
        state = self._known(name)
        return tuple(self._version(state, number) for number in state.numbers)

    def resolve(self, name: str, which: str | int = "champion") -> Version:
        """The version that an alias, or a number (also written out), stands for.

        Raises
        ------
        RegistryError
            There is no such model, version or alias.
        """
        state = self._known(name)
        return self._version(state, self._number(state, which))

    def history(self, name: str) -> tuple[dict[str, Any], ...]:
        """Every change, oldest first, with the state after it; the chain of digests checked."""
        return tuple(self._chain(name).records())

    def find(self, bundle: str | Path) -> Version | None:
        """The version under which this very bundle is registered, if it is.

        Raises
        ------
        BundleError
            The bundle is incomplete or altered.
        """
        manifest, _ = read_verified(bundle)
        return self._find(self.state(manifest.name), manifest_digest(bundle))

    def manifest(self, version: Version) -> Manifest:
        """A version's manifest, every digest of its bundle checked."""
        return self._copies.read(version.name, version.digest)[0]

    def obstacles(self, state: State, number: int) -> list[str]:
        """What keeps version `number` from answering what the champion is asked, in words."""
        if state.champion is None:
            return []
        champion = self.manifest(self._version(state, state.champion))
        return obstacles(champion, self.manifest(self._version(state, number)))

    def load(self, version: Version) -> Bundle:
        """Load a version's bundle, held to the digest under which it was registered.

        Raises
        ------
        BundleError
            What the registry holds is incomplete or altered.
        """
        from windtunnel.deployment.bundle import Bundle  # noqa: PLC0415 - jax, 0.5 s

        manifest, contents = self._copies.read(version.name, version.digest)
        return Bundle(self.local(version), manifest, contents)

    def local(self, version: Version) -> Path:
        """A directory with the version's bundle; from object storage it is fetched once."""
        return self._copies.local(version.name, version.digest)

    def _version(self, state: State, number: int) -> Version:
        entry = self._chain(state.name).record(state.registered[number - 1])
        return Version(
            name=state.name,
            version=number,
            digest=entry["details"]["digest"],
            registered=entry["at"],
            who=entry["who"],
            note=entry["why"],
            certificate=entry["details"]["certificate"],
        )

    def _find(self, state: State, digest: str, *, beyond: int = 0) -> Version | None:
        """The version above number `beyond` that has this digest."""
        if not self._copies.has(state.name, digest):
            return None
        versions = (self._version(state, number) for number in state.numbers[beyond:])
        return next((found for found in versions if found.digest == digest), None)

    def _number(self, state: State, which: str | int) -> int:
        if isinstance(which, int) or which.isdecimal():
            number = int(which)
        else:
            aliased = state.aliases.get(which)
            if aliased is None:
                known = f"its versions: 1 to {len(state.registered)}"
                raise RegistryError(
                    f"registry {self.location!r}: model {state.name!r} has no alias {which!r}",
                    f"No version has been promoted; {known}. `windtunnel promote {state.name} N` "
                    "asks the gate, and what that refuses serves only with --force and a reason"
                    if which == "champion"
                    else f"Its aliases: {state.aliases or 'none'}; {known}",
                )
            number = aliased
        if number not in state.numbers:
            raise RegistryError(
                f"registry {self.location!r}: model {state.name!r} has no version {number}",
                f"Its versions are 1 to {len(state.registered)}",
            )
        return number

    def _chain(self, name: str) -> Chain:
        """A model's log; a name cannot lead out of the registry."""
        if not re.fullmatch(NAME_PATTERN, name):
            raise RegistryError(
                f"model name: must be lower-case letters, digits, '_' and '-', got {name!r}",
                "Give the name of the study",
            )
        return Chain(self._store, name)

    def _known(self, name: str) -> State:
        state = self.state(name)
        if not state.registered:
            known = ", ".join(self.names()) or "none"
            raise RegistryError(
                f"registry {self.location!r} has no model {name!r}",
                f"Its models: {known}. Finish a study, or register a bundle",
            )
        return state


def as_record(version: Version) -> dict[str, Any]:
    """A version as plain JSON values."""
    return asdict(version)
