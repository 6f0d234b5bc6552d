"""What a request and an answer look like, for the OpenAPI document.

The hot path checks by hand (`bars`, `answer`), which names the field and the remedy and is
many times faster on columns; a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.json_schema import models_json_schema

from windtunnel.serving.arrow import ARROW
from windtunnel.serving.features import FLOAT32

PREDICT = "/v1/predict"
OUTCOMES = "/v1/outcomes"

Timestamp = Annotated[str, StringConstraints(min_length=10)]
Price = Annotated[float, Field(gt=0)]
Volume = Annotated[float, Field(ge=0)]
Signal = Annotated[int, Field(ge=-1, le=1)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Bar(_Request):
    """One bar; low <= open, close <= high. `timestamp` is ISO 8601 with a zone."""

    timestamp: Timestamp
    symbol: str
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Volume


class BarColumns(_Request):
    """The same bars as columns of equal length, smaller and faster for many of them."""

    timestamp: list[Timestamp] = Field(min_length=1)
    symbol: list[str] = Field(min_length=1)
    open: list[Price] = Field(min_length=1)
    high: list[Price] = Field(min_length=1)
    low: list[Price] = Field(min_length=1)
    close: list[Price] = Field(min_length=1)
    volume: list[Volume] = Field(min_length=1)


class SessionState(BaseModel):
    """What a model that remembers carries from one request to the next; opaque, as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    at: Timestamp
    values: str


class BarsRequest(_Request):
    """Ask for decisions from bars."""

    bars: Annotated[list[Bar], Field(min_length=1)] | BarColumns = Field(
        description="Bars of any of the model's instruments, each instrument's oldest first, "
        "with the features' warm-up before the first decision."
    )
    since: Timestamp | None = Field(
        default=None,
        description="First bar to decide on; the policy is in `state` there. Default: the last "
        "bar alone.",
    )
    state: dict[str, Signal] | SessionState | None = Field(
        default=None,
        description="The policy's signal a symbol before the first decision: the `state` of the "
        "previous answer. Default: flat.",
    )


class FeaturesRequest(_Request):
    """Ask for scores from features computed elsewhere."""

    features: list[list[float]] = Field(
        min_length=1, description="Rows of raw features in the order of the model."
    )


class Decision(BaseModel):
    """What to hold from the next fill on, as a signed fraction of equity.

    `score` is null where the model has no opinion; `exposure` is null where the instrument
    has no bar, so that nothing is decided.
    """

    timestamp: str
    symbol: str
    score: float | None
    exposure: float | None


class _Answer(BaseModel):
    model: str
    version: int
    trial: int
    warnings: list[str]


class DecisionsAnswer(_Answer):
    """Decisions, oldest first, and the state to give with the next request."""

    decisions: list[Decision]
    state: dict[str, int] | SessionState


class ScoresAnswer(_Answer):
    """One score a row of features."""

    scores: list[float | None]


class Problem(BaseModel):
    """Why a request was not answered: the place, what was found there, what to do."""

    field: str | None
    value: str | float | bool | None
    problem: str
    remedy: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in (
        (401, "A token is needed, or it is not known"),
        (403, "The token has not the scope"),
        (408, "The body came too slowly"),
        (413, "The body is too large"),
        (422, "The request is not usable as it is"),
        (429, "Too many requests from this client"),
        (503, "No version is loaded yet, or too much is under way"),
    )
}


ADMIN_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is not JSON"},
    **{status: REFUSALS[status] for status in (401, 403, 413, 422, 429)},
    409: {"model": Problem, "description": "The registry refuses the change"},
}


class Health(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """The version that serves, loaded, replayed and warm."""

    status: str
    model: str
    version: int


class ModelVersion(BaseModel):
    """A registered version, who registered it, why, and how its replay went."""

    name: str
    version: int
    digest: str
    registered: str
    who: str
    note: str
    certificate: str


class Alert(BaseModel):
    """An alert that has not ended."""

    rule: str
    severity: str
    subject: str
    what: str
    since: str


class Happening(BaseModel):
    """Something that happened, for people."""

    at: str
    kind: str
    text: str


class Latency(BaseModel):
    """Quantiles in seconds over the last minute; null without a prediction in it."""

    p50: float | None
    p95: float | None
    p99: float | None


class Status(BaseModel):
    """What the service is doing now. `rates` are predictions in each of the last seconds.

    Where nothing is `watched` by a monitor, no alert says nothing.
    """

    model: str
    ready: bool
    draining: bool
    failure: bool
    champion: int | None
    canary: int | None
    weight: float | None
    mode: str | None
    previous: int | None
    generation: int | None
    ruling: str | None
    uptime_seconds: float
    requests_per_second: float
    rates: list[int]
    latency_seconds: Latency
    shares: dict[str, float]
    served: int
    refused: int
    failed: int
    shadowed: int
    under_way: int
    streams: int
    watched: bool
    alerts: list[Alert]
    events: list[Happening]


class Model(BaseModel):
    """A model's versions, where its aliases point, and the version that serves here."""

    name: str
    versions: list[ModelVersion]
    aliases: dict[str, int]
    serving: int | None


class Models(BaseModel):
    """All models of the registry."""

    models: list[Model]


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the request body that the route reads by itself."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        template = "#/components/schemas/{model}"
        models = [(BarsRequest, "validation"), (FeaturesRequest, "validation")]
        names, definitions = models_json_schema(models, ref_template=template)  # type: ignore[arg-type]
        document["components"]["schemas"].update(definitions["$defs"])
        predict = document["paths"][PREDICT]["post"]
        binary = {"schema": {"type": "string", "format": "binary"}}
        floats = {FLOAT32: binary}
        predict["requestBody"] = {
            "required": True,
            "description": "Bars or features as JSON; or rows of features as little-endian "
            "float32, row after row, or as an Arrow stream with a column a feature or one column "
            "of fixed-size lists. Rows that are no JSON are answered with one float32 a row.",
            "content": {
                "application/json": {"schema": {"anyOf": list(names.values())}},
                **floats,
                ARROW: binary,
            },
        }
        predict["responses"]["200"]["content"] |= floats
        predict["parameters"] = [
            {
                "name": "X-Sticky-Key",
                "in": "header",
                "required": False,
                "description": "Requests with the same key go to the same version while a "
                "canary with sticky keys runs.",
                "schema": {"type": "string", "maxLength": 256},
            }
        ]
        _describe_tokens(document)
        app.openapi_schema = document
    return app.openapi_schema


def _describe_tokens(document: dict[str, Any]) -> None:
    """Admin verbs need a token; the others do once a token with their scope is known."""
    scheme = {"type": "http", "scheme": "bearer"}
    document["components"]["securitySchemes"] = {"token": scheme}
    for path in (PREDICT, OUTCOMES):
        document["paths"][path]["post"]["security"] = [{}, {"token": []}]
    for path, verbs in document["paths"].items():
        if path.startswith("/v1/admin/"):
            verbs["post"]["security"] = [{"token": []}]
