"""One prediction, from the bytes of a request to the bytes of its answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic_core import from_json, to_json

from windtunnel.data.panel import Float32Array
from windtunnel.errors import BacktestError, FeatureError
from windtunnel.serving.bars import read_bars, read_numbers, read_timestamp
from windtunnel.serving.predictor import Decisions, Predictor
from windtunnel.serving.refusal import Refusal

_FIELDS = ("bars", "features", "since", "state")
_SHAPE = 'Send {"bars": ...} with optional "since" and "state", or {"features": [[...]]}'


def answer(predictor: Predictor, body: bytes) -> tuple[bytes, int]:
    """Answer a prediction request.

    Parameters
    ----------
    predictor : Predictor
    body : bytes
        JSON, see `windtunnel.serving.schemas`.

    Returns
    -------
    tuple of (bytes, int)
        The answer as JSON, and the number of rows scored.

    Raises
    ------
    Refusal
        The request is not usable.
    """
    request = _parse(body)
    if "features" in request:
        scores = predictor.bundle.score(_read_features(request["features"], predictor))
        return to_json({**_head(predictor), "scores": _plain(scores), "warnings": []}), len(scores)
    decisions = _decide(predictor, request)
    reply = {
        **_head(predictor),
        "decisions": _rows(decisions),
        "state": decisions.state,
        "warnings": decisions.warnings,
    }
    return to_json(reply), decisions.scores.size


def _parse(body: bytes) -> dict[str, Any]:
    try:
        request = from_json(body)
    except ValueError as error:
        problem = f"is not valid JSON: {str(error)[:120]}"
        raise Refusal("json", "body", None, problem, _SHAPE) from None
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


def _decide(predictor: Predictor, request: dict[str, Any]) -> Decisions:
    manifest = predictor.bundle.manifest
    state = _read_state(request.get("state"), predictor)
    panel = read_bars(request["bars"], manifest.symbols)
    first = panel.bars - 1
    if request.get("since") is not None:
        moment = np.datetime64(read_timestamp(request["since"], "since"), "us")
        if not panel.timestamps[0] <= moment <= panel.timestamps[-1]:
            start, end = (_iso(panel.timestamps[i : i + 1])[0] for i in (0, panel.bars - 1))
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
    try:
        return predictor.decide(panel, first, state)
    except (FeatureError, BacktestError) as error:  # a feature or score beyond float32
        remedy = "Mend the bars: a price or volume is far from any that the model was made for"
        raise Refusal("out_of_range", "bars", None, error.problem, remedy) from None


def _read_state(state: object, predictor: Predictor) -> dict[str, int]:
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


def _read_features(features: object, predictor: Predictor) -> Float32Array:
    names = predictor.bundle.manifest.features
    remedy = f"Give rows of {len(names)} numbers: {', '.join(names)}"
    if not isinstance(features, list) or not features:
        raise Refusal("shape", "features", features, "must be a non-empty array of rows", remedy)
    for i, row in enumerate(features):
        if not isinstance(row, list):
            raise Refusal("type", f"features[{i}]", row, "must be an array of numbers", remedy)
        if len(row) != len(names):
            problem = f"has {len(row)} numbers, the model takes {len(names)}"
            raise Refusal("shape", f"features[{i}]", len(row), problem, remedy)
    width = len(names)
    flat = [value for row in features for value in row]
    values = read_numbers(flat, lambda i: f"features[{i // width}][{i % width}]")
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    if not np.isfinite(narrow).all():
        i = int(np.argmin(np.isfinite(narrow)))
        raise Refusal(
            "not_finite",
            f"features[{i // width}][{i % width}]",
            flat[i],
            "is beyond the range of float32",
            "Give a feature as the study computes it",
        )
    return narrow.reshape(-1, width)


def _head(predictor: Predictor) -> dict[str, Any]:
    manifest = predictor.bundle.manifest
    return {"model": manifest.name, "version": predictor.version, "trial": manifest.trial}


def _rows(decisions: Decisions) -> list[dict[str, Any]]:
    """One row a timestamp and instrument, oldest first."""
    width = len(decisions.symbols)
    stamps = [stamp for stamp in _iso(decisions.timestamps) for _ in range(width)]
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
    return [
        value if fine else None
        for value, fine in zip(flat.tolist(), np.isfinite(flat).tolist(), strict=True)
    ]


def _iso(stamps: np.ndarray[Any, Any]) -> list[str]:
    """Timestamps in UTC, with microseconds only where one of them has some."""
    whole = not (stamps.view(np.int64) % 1_000_000).any()
    text = np.datetime_as_string(stamps, unit="s" if whole else "us")
    return [f"{stamp}Z" for stamp in text.tolist()]
