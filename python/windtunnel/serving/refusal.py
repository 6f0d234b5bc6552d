"""Why a request was refused, in a form that a person and a program can act on."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic_core import to_json
from starlette.responses import Response

_LONGEST = 80  # characters of the client's own value that are shown back


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault of the service
    """A request that cannot be answered.

    Parameters
    ----------
    reason : str
        Kind of refusal, one of a small closed set: the label of a metric.
    field : str or None
        Place in the request, for example ``bars.close[17]``.
    value : object
        What was found there; shortened for showing.
    problem, remedy : str
        What is wrong, and what the client can do.
    status : int
        HTTP status.
    headers : mapping, optional
        Headers that the status asks for, for example ``retry-after``.
    """

    def __init__(
        self,
        reason: str,
        field: str | None,
        value: object,
        problem: str,
        remedy: str,
        *,
        status: int = 422,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(problem)
        self.reason = reason
        self.field = field
        self.value = value
        self.problem = problem
        self.remedy = remedy
        self.status = status
        self.headers = {} if headers is None else dict(headers)

    def body(self) -> bytes:
        """The refusal as JSON, in the one shape that all errors of the service have."""
        return to_json(
            {
                "field": self.field,
                "value": shown(self.value),
                "problem": self.problem,
                "remedy": self.remedy,
            }
        )

    def response(self) -> Response:
        """The refusal as a response of the application."""
        return Response(self.body(), self.status, self.headers, media_type="application/json")


def shown(value: object) -> str | float | int | bool | None:
    """A client's value, short and expressible in JSON."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if abs(value) < 2**53 else "an integer beyond 2**53"
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[:_LONGEST] + "..."
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return type(value).__name__
