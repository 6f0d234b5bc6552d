"""Requests to models that remember: their state goes to the client and comes back.

The service keeps nothing between two requests, so that any process may answer any of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from windtunnel.deployment.bundle import Bundle
from windtunnel.deployment.session import State, pack, unpack
from windtunnel.errors import BundleError
from windtunnel.serving.refusal import Refusal

_REMEDY = (
    'Give the "state" of the previous answer unchanged, with the bars that follow it, or leave it '
    "out to start with cash"
)
_FIELDS = ("model", "at", "values")


class Kept(NamedTuple):
    """A state and the bar after which it is."""

    at: np.datetime64
    values: State


def write_state(bundle: Bundle, at: np.datetime64, state: State) -> dict[str, str]:
    """A state as an answer holds it."""
    stamp = np.datetime_as_string(at.astype("datetime64[us]"), unit="us")
    return {"model": _identity(bundle), "at": f"{stamp}Z", "values": pack(state)}


def read_session(given: Any, bundle: Bundle) -> Kept | None:
    """The state of a request; None to begin anew.

    Raises
    ------
    Refusal
        It is not what an answer of this very model held.
    """
    if given is None:
        return None
    if not isinstance(given, dict) or set(given) != set(_FIELDS):
        raise Refusal(
            "state", "state", given, f"must be an object of {', '.join(_FIELDS)}", _REMEDY
        )
    for name in _FIELDS:
        if not isinstance(given[name], str):
            raise Refusal("state", f"state.{name}", given[name], "must be a string", _REMEDY)
    if given["model"] != _identity(bundle):
        raise Refusal(
            "state", "state.model", given["model"][:80], "is the state of another model", _REMEDY
        )
    from windtunnel.serving.bars import read_timestamp  # noqa: PLC0415 - loads polars

    session = bundle.manifest.session
    try:
        values = {} if session is None else unpack(given["values"], session)
    except BundleError as error:
        raise Refusal("state", "state.values", None, error.problem, _REMEDY) from None
    return Kept(np.datetime64(read_timestamp(given["at"], "state.at"), "us"), values)


def check_follows(kept: Kept, stamps: np.ndarray[Any, Any], first: int) -> None:
    """Refuse bars that do not follow the state: what lies between would be lost.

    Raises
    ------
    Refusal
        The bar before the first decision is not the one that the state is of.
    """
    if first > 0 and stamps[first - 1] == kept.at:
        return
    before = f"{stamps[first - 1]}Z" if first > 0 else "none"
    raise Refusal(
        "state",
        "state.at",
        f"{kept.at}Z",
        f"is not the bar before the first decision, which is {before}",
        'Set "since" to the first bar after the state, and send all bars from there on',
    )


def _identity(bundle: Bundle) -> str:
    """What tells a bundle from others: its name and the digest of its parameters."""
    manifest = bundle.manifest
    return f"{manifest.name}-{manifest.files['params.safetensors'][:12]}"
