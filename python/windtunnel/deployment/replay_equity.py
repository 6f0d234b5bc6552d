"""Replay the money: the equity that a bundle's exposures make on its own bars.

Apart from `windtunnel.deployment.replay`, since it needs the compiled engine, which a service
does without. It takes the exposures on record, which that replay has held to the program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution, Fill
from windtunnel.deployment.bundle import Bundle
from windtunnel.errors import BacktestError, BundleError

# The study goes from scores to equity in one call, this from exposures: the last bits differ.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class EquityCertificate:
    """Outcome of replaying a bundle's equity.

    Attributes
    ----------
    ok : bool
        Every value within the relative tolerance, or no equity on record.
    sentence : str
        The outcome in words.
    bars : int
        Values compared; 0 when the bundle has none on record.
    largest_difference : float
        Relative.
    """

    ok: bool
    sentence: str
    bars: int
    largest_difference: float


def replay_equity(bundle: Bundle) -> EquityCertificate:
    """Backtest the exposures of the replay sample with the bundle's costs, and compare.

    Raises
    ------
    BundleError
        The account in the manifest makes no sense to this version of the engine.
    """
    window, account = bundle.replay_window(), bundle.manifest.account
    if window.equity is None or account is None:
        return EquityCertificate(True, "No equity is on record.", 0, 0.0)
    try:
        result = run_exposures(
            window.panel.window(window.first),
            np.ascontiguousarray(window.exposures[:, :, None]),
            band=bundle.manifest.policy.band,
            costs=Costs(**account.costs),
            execution=Execution(
                fill=cast(Fill, bundle.manifest.fill),
                initial_cash=account.initial_cash,
                maintenance=account.maintenance,
                participation=account.participation,
                lot_size=account.lot_size,
            ),
            periods_per_year=bundle.manifest.periods_per_year,
        )
    except (BacktestError, TypeError) as error:  # TypeError: a cost that is not known here
        raise BundleError(
            f"bundle {str(bundle.path)!r}: its account cannot be backtested: {error}",
            "Use the version of Windtunnel that exported it, or export it again",
        ) from None
    difference = np.abs(result.equity[:, 0] / window.equity - 1.0)
    largest = float(difference.max())
    ok = bool((difference <= TOLERANCE).all())  # a NaN fails
    bars = len(window.equity)
    sentence = (
        f"Equity on {bars} bars replays within {TOLERANCE:g} (largest difference {largest:.1e})."
        if ok
        else f"Equity differs on {int((~(difference <= TOLERANCE)).sum())} of {bars} bars by "
        f"more than {TOLERANCE:g} (largest difference {largest:.1e})."
    )
    return EquityCertificate(ok, sentence, bars, largest)
