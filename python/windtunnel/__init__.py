"""Windtunnel: tune, validate, ship and watch AI trading models.

>>> import windtunnel as wt
>>> result = wt.Study.from_toml("examples/us_equities.toml").run()  # doctest: +SKIP

Names load what they need on first use, so that ``import windtunnel`` itself stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from windtunnel.config import StudyFile
    from windtunnel.data.samples import sample_path
    from windtunnel.environment import version
    from windtunnel.errors import WindtunnelError
    from windtunnel.experiments import Study, StudyResult, resume

_HOMES = {
    "Study": "windtunnel.experiments",
    "StudyFile": "windtunnel.config",
    "StudyResult": "windtunnel.experiments",
    "WindtunnelError": "windtunnel.errors",
    "resume": "windtunnel.experiments",
    "sample_path": "windtunnel.data.samples",
    "version": "windtunnel.environment",
}

__all__ = [
    "Study",
    "StudyFile",
    "StudyResult",
    "WindtunnelError",
    "resume",
    "sample_path",
    "version",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("windtunnel.environment").version()
    if name not in _HOMES:
        raise AttributeError(f"module 'windtunnel' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
