"""One prediction, from the bytes of a JSON request to the bytes of its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic_core import from_json, to_json

from windtunnel.data.panel import Float32Array
from windtunnel.errors import BacktestError, FeatureError
from windtunnel.serving.features import all_finite
from windtunnel.serving.predictor import Decisions, Predictor, Scored
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.session import Kept, read_session

_FIELDS = ("bars", "features", "since", "state")
_SHAPE = 'Send {"bars": ...} with optional "since" and "state", or {"features": [[...]]}'
_AHEAD = 60.0  # seconds that a bar may lie in the future before it is no honest bar


def parse(body: bytes) -> dict[str, Any]:
    """Read a request as a JSON object with the right fields.

    Raises
    ------
    Refusal
        It is not JSON, not an object, or has not one of ``bars`` and ``features``.
    """
    request = read_json(body, _SHAPE)
    if type(request) is dict and len(request) == 1 and "features" in request:
        return request  # most requests, and nothing else to check
    if not isinstance(request, dict):
        raise Refusal("type", "body", request, "must be a JSON object", _SHAPE)
    for name in request:
        if name not in _FIELDS:
            raise Refusal("unknown_field", name[:80], None, "is not a field of a request", _SHAPE)
    if ("bars" in request) == ("features" in request):
        both = "both bars and features" if "bars" in request else "neither bars nor features"
        raise Refusal("missing_field", "body", None, f"holds {both}", _SHAPE)
    for name in ("since", "state"):
        if "features" in request and name in request:
            problem = "goes with bars; features give scores alone"
            raise Refusal("unknown_field", name, request[name], problem, "Leave it out")
    return request


def read_json(body: bytes | str, remedy: str) -> Any:
    """Parse JSON.

    Raises
    ------
    Refusal
        It is not valid; `remedy` says what would be.
    """
    try:
        return from_json(body)
    except ValueError as error:
        problem = f"is not valid JSON: {str(error)[:120]}"
        raise Refusal("json", "body", None, problem, remedy) from None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and what it was made from.

    Attributes
    ----------
    content : bytes
        As it goes to the client.
    scored : Scored
        The rows that went through the model.
    decisions : Decisions or None
        None when features were sent.
    again : callable or None
        Decides anew on the same bars, by the version it is given; None when features were sent.
    binary : bool
        Whether `content` is float32 numbers rather than JSON.
    """

    content: bytes
    scored: Scored
    decisions: Decisions | None = None
    again: Callable[[Predictor], Decisions] | None = None
    binary: bool = False


def answer_bars(
    predictor: Predictor, request: dict[str, Any], *, max_age_seconds: float | None = None
) -> Answer:
    """Answer a request with ``bars``.

    Raises
    ------
    Refusal
        The request is not usable.
    """
    decisions = decide_request(predictor, request, max_age_seconds)
    content = to_json(
        {
            **predictor.head,
            "decisions": decision_rows(decisions),
            "state": decisions.state,
            "warnings": decisions.warnings,
        }
    )
    return Answer(
        content, decisions.scored, decisions, lambda other: decide_request(other, request, None)
    )


def scores_reply(predictor: Predictor, scores: Float32Array) -> bytes:
    """The JSON answer to a request with ``features``."""
    return to_json({**predictor.head, "scores": _plain(scores), "warnings": ()})


def decide_request(
    predictor: Predictor, request: dict[str, Any], max_age_seconds: float | None
) -> Decisions:
    """Decide on the bars of a request.

    Raises
    ------
    Refusal
        The request is not usable.
    """
    # What reads bars loads polars and the kernels: a service of features never needs them.
    from windtunnel.serving.bars import read_bars, read_timestamp  # noqa: PLC0415

    manifest = predictor.bundle.manifest
    state = read_state(request.get("state"), predictor)
    panel = read_bars(request["bars"], manifest.symbols)
    check_age(panel.timestamps[-1], max_age_seconds, "bars.timestamp")
    first = panel.bars - 1
    if request.get("since") is not None:
        moment = np.datetime64(read_timestamp(request["since"], "since"), "us")
        if not panel.timestamps[0] <= moment <= panel.timestamps[-1]:
            start, end = (iso(panel.timestamps[i : i + 1])[0] for i in (0, panel.bars - 1))
            raise Refusal(
                "since",
                "since",
                request["since"],
                f"lies outside the bars, which go from {start} to {end}",
                "Give a time within the bars, or leave it out for the last bar",
            )
        first = int(np.searchsorted(panel.timestamps, moment))
    if first < manifest.warmup:
        raise Refusal(
            "too_few_bars",
            "bars",
            panel.bars,
            f"{first} timestamps lie before the first decision, the features need "
            f"{manifest.warmup}",
            f"Send at least {manifest.warmup + 1} timestamps, {manifest.warmup} of them before "
            "the first decision",
        )
    return decide(predictor, panel, first, state)


def decide(
    predictor: Predictor, panel: Any, first: int, state: Mapping[str, int] | Kept
) -> Decisions:
    """`Predictor.decide`, with what the bars are to blame for as a Refusal."""
    try:
        return predictor.decide(panel, first, state)
    except (FeatureError, BacktestError) as error:  # a feature or score beyond float32
        remedy = "Mend the bars: a price or volume is far from any that the model was made for"
        raise Refusal("out_of_range", "bars", None, error.problem, remedy) from None


def check_age(last: np.datetime64, max_age_seconds: float | None, field: str) -> None:
    """Refuse bars that are too old to act on, or from the future.

    Raises
    ------
    Refusal
        By the clock of this machine.
    """
    if max_age_seconds is None:
        return
    now = np.datetime64(datetime.now(UTC).replace(tzinfo=None), "us")
    age = float((now - last) / np.timedelta64(1, "s"))
    if -_AHEAD <= age <= max_age_seconds:
        return
    stamp = iso(np.array([last]))[0]
    if age > max_age_seconds:
        raise Refusal(
            "stale",
            field,
            stamp,
            f"is the last bar and {age:.0f} s old, more than {max_age_seconds:g} s",
            "Send newer bars; to ask about the past, use a service without a limit of age",
        )
    raise Refusal(
        "stale",
        field,
        stamp,
        f"is the last bar and {-age:.0f} s in the future",
        "Check the bars' time zone, and the clocks of both machines",
    )


def read_state(state: object, predictor: Predictor) -> Mapping[str, int] | Kept:
    """The policy's signals of a request, or what a model remembers, checked.

    Raises
    ------
    Refusal
        A symbol is unknown or a signal impossible.
    """
    if predictor.remembers:
        return read_session(state, predictor.bundle) or {}
    if state is None:
        return {}
    remedy = 'Give the "state" of the previous answer, or leave it out to start flat'
    if not isinstance(state, dict):
        raise Refusal("state", "state", state, "must be an object of symbol to signal", remedy)
    manifest = predictor.bundle.manifest
    allowed = (0, 1) if manifest.policy.long_only else (-1, 0, 1)
    for symbol, signal in state.items():
        field = f"state.{symbol[:40]}"
        if symbol not in manifest.symbols:
            raise Refusal(
                "unknown_instrument", field, signal, "is not an instrument of this model", remedy
            )
        if type(signal) is not int or signal not in allowed:
            problem = f"must be one of {', '.join(map(str, allowed))}"
            raise Refusal("state", field, signal, problem, remedy)
    return state


def decision_rows(decisions: Decisions) -> list[dict[str, Any]]:
    """One row a timestamp and instrument, oldest first."""
    width = len(decisions.symbols)
    stamps = [stamp for stamp in iso(decisions.timestamps) for _ in range(width)]
    symbols = decisions.symbols * len(decisions.timestamps)
    return [
        {"timestamp": stamp, "symbol": symbol, "score": score, "exposure": exposure}
        for stamp, symbol, score, exposure in zip(
            stamps, symbols, _plain(decisions.scores), _plain(decisions.exposures), strict=True
        )
    ]


def _plain(values: np.ndarray[Any, Any]) -> list[float | None]:
    """Flat list for JSON: what is not finite has no number there and becomes null."""
    flat = values.ravel()
    numbers: list[float | None] = flat.tolist()
    if all_finite(flat):
        return numbers
    fine = np.isfinite(flat)
    return [value if ok else None for value, ok in zip(numbers, fine.tolist(), strict=True)]


def iso(stamps: np.ndarray[Any, Any]) -> list[str]:
    """Timestamps in UTC, with microseconds only where one of them has some."""
    whole = not (stamps.view(np.int64) % 1_000_000).any()
    text = np.datetime_as_string(stamps, unit="s" if whole else "us")
    return [f"{stamp}Z" for stamp in text.tolist()]
