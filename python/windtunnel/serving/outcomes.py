"""What became of decisions, as clients post it: joined to the decisions that this process made."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from windtunnel.events import EventBus, OutcomesArrived, OutcomesCounted, RowsScored
from windtunnel.serving import schemas
from windtunnel.serving.gate import Gate
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.service import Service
from windtunnel.serving.telling import Teller

_BARS = 5000  # decided on, whose outcomes may still come
_MOST = 10_000  # outcomes of one request
_MOMENT = 1.0  # seconds that outcomes wait for an observer of answers that is slow


class Outcome(BaseModel):
    """The label of one decision: that of its bar and its instrument."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    timestamp: schemas.Timestamp = Field(description="Of the bar that was decided on.")
    symbol: str
    outcome: float = Field(
        description="As the study defines its label: 1 or 0 for a direction, else the forward "
        "return in units of trailing volatility."
    )


class Outcomes(BaseModel):
    """Outcomes in any order; all that are known of a bar go into one request."""

    model_config = ConfigDict(extra="forbid", strict=True)

    outcomes: Annotated[list[Outcome], Field(min_length=1, max_length=_MOST)]


class Receipt(BaseModel):
    """What became of the outcomes that were sent.

    `duplicate` ones were told before with the same value. `late` ones belong to a bar before
    one whose outcomes were told already, or before any that is remembered. `unknown` ones
    belong to a bar or an instrument on which this process decided nothing.
    """

    accepted: int
    duplicate: int
    late: int
    unknown: int


class Decided:
    """Remembers which decisions were made, and joins outcomes to them.

    Subscribe it to `RowsScored`. Outcomes are told to observers bar by bar in the order of
    time, and each once. Safe to use from several threads.

    Parameters
    ----------
    bus : EventBus
        Gets `OutcomesArrived` for what was accepted, and `OutcomesCounted`.
    bars : int
        How many bars are remembered; the oldest are forgotten.
    """

    prompt = True
    kinds = (RowsScored,)

    def __init__(self, bus: EventBus, bars: int = _BARS) -> None:
        self._bus, self._most = bus, bars
        self._lock = threading.Lock()
        self._joining = threading.Lock()  # held while observers are told, who may take long
        # By bar in microseconds: what is known of each instrument that was decided on.
        self._bars: dict[int, dict[str, float | None]] = {}
        self._oldest: list[int] = []  # a heap of their moments
        self._told = self._forgotten = -(2**63)

    def __call__(self, event: RowsScored) -> None:
        """Remember the bars of an answer; rows without bars cannot be told apart."""
        if event.timestamps is None or event.symbols is None:
            return
        stamps = event.timestamps.astype("datetime64[us]").astype(np.int64).tolist()
        with self._lock:
            for stamp, symbol in zip(stamps, event.symbols, strict=True):
                if stamp <= self._forgotten:
                    continue
                if stamp not in self._bars:
                    self._bars[stamp] = {}
                    heapq.heappush(self._oldest, stamp)
                self._bars[stamp].setdefault(symbol, None)
            while len(self._bars) > self._most:
                self._forgotten = heapq.heappop(self._oldest)
                del self._bars[self._forgotten]

    def join(self, model: str, told: list[tuple[int, str, float]]) -> Receipt:
        """Join outcomes (microseconds since 1970, symbol, value) to decisions.

        Raises
        ------
        Refusal
            409: an outcome was told before with another value. Nothing is accepted then.
        """
        # Told before the next ones are joined, so that no later bar overtakes an earlier one.
        with self._joining:
            receipt, fresh = self._join(told)
            if fresh:
                self._bus.emit(_arrived(model, sorted(fresh)))
        self._bus.emit(OutcomesCounted(model, **receipt.model_dump()))
        return receipt

    def _join(
        self, told: list[tuple[int, str, float]]
    ) -> tuple[Receipt, list[tuple[int, str, float]]]:
        """What became of outcomes, and those that are new."""
        counts = {"accepted": 0, "duplicate": 0, "late": 0, "unknown": 0}
        fresh: list[tuple[int, str, float]] = []
        with self._lock:
            seen: dict[tuple[int, str], float] = {}
            for k, (stamp, symbol, value) in enumerate(told):
                decided = self._bars.get(stamp, {})
                before = seen.get((stamp, symbol), decided.get(symbol))
                if before is not None and before != value:
                    raise Refusal(
                        "conflict",
                        f"outcomes[{k}].outcome",
                        value,
                        f"differs from {before:g}, which was told before",
                        "An outcome is told once; see which of the two is right",
                        status=409,
                    )
                if before is not None:
                    counts["duplicate"] += 1
                elif stamp <= self._forgotten or (stamp <= self._told and symbol in decided):
                    counts["late"] += 1
                elif symbol not in decided:
                    counts["unknown"] += 1
                else:
                    seen[stamp, symbol] = value
                    fresh.append((stamp, symbol, value))
            for stamp, symbol, value in fresh:
                self._bars[stamp][symbol] = value
                self._told = max(self._told, stamp)
            counts["accepted"] = len(fresh)
        return Receipt(**counts), fresh


def outcomes_router(service: Service, gate: Gate, decided: Decided, teller: Teller) -> APIRouter:
    """``POST /v1/outcomes``, with the scope and the limits of a prediction."""
    router = APIRouter()
    refusals: dict[int | str, dict[str, Any]] = {
        400: schemas.ADMIN_REFUSALS[400],
        409: {"model": schemas.Problem, "description": "An outcome was told with another value"},
    }

    def allowed(request: Request) -> Iterator[None]:
        client = request.client.host if request.client else ""
        gate.check(dict(request.scope["headers"]), client, "predict")
        gate.enter()
        try:
            yield
        finally:
            gate.leave()

    @router.post(
        schemas.OUTCOMES,
        response_model=Receipt,
        responses=schemas.REFUSALS | refusals,
        dependencies=[Depends(allowed)],
    )
    def outcomes(posted: Outcomes) -> Receipt:
        """Tell what became of decisions, for live skill and calibration."""
        manifest = service.ready().champion.bundle.manifest
        teller.flush(_MOMENT)  # what was answered a moment ago may be meant
        told = _read(posted, manifest.symbols, manifest.label.kind)
        return decided.join(manifest.name, told)

    return router


def _read(posted: Outcomes, symbols: tuple[str, ...], kind: str) -> list[tuple[int, str, float]]:
    """The outcomes with their moments, held to what the model's label may be.

    Raises
    ------
    Refusal
        A timestamp has no zone, an instrument is not the model's, or no such label exists.
    """
    from windtunnel.serving.bars import read_timestamp  # noqa: PLC0415 - loads polars

    told = []
    for k, each in enumerate(posted.outcomes):
        place = f"outcomes[{k}]"
        stamp = read_timestamp(each.timestamp, f"{place}.timestamp")
        if each.symbol not in symbols:
            raise Refusal(
                "unknown_instrument",
                f"{place}.symbol",
                each.symbol,
                "is not an instrument of this model",
                f"Instruments are {', '.join(symbols[:10])}{', ...' if symbols[10:] else ''}",
            )
        if kind == "direction" and each.outcome not in (0.0, 1.0):
            raise Refusal(
                "outcome",
                f"{place}.outcome",
                each.outcome,
                "must be 1 where the forward return was above zero, else 0: this model's label "
                "is a direction",
                "Send the label as the study defines it, not the return",
            )
        told.append((stamp, each.symbol, each.outcome))
    return told


def _arrived(model: str, told: list[tuple[int, str, float]]) -> OutcomesArrived:
    stamps, symbols, values = zip(*told, strict=True)
    moments: npt.NDArray[Any] = np.array(stamps, np.int64).view("datetime64[us]")
    return OutcomesArrived(model, moments, symbols, np.array(values, np.float64))
