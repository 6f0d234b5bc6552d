"""The compiled core, or an instruction how to get it; import it where it is needed first."""

from __future__ import annotations

from windtunnel.errors import CoreUnavailableError

try:
    from windtunnel import _core as core
except ImportError as error:
    raise CoreUnavailableError(
        f"windtunnel._core, the compiled engine, cannot be loaded: {error}",
        "Install the package instead of importing its source tree: `pip install .` builds the "
        "engine for this Python and needs a C++20 compiler",
    ) from error

__all__ = ["core"]
