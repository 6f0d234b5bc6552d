from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from windtunnel.errors import MetricError
from windtunnel.metrics.financial import financial_metrics, returns

PPY = 252.0


def curves(bars: int, configurations: int, seed: int = 0, scale: float = 0.01) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 100 * np.cumprod(1 + rng.normal(0.0003, scale, (bars, configurations)), axis=0)


def measure(equity: np.ndarray, initial: float = 100.0) -> dict[str, np.ndarray]:
    return financial_metrics(equity, initial=initial, periods_per_year=PPY)


def one(path: list[float], initial: float = 100.0) -> dict[str, float]:
    metrics = measure(np.array(path, dtype=float)[:, None], initial)
    return {name: float(value[0]) for name, value in metrics.items()}


def reference(path: np.ndarray, initial: float) -> dict[str, float]:
    """Plain definitions, one configuration, one line each."""
    full = np.concatenate([[initial], path])
    r = np.diff(full) / full[:-1]
    peak = np.maximum.accumulate(full)
    depth = 1 - full / peak
    runs = "".join("u" if d > 0 else " " for d in depth).split(" ")
    value_at_risk = np.quantile(r, 0.05)
    growth = path[-1] / initial
    cagr = growth ** (PPY / len(path)) - 1
    return {
        "total_return": growth - 1,
        "cagr": cagr,
        "volatility": r.std(ddof=1) * math.sqrt(PPY),
        "sharpe": r.mean() / r.std(ddof=1) * math.sqrt(PPY),
        "sortino": r.mean() / math.sqrt(np.mean(np.minimum(r, 0) ** 2)) * math.sqrt(PPY),
        "calmar": cagr / depth.max(),
        "max_drawdown": depth.max(),
        "max_drawdown_bars": max(map(len, runs)),
        "hit_rate": (r > 0).sum() / (r != 0).sum(),
        "profit_factor": r[r > 0].sum() / -r[r < 0].sum(),
        "tail_ratio": abs(np.quantile(r, 0.95)) / abs(value_at_risk),
        "cvar_95": r[r <= value_at_risk].mean(),
        "skewness": stats.skew(r),
        "kurtosis": stats.kurtosis(r, fisher=False),
    }


@pytest.mark.parametrize("bars", [2, 3, 21, 41, 300, 511, 512, 1999])
def test_agrees_with_the_plain_definitions(bars: int) -> None:
    equity = curves(bars, 67, seed=bars)
    metrics = measure(equity, 101.0)
    for c in range(equity.shape[1]):
        path = np.concatenate([[101.0], equity[:, c]])
        moves = np.diff(path)
        for name, wanted in _quiet_reference(equity[:, c]).items():
            got = metrics[name][c]
            if math.isfinite(wanted) and not (name in {"sortino"} and (moves >= 0).all()):
                np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12, err_msg=name)
            else:
                assert math.isnan(got), (name, got, wanted)


def _quiet_reference(path: np.ndarray) -> dict[str, float]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return reference(path, 101.0)


@pytest.mark.parametrize("kind", ["ties", "heavy", "trend", "sorted", "reversed", "periodic"])
def test_tail_selection_on_awkward_orders(kind: str) -> None:
    rng = np.random.default_rng(5)
    r = rng.normal(0, 0.01, 1500)
    r = {
        "ties": np.round(r, 2),
        "heavy": rng.standard_t(2, 1500) * 0.003,
        "trend": r + np.linspace(-0.02, 0.02, 1500),
        "sorted": np.sort(r),
        "reversed": np.sort(r)[::-1],
        # The sample of the selection looks at every twelfth bar: fool it.
        "periodic": np.where(np.arange(1500) % 12 < 6, -0.01, 0.01) + r / 100,
    }[kind]
    equity = 100 * np.cumprod(1 + r)
    r = returns(equity, 100.0)  # what the equity holds after rounding
    metrics = one(equity.tolist())
    low, high = np.quantile(r, [0.05, 0.95])
    assert metrics["tail_ratio"] == pytest.approx(abs(high) / abs(low), rel=1e-12)
    # Values that are equal but for rounding may fall on either side of the quantile.
    near = [r[r <= low * (1 + sign * 1e-12)].mean() for sign in (-1, 1)]
    assert min(near) - 1e-15 <= metrics["cvar_95"] <= max(near) + 1e-15


def test_a_sample_that_misleads_the_selection_costs_time_only() -> None:
    bars = 1280
    r = np.random.default_rng(1).uniform(0.01, 0.02, bars)
    r[np.arange(128) * bars // 128] = -np.linspace(0.01, 0.02, 128)  # all sampled bars are low
    equity = 100 * np.cumprod(1 + r)
    r = returns(equity, 100.0)
    metrics = one(equity.tolist())
    low = np.quantile(r, 0.05)
    assert metrics["cvar_95"] == pytest.approx(r[r <= low].mean(), rel=1e-9)
    assert metrics["tail_ratio"] == pytest.approx(np.quantile(r, 0.95) / -low, rel=1e-9)


SHAPES = {
    "sparse": lambda rng, n: rng.normal(0.001, 0.01, n) * (rng.random(n) < 0.03),
    "seldom": lambda rng, n: rng.normal(0.001, 0.01, n) * (rng.random(n) < 0.12),
    "half the time": lambda rng, n: rng.normal(0, 0.01, n) * (np.arange(n) % 200 < 100),
    "heavy": lambda rng, n: rng.standard_t(1.5, n).clip(-50, 50) * 0.002,
    "two regimes": lambda rng, n: rng.normal(0, 1, n) * np.where(np.arange(n) < n / 8, 0.05, 1e-4),
    "rare crashes": lambda rng, n: np.where(
        rng.random(n) < 0.004, -0.3, 1e-3 * rng.normal(0, 1, n)
    ),
    "only gains": lambda rng, n: rng.exponential(0.01, n),
    "only losses": lambda rng, n: -rng.exponential(0.01, n),
    "steady": lambda rng, n: 0.01 + rng.normal(0, 1e-6, n),
    "few values": lambda rng, n: rng.choice([-0.01, 0.0, 0.02], n),
}


@pytest.mark.parametrize("bars", [127, 128, 130, 600, 1333])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_returns_that_trouble_the_tails(shape: str, bars: int) -> None:
    rng = np.random.default_rng(bars)
    wanted = np.column_stack([SHAPES[shape](rng, bars) for _ in range(3)])
    equity = 100 * np.cumprod(1 + wanted, axis=0)
    metrics, r = measure(equity), returns(equity, 100.0)
    for c in range(3):
        low, high = np.quantile(r[:, c], [0.05, 0.95])
        if abs(low) > 1e-12:
            assert metrics["tail_ratio"][c] == pytest.approx(abs(high) / abs(low), rel=1e-9)
        # Values that are equal but for rounding may fall on either side of the quantile.
        below, at_most = r[r[:, c] < low - 1e-14, c], r[r[:, c] <= low + 1e-14, c]
        least = below.mean() if below.size and low != 0.0 else at_most.mean()
        assert least - 1e-14 <= metrics["cvar_95"][c] <= at_most.mean() + 1e-14
        for name in ("skewness", "kurtosis"):
            theirs = stats.skew if name == "skewness" else lambda x: stats.kurtosis(x, fisher=False)
            tolerance = 1e-6 if shape == "steady" else 1e-10
            assert metrics[name][c] == pytest.approx(theirs(r[:, c]), rel=tolerance, abs=1e-9)


def test_a_quantile_of_zero_has_no_ratio() -> None:
    r = np.zeros(1000)
    r[::100] = -0.01  # ten losses: fewer than a twentieth
    r[50::100] = 0.02
    metrics = one((100 * np.cumprod(1 + r)).tolist())
    assert math.isnan(metrics["tail_ratio"])
    assert metrics["cvar_95"] == pytest.approx(-0.1 / 990)
    r[::10] = -0.01  # now more
    metrics = one((100 * np.cumprod(1 + r)).tolist())
    assert metrics["tail_ratio"] == 0.0
    assert metrics["cvar_95"] == pytest.approx(-0.01)


def test_neighbours_in_the_tile_do_not_matter() -> None:
    """A ruined, a constant and an enormous curve beside an ordinary one, at every place."""
    plain = curves(300, 1)
    wanted = measure(plain)
    odd = np.column_stack([np.full(300, -5.0), np.full(300, 100.0), 1e200 * curves(300, 1)[:, 0]])
    for place in (0, 1, 31, 63, 64):
        equity = np.column_stack([odd] * 25)[:, :70].copy()
        equity[:, place] = plain[:, 0]
        metrics = measure(equity)
        for name, value in wanted.items():
            assert metrics[name][place] == value[0], (name, place)


def test_by_hand() -> None:
    metrics = one([110.0, 99.0, 99.0, 108.9])  # +10 %, -10 %, 0, +10 %
    assert metrics["total_return"] == pytest.approx(0.089)
    assert metrics["cagr"] == pytest.approx(1.089 ** (252 / 4) - 1)
    assert metrics["max_drawdown"] == pytest.approx(0.1)
    assert metrics["max_drawdown_bars"] == 3  # still open at the end
    assert metrics["hit_rate"] == pytest.approx(2 / 3)
    assert metrics["profit_factor"] == pytest.approx(2.0)
    assert metrics["sharpe"] == pytest.approx(
        0.025 / np.std([0.1, -0.1, 0, 0.1], ddof=1) * math.sqrt(252)
    )
    assert metrics["sortino"] == pytest.approx(0.025 / 0.05 * math.sqrt(252))
    assert metrics["cvar_95"] == pytest.approx(-0.1)


def test_a_fall_in_the_first_bar_counts_from_the_initial_capital() -> None:
    metrics = one([90.0, 95.0])
    assert metrics["max_drawdown"] == pytest.approx(0.1)
    assert metrics["max_drawdown_bars"] == 2


def test_a_recovered_drawdown_ends_where_the_peak_is_reached() -> None:
    assert one([100.0, 90.0, 95.0, 100.0, 99.0])["max_drawdown_bars"] == 2


SPREAD = ("sharpe", "skewness", "kurtosis", "sortino", "calmar", "tail_ratio", "profit_factor")


def test_no_trades_is_undefined_not_zero() -> None:
    metrics = one([100.0] * 30)
    for name in (*SPREAD, "hit_rate"):
        assert math.isnan(metrics[name]), name
    for name in ("total_return", "cagr", "volatility", "max_drawdown", "cvar_95"):
        assert metrics[name] == 0.0, name


@pytest.mark.parametrize("rate", [0.01, 1e-4, 3.0, 1e-9])
def test_constant_growth_has_no_sharpe_ratio(rate: float) -> None:
    # The returns differ by roundings; dividing by these would give a ratio of 1e14.
    metrics = one((100 * (1 + rate) ** np.arange(1, 61)).tolist())
    for name in ("sharpe", "skewness", "kurtosis", "sortino", "calmar", "profit_factor"):
        assert math.isnan(metrics[name]), name
    assert metrics["volatility"] == 0.0
    assert metrics["hit_rate"] == 1.0


def test_constant_loss_has_no_sharpe_ratio() -> None:
    metrics = one((100 * 0.99 ** np.arange(1, 61)).tolist())
    assert math.isnan(metrics["sharpe"])
    assert metrics["sortino"] == pytest.approx(-math.sqrt(252))
    assert metrics["profit_factor"] == 0.0


def test_one_observation() -> None:
    metrics = one([90.0])
    for name in ("volatility", "sharpe", "sortino", "tail_ratio", "cvar_95", "skewness"):
        assert math.isnan(metrics[name]), name
    assert metrics["total_return"] == pytest.approx(-0.1)
    assert metrics["max_drawdown"] == pytest.approx(0.1)
    assert metrics["hit_rate"] == 0.0


def test_total_loss_ends_the_returns_and_shows_the_debt() -> None:
    path = [110.0, 0.0, 0.0, 0.0]
    metrics = one(path)
    assert metrics["total_return"] == metrics["cagr"] == -1.0
    assert metrics["max_drawdown"] == 1.0
    r = np.array([0.1, -1.0, 0.0, 0.0])
    np.testing.assert_allclose(returns(np.array(path), 100.0), r, atol=1e-15)
    assert metrics["sharpe"] == pytest.approx(r.mean() / r.std(ddof=1) * math.sqrt(252))

    debt = one([110.0, -11.0, -22.0, 50.0])
    assert debt["total_return"] == pytest.approx(-0.5)  # as the equity says
    assert debt["cagr"] == -1.0  # ruin is absorbing
    assert debt["max_drawdown"] == pytest.approx(132 / 110)
    np.testing.assert_allclose(
        returns(np.array([110.0, -11.0, -22.0, 50.0]), 100.0), [0.1, -1.1, 0, 0]
    )
    assert all(math.isfinite(value) for value in debt.values())


def test_an_overflowing_power_is_undefined() -> None:
    metrics = financial_metrics(np.array([[110.0]]), initial=100.0, periods_per_year=31_622_400.0)
    assert math.isnan(metrics["cagr"][0])


def test_nothing_is_ever_infinite() -> None:
    rng = np.random.default_rng(3)
    equity = np.concatenate(
        [curves(40, 20), 10.0 ** rng.uniform(-300, 300, (40, 30)), rng.normal(0, 1, (40, 30))],
        axis=1,
    )
    for name, value in measure(equity).items():
        assert not np.isinf(value).any(), name


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e6))
def test_scale_of_money_does_not_matter(seed: int, factor: float) -> None:
    equity = curves(60, 5, seed)
    plain = measure(equity)
    scaled = measure(equity * factor, 100.0 * factor)
    for name, value in plain.items():
        np.testing.assert_allclose(scaled[name], value, rtol=1e-8, atol=1e-10, err_msg=name)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80))
def test_permuted_configurations_permute_the_metrics(seed: int, configurations: int) -> None:
    equity = curves(50, configurations, seed)
    order = np.random.default_rng(seed).permutation(configurations)
    plain, permuted = measure(equity), measure(equity[:, order])
    for name, value in plain.items():
        np.testing.assert_array_equal(permuted[name], value[order], err_msg=name)


def test_leverage_of_returns_does_not_change_sharpe() -> None:
    r = np.random.default_rng(0).normal(0.001, 0.01, (500, 1))
    a = measure(100 * np.cumprod(1 + r, axis=0))["sharpe"]
    b = measure(100 * np.cumprod(1 + 3 * r, axis=0))["sharpe"]
    np.testing.assert_allclose(a, b, rtol=1e-10)


def test_returns_match_the_metrics() -> None:
    equity = curves(200, 40)
    r = returns(equity, 100.0)
    assert r.shape == equity.shape
    np.testing.assert_allclose(
        measure(equity)["sharpe"], r.mean(0) / r.std(0, ddof=1) * math.sqrt(PPY), rtol=1e-10
    )
    np.testing.assert_array_equal(returns(equity[:, 3], 100.0), r[:, 3])


def test_layout_and_read_only_arrays_do_not_matter() -> None:
    equity = curves(50, 6)
    frozen = np.asfortranarray(equity)
    frozen.flags.writeable = False
    for name, value in measure(equity).items():
        np.testing.assert_array_equal(measure(frozen)[name], value)


def test_no_configurations_give_empty_results() -> None:
    assert all(value.shape == (0,) for value in measure(np.empty((5, 0))).values())


def test_bad_values_name_bar_and_configuration() -> None:
    equity = curves(30, 40)
    equity[7, 35] = np.nan
    with pytest.raises(MetricError, match="bar 7 of configuration 35 is nan"):
        measure(equity)
    equity[:, 3] = np.inf
    metrics = financial_metrics(equity, initial=100.0, periods_per_year=PPY, nan_policy="propagate")
    clean = np.delete(np.arange(40), [3, 35])
    for name, value in metrics.items():
        assert np.isnan(value[[3, 35]]).all(), name
        np.testing.assert_array_equal(value[clean], measure(equity[:, clean])[name])


@pytest.mark.parametrize(
    ("equity", "arguments", "message"),
    [
        (np.ones(5), {}, r"equity: must be \(T, C\)"),
        (np.ones((0, 3)), {}, "at least one bar"),
        (np.ones((5, 1)), {"initial": 0.0}, "initial"),
        (np.ones((5, 1)), {"initial": math.nan}, "initial"),
        (np.ones((5, 1)), {"periods_per_year": -1.0}, "periods_per_year"),
        (np.ones((5, 1)), {"nan_policy": "omit"}, "nan_policy"),
    ],
)
def test_misuse_is_refused(equity: np.ndarray, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        financial_metrics(equity, **{"initial": 1.0, "periods_per_year": 252.0, **arguments})


def test_returns_refuse_misuse() -> None:
    with pytest.raises(MetricError, match="initial"):
        returns(np.ones(3), -1.0)
    with pytest.raises(MetricError, match="equity"):
        returns(np.ones((3, 2, 1)), 1.0)
    with pytest.raises(MetricError, match="at least one bar"):
        returns(np.ones(0), 1.0)


def test_agrees_with_empyrical() -> None:
    empyrical = pytest.importorskip("empyrical")
    equity = curves(700, 5)
    metrics, r = measure(equity), returns(equity, 100.0)
    for c in range(5):
        x = r[:, c]
        theirs = {
            "total_return": empyrical.cum_returns_final(x),
            "cagr": empyrical.cagr(x),
            "volatility": empyrical.annual_volatility(x),
            "sharpe": empyrical.sharpe_ratio(x),
            "sortino": empyrical.sortino_ratio(x),
            "calmar": empyrical.calmar_ratio(x),
            "max_drawdown": -empyrical.max_drawdown(x),
            "tail_ratio": empyrical.tail_ratio(x),
        }
        for name, value in theirs.items():
            assert metrics[name][c] == pytest.approx(value, rel=1e-9), name


def test_losses_that_are_rounding_make_no_profit_factor():
    path = 100 * np.cumprod(np.r_[1.0149, np.tile([1 + 2**-52, 1 - 2**-53], 20)])
    assert (np.diff(path) < 0).any()
    metrics = financial_metrics(path[:, None], initial=100.0, periods_per_year=252)
    assert np.isnan(metrics["profit_factor"][0])
    lanes = financial_metrics(np.tile(path[:, None], 64), initial=100.0, periods_per_year=252)
    assert np.isnan(lanes["profit_factor"]).all()
