"""The audits by name: those that come with the package and those that a user adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

from windtunnel.audits.result import AuditResult
from windtunnel.errors import StudyFileError, WindtunnelError

if TYPE_CHECKING:
    from windtunnel.audits.case import Case

Make: TypeAlias = "Callable[[Case], AuditResult]"

_BUILT_IN = ("leak", "warmup", "fills", "noise", "planted", "stress", "again")
# The order in which they are made and shown; those that a user adds come after them.
_ORDER = ("leak", "warmup", "fills", "noise", "oracle", "delay", "costs", "seeds", "starts")


@dataclass(frozen=True)
class Audit:
    """One audit: a name, the question that it asks, and how it is made."""

    name: str
    question: str
    make: Make


_AUDITS: dict[str, Audit] = {}


def register(name: str, question: str) -> Callable[[Make], Make]:
    """Decorator: make a function from `Case` to `AuditResult` the audit `name`.

    A name that is taken is replaced when the module that holds it is loaded again.

    Raises
    ------
    StudyFileError
        Another function holds that name already.

    Examples
    --------
    >>> @register("mine", "Is it Tuesday?")  # doctest: +SKIP
    ... def mine(case):
    ...     return AuditResult("mine", True, "It is Tuesday.")
    """

    def keep(make: Make) -> Make:
        held = _AUDITS.get(name)
        if held is not None and _origin(held.make) != _origin(make):
            raise StudyFileError(
                f"audit {name!r} is registered already, by {_origin(held.make)}",
                "Register the new audit under another name",
            )
        _AUDITS[name] = Audit(name, question, make)
        return make

    return keep


def audits() -> tuple[Audit, ...]:
    """All registered audits, the package's own first."""
    for module in _BUILT_IN:
        import_module(f"windtunnel.audits.{module}")
    places = {name: place for place, name in enumerate(_ORDER)}
    return tuple(sorted(_AUDITS.values(), key=lambda audit: places.get(audit.name, len(places))))


def run_audits(
    case: Case,
    names: Sequence[str] | None = None,
    *,
    observe: Callable[[AuditResult], None] | None = None,
) -> tuple[AuditResult, ...]:
    """Make audits, one after another.

    A pipeline that stops with an error in an audit has failed it: the error is its sentence.

    Parameters
    ----------
    case : Case
    names : sequence of str, optional
        Which; all of them when absent.
    observe : callable, optional
        Told of every result as soon as there is one.

    Raises
    ------
    StudyFileError
        No audit has one of the names.
    """
    known = {audit.name: audit for audit in audits()}
    chosen = tuple(known) if names is None else tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in known:
            raise StudyFileError(
                f"audit: there is none called {name!r}", f"Choose from {', '.join(known)}"
            )
    results = []
    for name in chosen:
        try:
            result = known[name].make(case)
        except WindtunnelError as error:
            result = AuditResult(name, False, f"The pipeline stopped: {error}")
        if observe is not None:
            observe(result)
        results.append(result)
    return tuple(results)


def _origin(make: Make) -> str:
    return f"{make.__module__}.{getattr(make, '__qualname__', '?')}"
