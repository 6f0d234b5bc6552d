"""Structured logs: one JSON object a line, whatever a client puts into a message.

Code logs through the standard library, with fields in ``extra``; structlog renders those
records and the server's own alike. A line break or an escape sequence in a value is
escaped by JSON, so that no request can forge a line or recolour a terminal.
"""

from __future__ import annotations

import logging
from typing import Any


def logging_config(level: str = "info") -> dict[str, Any]:
    """Configuration for `logging.config.dictConfig`, everything to standard error.

    Parameters
    ----------
    level : str
        Least severe level that is written.
    """
    import structlog  # noqa: PLC0415 - only a process that serves needs it

    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=True, sort_keys=True, default=repr),
        ],
        "foreign_pre_chain": [
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _without_colours,
        ],
    }
    severity = level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": formatter},
        "filters": {"denials": {"()": lambda: _is_no_denial}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "windtunnel": {"handlers": ["stderr"], "level": severity, "propagate": False},
            "uvicorn": {"handlers": ["stderr"], "level": severity, "propagate": False},
            "uvicorn.error": {"level": severity, "filters": ["denials"]},
            "uvicorn.access": {"handlers": ["stderr"], "level": severity, "propagate": False},
        },
    }


def _is_no_denial(record: logging.LogRecord) -> bool:
    """Uvicorn takes a stream that was turned away, which the service has logged, for a fault."""
    return record.msg != "ASGI callable returned without completing handshake."


def _without_colours(_: Any, __: str, record: Any) -> Any:
    """Uvicorn repeats its message with terminal colours in an extra field."""
    record.pop("color_message", None)
    return record
