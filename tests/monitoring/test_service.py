"""A service's bus has its monitor and closes it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windtunnel.deployment.registry import Registry
from windtunnel.errors import MonitoringError
from windtunnel.events import AlertRaised, RowsScored
from windtunnel.monitoring.service import listened_to
from windtunnel.monitoring.settings import MonitorFile


def test_what_is_served_is_watched(tmp_path: Path, watched_bundle: Any, long_example: Any) -> None:
    panel, values, _ = long_example
    version = Registry(tmp_path / "registry").register(watched_bundle.path, note="test")
    settings = MonitorFile.model_validate(
        {
            "drift": {"window": 20, "stride": 10, "false_alarm_bars": 500, "resamples": 100},
            "objective": [{"name": "fast", "seconds": 0.05}],
        }
    )
    alerts: list[AlertRaised] = []
    with listened_to(tmp_path / "registry", settings, tmp_path / "monitoring") as bus:
        bus.subscribe(alerts.append, AlertRaised)
        for t in range(1000, 1030):
            here = np.flatnonzero(~np.isnan(values[t]).any(axis=1))
            features = values[t, here] + np.float32(5.0)
            bus.emit(
                RowsScored(
                    "example",
                    version,
                    features,
                    watched_bundle.score(features),
                    np.full(len(here), panel.timestamps[t]),
                    tuple(panel.symbols[n] for n in here),
                )
            )
        end = time.monotonic() + 120
        while not alerts and time.monotonic() < end:
            time.sleep(0.05)
    assert "features drift" in {alert.rule for alert in alerts}
    assert (tmp_path / "monitoring" / "alerts.json").is_file()


def test_a_sink_without_its_url_is_found_before_anything_is_served(tmp_path: Path) -> None:
    settings = MonitorFile.model_validate(
        {"sink": [{"name": "desk", "kind": "webhook", "url": "env:NO_SUCH_VARIABLE"}]}
    )
    with (
        pytest.raises(MonitoringError, match="NO_SUCH_VARIABLE"),
        listened_to(tmp_path / "registry", settings, tmp_path),
    ):
        raise AssertionError("it must not begin")
