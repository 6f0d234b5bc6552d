"""What each command does to a state: pure functions, each from one state to the next.

They refuse what makes no sense, so that no record of it can come about; whether a version
deserves to serve is the gate's question (`windtunnel.deployment.gate`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from windtunnel.deployment.state import Canary, Mode, State
from windtunnel.errors import RegistryError


def registered(state: State) -> State:
    """The next number belongs to a new version; nobody's answers change."""
    return replace(state, registered=(*state.registered, state.sequence + 1))


def promoted(state: State, version: int) -> State:
    """`version` serves. A canary ends: it was compared with another champion, or is this one."""
    _usable(state, version)
    if version == state.champion:
        raise RegistryError(
            f"{state.name!r}: version {version} is champion already", "There is nothing to do"
        )
    lineage = tuple(earlier for earlier in state.lineage if earlier != version)
    if state.champion is not None:
        lineage = (*lineage, state.champion)
    return _moved(state, champion=version, canary=None, lineage=lineage)


def rolled_back(state: State, to: int | None = None, *, served: Collection[int] = ()) -> State:
    """Return to the previous champion, or to version `to`, which was champion before.

    The version that is left does not become the previous one: a second rollback goes further
    back, never forth to what was just found bad. A canary ends.

    Parameters
    ----------
    served : collection of int
        Versions that were promoted at some time, beside those of the lineage: what was rolled
        back from may be named again. Any other version has to pass the gate.
    """
    if state.champion is None:
        raise RegistryError(
            f"{state.name!r} has no champion to roll back from", "Promote a version first"
        )
    target = state.previous if to is None else to
    if target is None:
        raise RegistryError(
            f"{state.name!r}: version {state.champion} has no predecessor to return to",
            "Name a version to roll back to, or promote another one",
        )
    _usable(state, target)
    if target == state.champion:
        raise RegistryError(
            f"{state.name!r}: version {target} is champion already", "There is nothing to do"
        )
    lineage = state.lineage
    if target in lineage:
        lineage = lineage[: lineage.index(target)]
    elif target not in served:
        raise RegistryError(
            f"{state.name!r}: version {target} was never champion; a rollback asks no gate",
            f"Promote it: `windtunnel promote {state.name} {target}`",
        )
    return _moved(state, champion=target, canary=None, lineage=lineage)


def canary_started(state: State, version: int, *, weight: float, mode: Mode, sticky: bool) -> State:
    """`version` takes part in a share of the requests, beside the champion."""
    _usable(state, version)
    if state.champion is None:
        raise RegistryError(
            f"{state.name!r} has no champion to compare a canary with", "Promote a version first"
        )
    if version == state.champion:
        raise RegistryError(
            f"{state.name!r}: version {version} is the champion", "Try another version"
        )
    if state.canary is not None:
        raise RegistryError(
            f"{state.name!r}: version {state.canary.version} is canary already",
            "Stop it first; its comparison would be lost",
        )
    salt = f"{state.name}/{state.sequence + 1}"
    return _moved(state, canary=Canary(version, weight, mode, sticky, salt))


def canary_weighed(state: State, weight: float, *, mode: Mode | None = None) -> State:
    """Another share, or another mode, for the canary that runs; its sticky keys stay with it."""
    canary = _running(state)
    return _moved(state, canary=replace(canary, weight=weight, mode=mode or canary.mode))


def canary_stopped(state: State) -> State:
    """The champion answers everything again."""
    _running(state)
    return _moved(state, canary=None)


def retired(state: State, version: int) -> State:
    """`version` must never serve again; its bytes and its record stay."""
    _usable(state, version)
    canary = None if state.canary is None else state.canary.version
    for role, holder in (("champion", state.champion), ("canary", canary)):
        if version == holder:
            raise RegistryError(
                f"{state.name!r}: version {version} is the {role} and cannot be retired",
                "Promote another version, roll back, or stop the canary first",
            )
    return _moved(
        state,
        retired=tuple(sorted((*state.retired, version))),
        lineage=tuple(earlier for earlier in state.lineage if earlier != version),
    )


def _moved(state: State, **changes: object) -> State:
    return replace(state, generation=state.generation + 1, **changes)  # type: ignore[arg-type]


def _running(state: State) -> Canary:
    if state.canary is None:
        raise RegistryError(f"{state.name!r} has no canary", "Start one first")
    return state.canary


def _usable(state: State, version: int) -> None:
    if version not in state.numbers:
        known = f"1 to {len(state.registered)}" if state.registered else "none"
        raise RegistryError(f"{state.name!r} has no version {version}", f"Its versions: {known}")
    if version in state.retired:
        raise RegistryError(
            f"{state.name!r}: version {version} is retired", "Choose another version"
        )
