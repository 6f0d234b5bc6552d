from __future__ import annotations

import numpy as np
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution
from windtunnel.data.panel import Panel
from windtunnel.errors import MetricError
from windtunnel.metrics.break_even import break_even_cost


def random_panel(bars: int = 400, instruments: int = 3) -> Panel:
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0.0005, 0.01, (bars, instruments)), axis=0))
    open_ = np.vstack([close[:1], close[:-1]])
    return Panel(
        timestamps=np.arange(bars).astype("datetime64[D]").astype("datetime64[us]"),
        symbols=tuple("ABC"[:instruments]),
        open=open_,
        high=np.maximum(open_, close),
        low=np.minimum(open_, close),
        close=close,
        volume=np.full_like(close, 1000.0),
        tradable=np.ones(close.shape, dtype=bool),
        fingerprint="0" * 64,
    )


def test_a_backtest_at_the_cost_found_breaks_even() -> None:
    panel, cost = random_panel(), 0.0005
    rng = np.random.default_rng(1)
    ahead = np.vstack([panel.close[2:] / panel.open[1:-1] - 1, np.zeros((2, 3))])
    # Some know the future, more or less often; the first two believe its opposite.
    knows = np.linspace(-0.2, 0.3, 6)
    believed = np.sign(ahead)[:, :, None] * np.sign(knows) / 3
    noise = rng.choice([-1.0, 1.0], believed.shape) / 3
    exposures = np.where(rng.random(believed.shape) < np.abs(knows), believed, noise)
    exposures[np.arange(400) % 5 > 0] = np.nan

    def run(fee: float):
        return run_exposures(
            panel,
            exposures,
            band=0.0,
            costs=Costs(fee=fee, half_spread=0.0, borrow_apr=0.0, financing_apr=0.0),
            execution=Execution("next_open", 1000.0, 0.0),
            periods_per_year=252.0,
        )

    charged = run(cost)
    found = break_even_cost(charged.final_equity, charged.turnover, initial=1000.0, cost=cost)
    assert (found > 0).any()
    assert (found < 0).any()
    for c, value in enumerate(found):
        if value > 0:
            total_return = run(value).final_equity[c] / 1000.0 - 1
            assert abs(total_return) < 0.01, (c, value)
            assert abs(charged.final_equity[c] / 1000.0 - 1) > 0.03
        else:
            assert run(0.0).final_equity[c] < 1000.0


def test_by_hand() -> None:
    found = break_even_cost(
        [1000 * np.e, 1000.0, 1000 / np.e], [10.0, 10.0, 10.0], initial=1000.0, cost=0.01
    )
    np.testing.assert_allclose(found, [0.11, 0.01, -0.09], rtol=1e-12, atol=1e-15)


def test_without_trades_or_money_it_is_undefined() -> None:
    found = break_even_cost([1000.0, 0.0, -5.0], [0.0, 3.0, 3.0], initial=1000.0, cost=0.01)
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("final", "turnover", "arguments", "message"),
    [
        ([1.0], [1.0, 2.0], {}, "final_equity and turnover"),
        ([np.nan], [1.0], {}, "final_equity: configuration 0 is nan"),
        ([1.0, 1.0], [1.0, np.inf], {}, "turnover: configuration 1 is inf"),
        ([1.0], [-1.0], {}, "turnover"),
        ([1.0], [1.0], {"initial": 0.0}, "initial"),
        ([1.0], [1.0], {"cost": -0.1}, "cost"),
    ],
)
def test_misuse_is_refused(final, turnover, arguments, message) -> None:
    with pytest.raises(MetricError, match=message):
        break_even_cost(final, turnover, **{"initial": 1.0, "cost": 0.0, **arguments})
