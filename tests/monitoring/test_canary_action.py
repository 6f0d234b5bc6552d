"""Rulings become changes of the registry, once, with their evidence."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from windtunnel.deployment.registry import Registry
from windtunnel.errors import RegistryError
from windtunnel.events import AliasMoved, EventBus
from windtunnel.monitoring.canary_action import JUDGE, act
from windtunnel.monitoring.canary_judge import Ruling

EXAMPLE = Path(__file__).parents[1] / "deployment" / "bundle_example.py"
FIGURES = {"canary_answers": 900, "errors_difference": 0.001, "decisions_difference": None}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("bundle_example", EXAMPLE)
    maker = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = maker
    spec.loader.exec_module(maker)
    directory, example = tmp_path_factory.mktemp("bundles"), maker.make_example()
    return [
        maker.export_example(example, directory / "1"),
        maker.export_example(example, directory / "2", trial=42),
        maker.export_example(example, directory / "3", trial=43, evidence=None),
    ]


@pytest.fixture
def moved():
    return []


@pytest.fixture
def registry(bundles, tmp_path, moved):
    registry = Registry(tmp_path, certify=lambda _: (True, ""), bus=EventBus([moved.append]))
    for bundle in bundles:
        registry.register(bundle, note="")
    registry.promote("example", 1, why="")
    moved.clear()
    return registry


def test_promotes(registry, moved):
    state = registry.start_canary("example", 2, weight=0.1)
    after = act(registry, state, Ruling("promote", "No worse", FIGURES))
    assert after.aliases == {"champion": 2, "previous": 1}
    entry = registry.history("example")[-1]
    assert (entry["action"], entry["who"], entry["why"]) == ("promoted", JUDGE, "No worse")
    assert entry["details"]["evidence"] == FIGURES
    assert [event.alias for event in moved] == ["canary", "champion"]
    assert isinstance(moved[1], AliasMoved)
    assert (moved[1].version, moved[1].previous, dict(moved[1].figures)) == (2, 1, FIGURES)


def test_withdraws(registry, moved):
    state = registry.start_canary("example", 2, weight=0.1)
    after = act(registry, state, Ruling("withdraw", "Worse in errors", FIGURES))
    assert after.aliases == {"champion": 1}
    entry = registry.history("example")[-1]
    assert (entry["action"], entry["who"]) == ("canary_stopped", JUDGE)
    assert entry["details"] == {"version": 2, "evidence": FIGURES}
    assert (moved[-1].alias, moved[-1].version, moved[-1].previous) == ("canary", None, 2)


def test_waits(registry):
    state = registry.start_canary("example", 2, weight=0.1)
    assert act(registry, state, Ruling("wait", "Undecided", FIGURES)) is state
    assert registry.state("example") == state


def test_a_canary_that_the_gate_refuses_is_withdrawn_with_its_reason(registry):
    state = registry.start_canary("example", 3, weight=0.1)
    assert act(registry, state, Ruling("promote", "No worse", FIGURES)).canary is None
    entry = registry.history("example")[-1]
    assert entry["action"] == "canary_stopped"
    assert entry["why"].startswith("No worse, but 'example': version 3 may not serve: verdict")


@pytest.mark.parametrize("decision", ["promote", "withdraw"])
def test_a_ruling_on_a_canary_that_is_gone_is_refused(registry, decision):
    state = registry.start_canary("example", 2, weight=0.1)
    registry.stop_canary("example", why="by hand")
    registry.start_canary("example", 3, weight=0.1)
    with pytest.raises(RegistryError, match="Someone else changed what serves"):
        act(registry, state, Ruling(decision, "", FIGURES))
    assert registry.state("example").canary.version == 3
