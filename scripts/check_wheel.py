"""Check an installed wheel: it is whole, and its engine trades a case worked out by hand."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import numpy as np

import windtunnel
from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution
from windtunnel.data.panel import Panel

FREE = Costs(fee=0.0, half_spread=0.0, borrow_apr=0.0, financing_apr=0.0)


def panel() -> Panel:
    """Four bars of one instrument that opens at 10 where the order fills, and ends at 12."""
    opens = np.array([[10.0], [10.0], [11.0], [12.0]])
    closes = np.array([[10.0], [11.0], [12.0], [12.0]])
    return Panel(
        timestamps=np.datetime64("2024-01-01", "us") + np.arange(4).astype("timedelta64[D]"),
        symbols=("ONE",),
        open=opens,
        high=np.maximum(opens, closes),
        low=np.minimum(opens, closes),
        close=closes,
        volume=np.ones((4, 1)),
        tradable=np.ones((4, 1), dtype=bool),
        fingerprint="by hand",
    )


def main() -> None:
    """Raise where the wheel is not what it should be; else print what it is."""
    source = Path(__file__).parent.parent / "python"
    installed = Path(windtunnel.__file__).parent
    if installed.is_relative_to(source):
        sys.exit(f"{installed} is the source, not an installed wheel")
    files = [
        path.relative_to(source / "windtunnel")
        for path in (source / "windtunnel").rglob("*")
        if path.is_file() and path.suffix != ".so" and "__pycache__" not in path.parts
    ]
    missing = [str(path) for path in files if not (installed / path).is_file()]
    if missing:
        sys.exit(f"the wheel lacks {', '.join(missing)}")
    result = run_exposures(
        panel(),
        np.array([[[0.0, 1.0]]] * 4),  # (T, N, C): stay in cash; be fully invested
        band=0.5,  # the second account buys once and lets it run
        costs=FREE,
        execution=Execution(initial_cash=1000.0),
        periods_per_year=252.0,
    )
    # 100 units bought at the open of the second bar, at 10, marked at 11, 12 and 12.
    expected = [[1000.0, 1000.0], [1000.0, 1100.0], [1000.0, 1200.0], [1000.0, 1200.0]]
    np.testing.assert_allclose(result.equity, expected, rtol=1e-12)
    print(f"windtunnel {metadata.version('windtunnel')}: the wheel is whole and trades")


if __name__ == "__main__":
    main()
