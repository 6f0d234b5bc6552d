"""The promised interval between false alarms is kept, planted shifts are found and named."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.drift.calibration import stationary_indices
from windtunnel.monitoring.drift.detector import DriftDetector, DriftSettings
from windtunnel.monitoring.drift.reference import build_reference

NAMES = ("a", "b", "c", "d")
SETTINGS = DriftSettings(window=40, stride=20, false_alarm_bars=400, resamples=300)


def load_table() -> ModuleType:
    path = Path(__file__).parents[3] / "scripts" / "drift_table.py"
    spec = importlib.util.spec_from_file_location("drift_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["drift_table"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table() -> ModuleType:
    return load_table()


@pytest.fixture(scope="module")
def detector() -> DriftDetector:
    rows = np.random.default_rng(1).normal(size=(800, 4))
    return DriftDetector(build_reference(rows, NAMES, np.arange(800)), SETTINGS)


@pytest.mark.parametrize("process", ["independent", "AR(1), 0.9", "GARCH(1, 1), 0.98"])
def test_the_promised_interval_is_kept_without_drift(table: ModuleType, process: str) -> None:
    found = table.windows(process, 800, 12, seed=11, settings=SETTINGS)
    expected = found.checks * SETTINGS.level
    assert sum(found.alarms) <= expected + 2 * np.sqrt(expected)
    assert sum(found.alarms) <= found.alarming <= 2 * expected
    assert found.checks > 250
    assert found.power["one in other units, x 100"] == 1.0


def test_thresholds_from_folklore_do_not_keep_it(table: ModuleType) -> None:
    found = table.windows("AR(1), 0.9", 800, 4, seed=11, settings=SETTINGS)
    assert found.folklore > found.checks / 2
    assert found.naive > found.checks / 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda window: window + np.array([0, 0, 1.2, 0]), {"c"}),
        (lambda window: window * np.array([1, 3.0, 1, 1]), {"b"}),
        (lambda window: window + np.array([1.2, 0, 0, -1.2]), {"a", "d"}),
    ],
)
def test_a_planted_shift_is_found_and_named(detector: DriftDetector, change, named) -> None:
    window = np.random.default_rng(2).normal(size=(40, 4))
    before, after = detector.check(window), detector.check(change(window))
    assert not before.drifted
    assert before.features == ()
    assert after.drifted
    assert set(after.features) == named
    assert after.size > after.threshold == before.threshold
    assert any(name in after.leading for name in named)


@pytest.mark.parametrize("process", ["AR(1), 0.97", "GARCH(1, 1), 0.98"])
def test_one_feature_in_other_units_is_found_however_far_data_stray(
    table: ModuleType, process: str
) -> None:
    for seed in range(3):
        values = table.PROCESSES[process](np.random.default_rng(seed), 860)
        detector = DriftDetector(
            build_reference(values[:800], table.NAMES, np.arange(800)), SETTINGS
        )
        window = values[800:840].copy()
        window[:, 2] *= 100
        check = detector.check(window)
        assert check.drifted
        assert check.features[0] == table.NAMES[2]
        assert check.leading == f"magnitude of {table.NAMES[2]}"


def test_one_wild_value_does_not_decide_for_a_window(detector: DriftDetector) -> None:
    window = np.random.default_rng(2).normal(size=(40, 4))
    window[7, 1] = 1e9
    assert not detector.check(window).drifted


def test_a_change_of_correlation_alone_is_found_by_the_joint_statistics() -> None:
    random = np.random.default_rng(3)
    rows = random.normal(size=(1500, 2))
    settings = DriftSettings(window=120, stride=60, false_alarm_bars=1200, resamples=300)
    detector = DriftDetector(build_reference(rows, ("a", "b"), np.arange(1500)), settings)
    common = random.normal(size=120)
    check = detector.check(np.stack([common, common], axis=1))
    assert check.drifted
    assert check.leading in ("mmd", "classifier_auc")
    assert check.features == ()


def test_instruments_of_a_bar_are_resampled_together() -> None:
    """Ten copies of one instrument say no more than one, and must not shrink the threshold."""
    random = np.random.default_rng(4)
    rows, window = random.normal(size=(600, 2)), random.normal(size=(40, 2)) + 0.35
    copies = np.repeat(rows, 10, axis=0)
    alone = DriftDetector(build_reference(rows, ("a", "b"), np.arange(600)), SETTINGS)
    many = DriftDetector(
        build_reference(copies, ("a", "b"), np.repeat(np.arange(600), 10)), SETTINGS
    )
    one = alone.check(window)
    ten = many.check(np.repeat(window, 10, axis=0), np.repeat(np.arange(40), 10))
    assert ten.size == pytest.approx(one.size, abs=0.3)
    assert ten.drifted == one.drifted


def test_same_seed_same_answer_and_rows_with_nan_are_left_out(detector: DriftDetector) -> None:
    rows = np.random.default_rng(1).normal(size=(800, 4))
    again = DriftDetector(build_reference(rows, NAMES, np.arange(800)), SETTINGS)
    window = np.random.default_rng(5).normal(size=(40, 4))
    assert again.check(window) == detector.check(window)
    with_hole = np.insert(window, 7, np.nan, axis=0)
    bars = np.insert(np.arange(40), 7, 7)
    assert detector.check(with_hole, bars) == detector.check(window)


@given(st.integers(1, 200), st.integers(2, 100), st.floats(1, 50), st.integers(0, 2**31 - 1))
def test_resampled_bars_come_in_circular_runs(
    length: int, bars: int, block: float, seed: int
) -> None:
    drawn = stationary_indices(np.random.default_rng(seed), length, bars, block)
    assert len(drawn) == length
    assert ((drawn >= 0) & (drawn < bars)).all()


def test_blocks_are_as_long_as_asked() -> None:
    drawn = stationary_indices(np.random.default_rng(6), 100_000, 10_000, 20.0)
    breaks = (np.diff(drawn) % 10_000 != 1).sum()
    assert 100_000 / breaks == pytest.approx(20.0, rel=0.05)


@pytest.mark.parametrize(
    "settings",
    [
        {"window": 5},
        {"stride": 0},
        {"false_alarm_bars": 30},
        {"false_discovery_rate": 0.0},
        {"resamples": 10},
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(MonitoringError, match=rf"drift\.{next(iter(settings))}"):
        DriftSettings(**settings)  # type: ignore[arg-type]


def test_a_window_that_cannot_be_checked_is_refused(detector: DriftDetector) -> None:
    with pytest.raises(MonitoringError, match="features=4"):
        detector.check(np.zeros((40, 3)))
    with pytest.raises(MonitoringError, match="NaN"):
        detector.check(np.full((40, 4), np.nan))


def test_the_page_is_written(table: ModuleType, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(table, "SETTINGS", SETTINGS)
    monkeypatch.setattr(table, "PROCESSES", {"independent": table.PROCESSES["independent"]})
    monkeypatch.setattr(table, "SHORT", [("independent", 120)])
    page = tmp_path / "drift.md"
    pytest.importorskip("river")
    assert table.main(["--studies", "1", "--bars", "400", "--out", str(page)]) == 0
    text = page.read_text()
    assert "| independent | 400 | 46 |" in text
    assert "| independent | 120 | " in text
    assert "| none | 0% |" in text or "| none | 100% |" in text
