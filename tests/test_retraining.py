"""What becomes of the version of a re-study, by what the registry says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from windtunnel.deployment.registry import Registry
from windtunnel.monitoring.settings import RetrainSection
from windtunnel.retraining import Retrained, _try_out

EXAMPLE = Path(__file__).parent / "deployment" / "bundle_example.py"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The champion of a study, those of two re-studies, and one with no edge."""
    spec = importlib.util.spec_from_file_location("bundle_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    maker: Any = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = maker
    spec.loader.exec_module(maker)
    folder, example = tmp_path_factory.mktemp("bundles"), maker.make_example()
    made = [maker.export_example(example, folder / str(k), trial=k) for k in range(3)]
    return [*made, maker.export_example(example, folder / "none", trial=9, evidence=None)]


def tried(registry: Registry, bundle: Path) -> Retrained:
    result: Any = SimpleNamespace(bundle=bundle)
    return _try_out(result, "example", "an alert", RetrainSection(weight=0.2), registry)


def test_a_version_is_tried_beside_the_champion(bundles: list[Path], tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.register(bundles[0], note="")
    registry.promote("example", 1, why="")
    done = tried(registry, bundles[1])
    assert done.state.canary is not None
    assert (done.state.champion, done.state.canary.version, done.state.canary.weight) == (1, 2, 0.2)
    assert "is on trial as canary with 20%" in done.sentence
    assert "version 2 is on trial already" in tried(registry, bundles[2]).sentence
    assert registry.state("example") == tried(registry, bundles[2]).state


def test_where_nothing_serves_the_first_to_pass_does(bundles: list[Path], tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.register(bundles[0], note="refused, or never promoted")
    assert tried(registry, bundles[3]).state.champion is None, "the gate refuses it"
    done = tried(registry, bundles[1])
    assert done.state.aliases == {"champion": 3}
    assert done.sentence == "Version 3 is the first to pass the gate, and serves."
    last = registry.history("example")[-1]
    assert (last["action"], last["who"], last["forced"]) == ("promoted", "retrain", [])
    assert last["why"] == "re-study: an alert; the first version to pass, nothing served before"
