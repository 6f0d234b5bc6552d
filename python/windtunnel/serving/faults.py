"""Every error of the application leaves in one shape, none with a stack trace."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from windtunnel.errors import RegistryError
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.reply import internal_error

log = logging.getLogger(__name__)


def answer_errors(app: FastAPI) -> None:
    """Register the handlers that turn whatever was raised into a `schemas.Problem`."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        return error.response()

    @app.exception_handler(RegistryError)
    async def conflict(_: Request, error: RegistryError) -> Response:
        return Refusal("registry", None, None, error.problem, error.remedy, status=409).response()

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400:  # FastAPI could not make JSON of the body
            remedy = "Send JSON as /openapi.json describes it"
            return Refusal("json", "body", None, "is not valid JSON", remedy, status=400).response()
        remedy = "The paths are listed in /openapi.json"
        return Refusal(
            "http",
            "path",
            request.url.path,
            str(error.detail),
            remedy,
            status=error.status_code,
            headers=error.headers,
        ).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["loc"] == ("body",) and isinstance(first.get("input"), bytes):  # was not parsed
            kind = request.headers.get("content-type", "")
            remedy = "Send it with the header 'content-type: application/json'"
            problem = "is not that of JSON, so the body was not read"
            return Refusal("content_type", "content-type", kind, problem, remedy).response()
        field = ".".join(map(str, first["loc"]))
        remedy = "The parameters are listed in /openapi.json"
        return Refusal("parameter", field, first.get("input"), first["msg"], remedy).response()

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        request_id = request.scope.get("state", {}).get("request_id", "")
        log.error("a request failed", exc_info=error, extra={"request_id": request_id})
        # The outermost layer answers, past the one that adds headers.
        refusal = internal_error()
        refusal.headers["x-request-id"] = request_id
        return refusal.response()
