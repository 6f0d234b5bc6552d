"""Versions of models, and which of them serve.

Layout, below the registry's location::

    NAME/log/00000001.json     one record a change: who, when, what, why, and the state after it
    NAME/bundles/SHA256/...    bundles under the digest of their manifest

A version exists once a record registers it, which is written after the last of its files. So
a reader sees the old state or the new one, whole, without a lock, from any machine; see
`windtunnel.deployment.chain` for the protocol of writers.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from windtunnel.deployment import moves
from windtunnel.deployment.chain import Change
from windtunnel.deployment.gate import examine, failed, require
from windtunnel.deployment.manifest import manifest_digest, read_verified
from windtunnel.deployment.reader import RegistryReader, Version, as_record
from windtunnel.deployment.state import ALIASES, Canary, Mode, State
from windtunnel.deployment.store import Store
from windtunnel.errors import RegistryError
from windtunnel.events import AliasMoved, EventBus

__all__ = [
    "ALIASES",
    "Canary",
    "Registry",
    "State",
    "Version",
    "as_record",
    "replay_certificate",
]

Certify: TypeAlias = Callable[[Path], tuple[bool, str]]


def replay_certificate(path: Path) -> tuple[bool, str]:
    """Load and replay the bundle at `path`, equity too: whether it passed, and in words."""
    from windtunnel.deployment.bundle import load_bundle  # noqa: PLC0415 - jax, 0.5 s
    from windtunnel.deployment.replay import replay  # noqa: PLC0415 - jax, numba
    from windtunnel.deployment.replay_equity import replay_equity  # noqa: PLC0415 - the engine

    bundle = load_bundle(path)
    decisions = replay(bundle)
    money = replay_equity(bundle)
    return decisions.ok and money.ok, f"{decisions.sentence} {money.sentence}"


class Registry(RegistryReader):
    """A registry in a directory, local or shared, or in object storage.

    Parameters
    ----------
    location : path, URL or Store
        A directory, or for example ``s3://bucket/registry``; made on first registration.
    certify : callable, optional
        What a bundle must pass to be registered, tried and promoted; the replay by default.
    bus : EventBus, optional
        Where `AliasMoved` goes once a move is on record. The record is the truth: a process
        that dies in between has moved the alias and told nobody.

    Notes
    -----
    Every change takes `who`, the operating system's user by default, and `why`, both kept in
    the log; and `generation`, to refuse the change unless the state is still of that
    generation (compare and swap).
    """

    def __init__(
        self,
        location: str | Path | Store,
        *,
        certify: Certify = replay_certificate,
        bus: EventBus | None = None,
    ) -> None:
        super().__init__(location)
        self._certify = certify
        self._bus = bus

    def register(self, bundle: str | Path, *, note: str, who: str | None = None) -> int:
        """Keep an immutable copy of a bundle as the next version of its model.

        A bundle that is registered already keeps its number, so that a registration that
        was cut off can be asked for again.

        Returns
        -------
        int
            The version's number; numbers start at 1.

        Raises
        ------
        BundleError
            The bundle is incomplete or altered.
        RegistryError
            Its replay certificate fails.
        """
        source = Path(bundle)
        manifest, _ = read_verified(source)
        digest = manifest_digest(source)
        ok, sentence = self._certify(source)
        if not ok:
            raise RegistryError(
                f"bundle {str(source)!r} does not replay: {sentence.rstrip('.')}",
                "Export it again with the versions that serve it; it was not registered",
            )
        seen = self.state(manifest.name)
        known = self._find(seen, digest)
        if known is not None:
            return known.version
        self._copies.add(source, manifest.name, digest)

        def add(state: State) -> Change | None:
            if self._find(state, digest, beyond=len(seen.registered)) is not None:
                return None  # another writer was faster
            details = {
                "version": len(state.registered) + 1,
                "digest": digest,
                "certificate": sentence,
            }
            return Change("registered", moves.registered(state), who or _user(), note, details)

        state = self._change(manifest.name, add)
        found = self._find(state, digest, beyond=len(seen.registered))
        assert found is not None  # noqa: S101 - the loop ends once it is there
        return found.version

    def promote(
        self,
        name: str,
        which: str | int = "canary",
        *,
        why: str,
        who: str | None = None,
        force: bool = False,
        generation: int | None = None,
        evidence: dict[str, Any] | None = None,
    ) -> State:
        """Let a version serve, if the gate lets it through.

        Parameters
        ----------
        which : str or int
            A number, or an alias.
        force : bool
            Pass the gate although the verdict or the holdout speaks against it; the rules
            that were overridden are recorded. A failed replay cannot be forced.
        evidence : dict, optional
            What the decision rests on, as JSON values, for the log.

        Raises
        ------
        PromotionRefusedError
            The gate refuses.
        RegistryError
            There is no such version, it is retired, or the generation has moved on.
        """
        reason = why.strip()
        if force and not reason:
            raise RegistryError(
                f"promotion of {name!r} is forced without a reason", "Say why; it is recorded"
            )
        version = self.resolve(name, which)
        ok, sentence = self._certify(self.local(version))
        findings = examine(self.manifest(version), replays=ok, certificate=sentence)
        require(name, version.version, findings, force=force)

        def move(state: State) -> Change:
            details = {
                "version": version.version,
                "from": state.champion,
                "gate": [asdict(finding) for finding in findings],
                "evidence": evidence,
            }
            after = moves.promoted(state, version.version)
            return Change("promoted", after, who or _user(), reason, details, failed(findings))

        return self._change(name, move, generation)

    def rollback(
        self,
        name: str,
        to: str | int | None = None,
        *,
        why: str,
        who: str | None = None,
        generation: int | None = None,
        evidence: dict[str, Any] | None = None,
    ) -> State:
        """Return to the previous champion, or to an earlier one; asks no gate, loads nothing.

        Raises
        ------
        RegistryError
            There is nothing to return to, the version named was never champion or is retired,
            or the generation has moved on.
        """

        def move(state: State) -> Change:
            number = None if to is None else self._number(state, to)
            # The log is read only for a version that the state does not know to have served.
            known = number is None or number in state.lineage
            after = moves.rolled_back(state, number, served=() if known else self._promoted(name))
            details = {"version": after.champion, "from": state.champion, "evidence": evidence}
            return Change("rolled_back", after, who or _user(), why, details)

        return self._change(name, move, generation)

    def start_canary(
        self,
        name: str,
        which: str | int,
        *,
        weight: float,
        mode: Mode = "live",
        sticky: bool = False,
        why: str = "",
        who: str | None = None,
        generation: int | None = None,
    ) -> State:
        """Let a version take part in a share of the requests; see `Canary` for the terms.

        A canary answers real requests, so its bundle has to replay here and now, and a live one
        has to understand what the champion's clients send; verdict and holdout are asked for
        when it is promoted.
        """
        version = self.resolve(name, which)
        ok, sentence = self._certify(self.local(version))
        if not ok:
            raise RegistryError(
                f"{name!r}: version {version.version} does not replay: {sentence.rstrip('.')}",
                "Export it again with the versions that serve it",
            )

        def move(state: State) -> Change:
            after = moves.canary_started(
                state, version.version, weight=weight, mode=mode, sticky=sticky
            )
            self._require_alike(after)
            details = {
                "version": version.version,
                "weight": weight,
                "mode": mode,
                "sticky": sticky,
                "champion": state.champion,
                "certificate": sentence,
            }
            return Change("canary_started", after, who or _user(), why, details)

        return self._change(name, move, generation)

    def weigh_canary(
        self,
        name: str,
        weight: float,
        *,
        mode: Mode | None = None,
        why: str = "",
        who: str | None = None,
        generation: int | None = None,
    ) -> State:
        """Give the canary that runs another share, or another mode."""

        def move(state: State) -> Change:
            after = moves.canary_weighed(state, weight, mode=mode)
            self._require_alike(after)
            before = state.canary
            details = {
                "version": None if before is None else before.version,
                "weight": weight,
                "from": None if before is None else before.weight,
                "mode": mode or (None if before is None else before.mode),
            }
            return Change("canary_weighed", after, who or _user(), why, details)

        return self._change(name, move, generation)

    def stop_canary(
        self,
        name: str,
        *,
        why: str,
        who: str | None = None,
        generation: int | None = None,
        evidence: dict[str, Any] | None = None,
    ) -> State:
        """Let the champion answer everything again."""

        def move(state: State) -> Change:
            details = {
                "version": None if state.canary is None else state.canary.version,
                "evidence": evidence,
            }
            after = moves.canary_stopped(state)
            return Change("canary_stopped", after, who or _user(), why, details)

        return self._change(name, move, generation)

    def retire(
        self,
        name: str,
        version: int,
        *,
        why: str,
        who: str | None = None,
        generation: int | None = None,
    ) -> State:
        """Bar a version from ever serving again; its bytes and its record stay."""

        def move(state: State) -> Change:
            after = moves.retired(state, version)
            return Change("retired", after, who or _user(), why, {"version": version})

        return self._change(name, move, generation)

    def _require_alike(self, state: State) -> None:
        """Refuse a live canary that cannot answer what the champion is asked."""
        canary = state.canary
        if canary is None or canary.mode != "live":
            return
        found = self.obstacles(state, canary.version)
        if found:
            raise RegistryError(
                f"{state.name!r}: version {canary.version} cannot answer what version "
                f"{state.champion} is asked: {'; '.join(found)}",
                "Try it in shadow mode; clients have to know before it is promoted",
            )

    def _promoted(self, name: str) -> set[int]:
        """Every version that was ever let through the gate, or past it by force."""
        entries = self.history(name)
        return {each["details"]["version"] for each in entries if each["action"] == "promoted"}

    def _change(
        self,
        name: str,
        decide: Callable[[State], Change | None],
        generation: int | None = None,
    ) -> State:
        """Decide on the newest state and record it; look again when another writer was faster."""
        chain = self._chain(name)
        state = chain.head()
        while True:
            if generation is not None and generation != state.generation:
                raise RegistryError(
                    f"{name!r} is of generation {state.generation}, expected {generation}",
                    "Someone else changed what serves: look again, then decide",
                )
            change = decide(state)
            if change is None:
                return state
            after = chain.append(state, change)
            if after is not None:
                self._tell(state, after, change)
                return after
            state = chain.head(state)

    def _tell(self, before: State, after: State, change: Change) -> None:
        """Let observers know which of the aliases that serve have moved."""
        if self._bus is None:
            return
        for alias in ("champion", "canary"):
            was, now = before.aliases.get(alias), after.aliases.get(alias)
            if was == now or (now is None and was == after.champion):
                continue  # a canary that became champion is told once
            version = None if now is None else self._version(after, now)
            self._bus.emit(
                AliasMoved(
                    model=after.name,
                    alias=alias,
                    version=now,
                    previous=was,
                    why=change.why,
                    who=change.who,
                    rolled_back=change.action == "rolled_back",
                    digest="" if version is None else version.digest,
                    run="" if version is None else self.manifest(version).run,
                    figures=dict(change.details.get("evidence") or {}),
                )
            )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        return "unknown"
