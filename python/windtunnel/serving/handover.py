"""What of a stream's state another version goes on with, when the version that answers changes."""

from __future__ import annotations

from collections.abc import Mapping

from windtunnel.serving.answer import read_state
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.refusal import Refusal

State = Mapping[str, int | str]


def hand_over(state: State, to: Predictor) -> tuple[State, tuple[str, ...]]:
    """A state that `to` can go on from, made of one that another version left.

    Signals that it can hold stay, others become flat. What a model remembers means nothing to
    other parameters: a model that remembers begins anew, with cash.

    Returns
    -------
    state : mapping
    warnings : tuple of str
        What was let go, for the client.
    """
    if not state or _readable(state, to):
        return state, ()
    if to.remembers or not all(isinstance(signal, int) for signal in state.values()):
        return {}, (
            f"version {to.version} took over and cannot go on from the state of the version "
            "before: it begins anew, without positions",
        )
    kept = {symbol: signal for symbol, signal in state.items() if _readable({symbol: signal}, to)}
    lost = ", ".join(f"{symbol}: {state[symbol]}" for symbol in state if symbol not in kept)
    return kept, (
        f"version {to.version} took over and cannot hold the signals {lost}: it takes these "
        "instruments to be flat",
    )


def _readable(state: State, predictor: Predictor) -> bool:
    try:
        read_state(state, predictor)
    except Refusal:
        return False
    return True
