"""Models that remember: their program walks through bars, its state goes from call to call.

Such a model trades an account of its own along with the bars. Whoever asks keeps the state
between two calls; it is what the program needs, the orders that are not filled yet included.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import export

from windtunnel.backtest.market import COLUMNS, market_rows
from windtunnel.data.panel import BoolArray, Float32Array, Panel
from windtunnel.deployment.manifest import Manifest, Session
from windtunnel.errors import BundleError

State: TypeAlias = dict[str, Float32Array]
# step(params, state, row) -> state, level (N,), margin (N,); row is (N, 6 + F).
Step: TypeAlias = Callable[[Any, dict[str, jax.Array], jax.Array], tuple[Any, jax.Array, jax.Array]]

ROW_COLUMNS = (*COLUMNS, "defined")
MARGIN = 1e-3  # choices closer than this, in probability, may fall otherwise elsewhere
# What every account keeps to, value by value; `pending` may also be NaN, where nothing is decided.
_RULES: dict[str, Callable[[Float32Array], Any]] = {
    "mark": lambda x: x > 0,
    "volume": lambda x: x > 0,
    "tradable": lambda x: (x == 0) | (x == 1),
    "closed": lambda x: (x == 0) | (x == 1),
    "entry": lambda x: x >= 0,
    "held": lambda x: (x >= 0) & (x == np.floor(x)),
    "carry": lambda x: np.abs(x) <= 1 + _ROUNDING,  # a gated cell averages values of tanh
}
_ROUNDING = 1e-4  # of sums in float32
_BEGINNING = {"cash": 1.0, "equity": 1.0, "mark": 1.0, "volume": 1.0, "pending": np.nan}


@dataclass(frozen=True)
class Walked:
    """What a model decided on D bars of N instruments.

    Attributes
    ----------
    levels, margins : (D, N) float32
        The scores, and how clear each choice was; NaN where nothing is decided.
    defined : (D, N) bool
        Where all features are.
    features : (R, F) float32
        Raw features, one row a place in `defined`.
    state : dict of float32 arrays
        After the last bar.
    """

    levels: Float32Array
    margins: Float32Array
    defined: BoolArray
    features: Float32Array
    state: State


def beginning(session: Session) -> State:
    """The state of an account that holds cash alone and remembers nothing."""
    return {
        name: np.full(shape, _BEGINNING.get(name, 0.0), np.float32)
        for name, shape in session.state.items()
    }


def walk(
    step: Callable[[State, Float32Array], tuple[State, Float32Array, Float32Array]],
    manifest: Manifest,
    panel: Panel,
    first: int,
    state: State | None,
    *,
    decided: npt.NDArray[np.floating] | None = None,
) -> Walked:
    """Decide on the bars of `panel` from index `first` on, one after another.

    Parameters
    ----------
    step : callable
        The bundle's program, `Bundle.step`.
    panel : Panel
        All instruments of the model, with the features' warm-up before `first`.
    state : dict or None
        After bar `first` - 1; None begins with cash.
    decided : (D, N) float, optional
        Target exposures that the account is to follow in place of the model's own: what a
        replay compares is then each decision, and not what an early one led to.
    """
    session = manifest.session
    if session is None:
        raise BundleError(f"model {manifest.name!r} has no state to walk with", "Score its rows")
    start = max(0, first - manifest.warmup)
    known = panel.window(start)
    from windtunnel.features.compute import compute  # noqa: PLC0415 - numba, 0.2 s

    features = compute(known, manifest.features).values[first - start :]
    defined = np.isfinite(features).all(axis=2) & panel.listed[first:]
    unit = session.volume_unit
    if state is None:
        state = beginning(session)
        market = market_rows(known, manifest.fill, volume_unit=unit)[first - start :]
    else:
        before = (state["mark"], state["volume"])
        market = market_rows(panel.window(first), manifest.fill, volume_unit=unit, before=before)
    x = np.where(defined[:, :, None], features, np.float32(0))
    rows = np.concatenate([market, defined[:, :, None], x], axis=2, dtype=np.float32)
    levels, margins = np.empty_like(rows[:, :, 0]), np.empty_like(rows[:, :, 0])
    for t, row in enumerate(rows):
        state, levels[t], margins[t] = step(state, row)
        if decided is not None:
            state = {**state, "pending": np.asarray(decided[t], np.float32)}
    return Walked(levels, margins, defined, features[defined], state)


def all_instruments(panel: Panel, symbols: tuple[str, ...]) -> Panel:
    """`panel` with a column for every one of `symbols`, without bars where it has none."""
    if panel.symbols == symbols:
        return panel
    at = [symbols.index(symbol) for symbol in panel.symbols]
    shape = (panel.bars, len(symbols))
    columns: dict[str, Any] = {}
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = np.full(shape, np.nan)
        columns[name][:, at] = getattr(panel, name)
    columns["tradable"] = np.zeros(shape, bool)
    columns["tradable"][:, at] = panel.tradable
    return replace(panel, symbols=symbols, **columns)


def pack(state: State) -> str:
    """A state as text, exact to the bit."""
    raw = b"".join(state[name].astype("<f4").tobytes() for name in sorted(state))
    return base64.b64encode(raw).decode()


def unpack(text: str, session: Session) -> State:
    """The state that `pack` wrote.

    Raises
    ------
    BundleError
        It is no such text, of another model's size, or holds what no account can: the message
        names the array. What an account can hold is taken as it is, whoever wrote it.
    """
    sizes = {name: int(np.prod(shape)) for name, shape in sorted(session.state.items())}
    try:
        raw = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 4 * sum(sizes.values()):
        raise BundleError(
            f"state: must be {4 * sum(sizes.values())} bytes in base64, got {len(raw)}",
            "Give the state of this model's previous answer",
        )
    values = np.frombuffer(raw, "<f4").astype(np.float32)
    found, at = {}, 0
    for name, size in sizes.items():
        found[name] = values[at : at + size].reshape(session.state[name])
        at += size
        good = np.isfinite(found[name])
        if name == "pending":  # where nothing is decided
            good |= np.isnan(found[name])
        if name in _RULES:
            good &= _RULES[name](found[name])
        if not good.all():
            raise _impossible(f"{name} holds a value")
    if {"cash", "units", "mark", "entry", "closed", "equity"} <= found.keys():
        _check_account(found)
    return found


def _check_account(state: State) -> None:
    """Hold the parts of an account to one another."""
    cash, equity = float(state["cash"]), float(state["equity"])
    held = state["units"] != 0
    if state["closed"] and held.any():
        raise _impossible("closed and units say that a liquidated account holds something")
    if not np.array_equal(held, state["entry"] > 0):
        raise _impossible("entry and units name different positions")
    value = state["units"].astype(np.float64) * state["mark"]
    if abs(cash + value.sum() - equity) > _ROUNDING * (abs(cash) + np.abs(value).sum()):
        raise _impossible("equity is not cash and positions at their marks")


def _impossible(problem: str) -> BundleError:
    return BundleError(
        f"state: {problem}, which no account can have",
        "Give the state of this model's previous answer, unchanged",
    )


def session_program(step: Step, session: Session, features: int) -> tuple[Any, tuple[Any, ...]]:
    """A step as it is exported, and the shapes of its arguments behind the parameters."""
    instruments = session.state["units"][0]

    def checked(params: Any, state: dict[str, jax.Array], row: jax.Array) -> Any:
        after, level, margin = step(params, state, row)
        found = {name: tuple(value.shape) for name, value in after.items()}
        if found != session.state:
            raise BundleError(
                f"session: the step returns {found}, its state is {session.state}",
                "Return every array of the state, in its shape",
            )
        return (
            {name: value.astype(jnp.float32) for name, value in after.items()}, level, margin,
        )  # fmt: skip

    def float32(*shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, jnp.float32)  # type: ignore[no-untyped-call]

    state = {name: float32(*shape) for name, shape in session.state.items()}
    return checked, (state, float32(instruments, len(ROW_COLUMNS) + features))


def check_session(path: str, manifest: Manifest, exported: export.Exported) -> None:
    """Hold a program that remembers to its manifest."""
    session = manifest.session
    if session is None:
        return
    _, state, row = jax.tree_util.tree_unflatten(exported.in_tree, exported.in_avals)[0]
    found: Mapping[str, Any] = {name: tuple(aval.shape) for name, aval in state.items()}
    wanted = (len(manifest.symbols), len(ROW_COLUMNS) + len(manifest.features))
    if found != session.state or tuple(row.shape) != wanted:
        raise BundleError(
            f"bundle {path!r}: the program's state {found} and row {tuple(row.shape)} are not "
            f"the manifest's {session.state} and {wanted}",
            "Export it again",
        )
