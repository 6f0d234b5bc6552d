"""Brings messages to their sinks: retries, a limit on time, and a file for what nobody took."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from windtunnel.append_only import AppendOnlyFile
from windtunnel.monitoring.alerts.message import Message
from windtunnel.monitoring.alerts.sinks import Sink

log = logging.getLogger(__name__)

DEAD_LETTERS = "dead_letters.jsonl"


@dataclass(frozen=True)
class Line:
    """A sink and how patiently it is asked."""

    sink: Sink
    attempts: int = 4
    timeout: float = 10.0
    backoff: float = 1.0


class Delivery:
    """Sends a message to several sinks at once and waits until each has it or has failed.

    A sink that hangs is left to its thread and passed over until it returns, so that it
    holds up neither the others nor, for longer than its time, the caller. When every sink
    of a message fails it is written to the dead-letter file, with what each of them said.

    Parameters
    ----------
    lines : mapping of str to Line
        By name.
    dead_letters : Path
        File of JSON lines.
    sleep : callable
        Waits between attempts; for tests.
    """

    def __init__(
        self,
        lines: Mapping[str, Line],
        dead_letters: Path,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._lines = dict(lines)
        self._dead = AppendOnlyFile(dead_letters, "dead letters of alerts")
        self._sleep = sleep
        self._hanging: dict[str, threading.Thread] = {}

    def __call__(self, message: Message, names: tuple[str, ...] = ()) -> None:
        """Deliver to the sinks named, to all when none is; never raises over a sink."""
        wanted = names or tuple(self._lines)
        failures: dict[str, str] = {}
        threads: dict[str, tuple[threading.Thread, float]] = {}
        for name in wanted:
            line = self._lines.get(name)
            if line is None:
                failures[name] = "there is no sink of that name"
                continue
            before = self._hanging.get(name)
            if before is not None and before.is_alive():
                failures[name] = "still hangs over an earlier message"
                continue
            thread = threading.Thread(
                target=self._send, args=(name, line, message, failures), daemon=True
            )
            thread.start()
            threads[name] = (thread, time.monotonic() + _patience(line))
        for name, (thread, end) in threads.items():
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                self._hanging[name] = thread
                failures[name] = "did not answer in time"
        final = dict(failures)  # a sink that hangs may write into the other one later
        for name, reason in final.items():
            log.warning("alert sink %s failed: %s", name, reason)
        if len(final) == len(wanted):
            self._bury(message, final)

    def _send(self, name: str, line: Line, message: Message, failures: dict[str, str]) -> None:
        for attempt in range(line.attempts):
            if attempt:
                self._sleep(line.backoff * 2 ** (attempt - 1))
            try:
                line.sink.send(message, line.timeout)
            except Exception as error:  # noqa: BLE001 - whatever a service does
                failures[name] = f"{type(error).__name__}: {error}"
            else:
                failures.pop(name, None)
                return

    def _bury(self, message: Message, failures: dict[str, str]) -> None:
        record = {**message.as_record(), "failures": failures}
        for notice in record["notices"]:
            for key in ("value", "threshold"):  # JSON has no infinity
                notice[key] = repr(notice[key])
        try:
            with self._dead.exclusive() as file:
                file.append(record)
        except OSError:
            log.exception(
                "an alert could be delivered nowhere: %s\n%s", message.title, message.body
            )


def _patience(line: Line) -> float:
    """Seconds that all attempts may take together, with a second to spare."""
    waits = line.backoff * (2.0 ** (line.attempts - 1) - 1.0)
    return line.attempts * line.timeout + waits + 1.0
