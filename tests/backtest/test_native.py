"""A core that is missing is an instruction, not a bare ImportError."""

from __future__ import annotations

import subprocess
import sys

import pytest

from windtunnel.errors import CoreUnavailableError, WindtunnelError

WITHOUT_CORE = """
import sys
sys.modules["windtunnel._core"] = None
from windtunnel.backtest import engine
try:
    from windtunnel.backtest.native import core
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_missing_core_says_what_to_do() -> None:
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_CORE], capture_output=True, text=True, check=True
    ).stdout
    assert found.startswith("CoreUnavailableError windtunnel._core, the compiled engine, cannot be")
    assert "`pip install .`" in found
    assert "C++20 compiler" in found


def test_it_is_both_our_error_and_an_import_error() -> None:
    for kind in (WindtunnelError, ImportError):
        with pytest.raises(kind, match=r"^what\. Do that\.$"):
            raise CoreUnavailableError("what", "Do that")
