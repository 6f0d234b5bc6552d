"""The small network of the deployment tests, exported with the bars of its reference."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def maker() -> ModuleType:
    path = Path(__file__).parent.parent / "deployment" / "bundle_example.py"
    spec = importlib.util.spec_from_file_location("bundle_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def long_example(maker: ModuleType) -> Any:
    """As `make_example`, but the reference reaches over four years."""
    import polars as pl

    from windtunnel.data.align import to_panel
    from windtunnel.data.samples import sample_path
    from windtunnel.features.compute import compute

    bars = pl.read_parquet(sample_path("us_equities_1d")).filter(
        pl.col("timestamp").dt.year().is_between(2006, 2010)
    )
    panel = to_panel(bars)
    values = compute(panel, maker.FEATURES).values
    example = maker.make_example()
    return panel, values, example


@pytest.fixture(scope="session")
def watched_bundle(maker: ModuleType, long_example: Any, tmp_path_factory) -> Any:
    from windtunnel.deployment.bundle import load_bundle

    panel, values, example = long_example
    defined = ~np.isnan(values[:1000]).any(axis=2)
    path = maker.export_example(
        example,
        tmp_path_factory.mktemp("watched") / "bundle",
        reference=values[:1000][defined],
        reference_bars=np.nonzero(defined)[0],
        symbols=panel.symbols,
    )
    return load_bundle(path)
