"""Score feature rows of requests that arrive together in one call of the model.

There is no waiting: rows gather while the event loop works through what it has read, and
are scored in its next turn. A lone request waits for nobody; under load the fixed cost of
a call is shared.
"""

from __future__ import annotations

import asyncio

import numpy as np

from windtunnel.data.panel import Float32Array
from windtunnel.serving.predictor import Predictor

MOST_ROWS = 1024  # of one call, so that no request waits for a long one


class Batcher:
    """Gathers rows for a predictor; belongs to one event loop.

    A score may differ in its last bits (relative 1e-6) with the rows it is scored beside,
    since the size of a batch decides the order in which sums are rounded.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, _Batch] = {}

    async def score(self, predictor: Predictor, rows: Float32Array) -> Float32Array:
        """Scores of `rows` (R, F) float32, as ``predictor.score`` gives them."""
        if len(rows) >= MOST_ROWS:
            return predictor.score(rows)
        batch = self._waiting.get(id(predictor))
        if batch is not None and batch.size + len(rows) > MOST_ROWS:
            self._flush(batch)
            batch = None
        loop = asyncio.get_running_loop()
        if batch is None:
            batch = self._waiting[id(predictor)] = _Batch(predictor)
            loop.call_soon(self._flush, batch)
        done: asyncio.Future[Float32Array] = loop.create_future()
        batch.parts.append((rows, done))
        batch.size += len(rows)
        return await done

    def _flush(self, batch: _Batch) -> None:
        if self._waiting.get(id(batch.predictor)) is batch:
            del self._waiting[id(batch.predictor)]
        batch.settle()


class _Batch:
    """Rows for one predictor, and who waits for their scores."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.parts: list[tuple[Float32Array, asyncio.Future[Float32Array]]] = []
        self.size = 0

    def settle(self) -> None:
        """Score all rows and hand each request its own; a second call does nothing."""
        parts, self.parts = self.parts, []
        if not parts:
            return
        try:
            rows = parts[0][0] if len(parts) == 1 else np.concatenate([part for part, _ in parts])
            scores = self.predictor.score(rows)
        except Exception as error:  # noqa: BLE001 - it is for those who wait
            for _, done in parts:
                if not done.done():
                    done.set_exception(error)
            return
        first = 0
        for part, done in parts:
            if not done.done():  # a client that went away cancels its wait
                done.set_result(scores[first : first + len(part)])
            first += len(part)
