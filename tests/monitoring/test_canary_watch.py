"""Events and scraped counters reach the judge, and its rulings reach the registry."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from windtunnel.deployment.registry import Registry
from windtunnel.errors import RegistryError
from windtunnel.events import AnswersCompared, EventBus, PredictionFailed, PredictionServed
from windtunnel.monitoring.canary_judge import Terms
from windtunnel.monitoring.canary_watch import CanaryWatch, watch
from windtunnel.monitoring.prometheus import PrometheusObserver
from windtunnel.monitoring.scraping import Scraper

EXAMPLE = Path(__file__).parents[1] / "deployment" / "bundle_example.py"
TERMS = Terms(error_margin=0.05, late_margin=0.05, fewest=200, most=20_000)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("bundle_example", EXAMPLE)
    maker = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = maker
    spec.loader.exec_module(maker)
    directory, example = tmp_path_factory.mktemp("bundles"), maker.make_example()
    return [maker.export_example(example, directory / str(t), trial=t) for t in range(2)]


@pytest.fixture
def registry(bundles, tmp_path):
    registry = Registry(tmp_path, certify=lambda _: (True, ""))
    for bundle in bundles:
        registry.register(bundle, note="")
    registry.promote("example", 1, why="")
    registry.start_canary("example", 2, weight=0.1)
    return registry


class Traffic:
    """Requests to two services' worth of versions, as the events that they would emit."""

    def __init__(self, seed, failing=0.01, slow=0.01, differing=None):
        self.random = np.random.default_rng(seed)
        self.failing, self.slow, self.differing = failing, slow, differing

    def send(self, emit, requests=200, model="example"):
        for i in range(requests):
            canary = i % 10 == 0
            failing, slow = (self.failing, self.slow) if canary else (0.01, 0.01)
            if self.random.random() < failing:
                emit(PredictionFailed(model, 2 if canary else 1))
            else:
                late = self.random.random() < slow
                emit(PredictionServed(model, 2 if canary else 1, 1, 0.2 if late else 0.001))
            if self.differing is not None and canary:
                emit(AnswersCompared(model, 1, 2, bool(self.random.random() < self.differing)))


def decide(watching, traffic, looks=500):
    bus = EventBus()
    bus.subscribe(watching, *CanaryWatch.kinds)
    for _ in range(looks):
        traffic.send(bus.emit)
        traffic.send(bus.emit, 20, model="another")
        ruling = watching.look()
        assert ruling is not None
        if ruling.decision != "wait":
            return ruling
    raise AssertionError("undecided")


def test_a_good_canary_is_promoted(registry):
    watching = CanaryWatch(registry, "example", TERMS)
    assert decide(watching, Traffic(1)).decision == "promote"
    assert registry.state("example").champion == 2
    assert watching.look() is None, "there is nothing left to judge"


@pytest.mark.parametrize("fault", [{"failing": 0.3}, {"slow": 0.5}])
def test_a_bad_canary_is_withdrawn(registry, fault):
    ruling = decide(CanaryWatch(registry, "example", TERMS), Traffic(2, **fault))
    assert ruling.decision == "withdraw"
    assert registry.state("example").aliases == {"champion": 1}
    entry = registry.history("example")[-1]
    assert entry["why"] == ruling.why
    assert entry["details"]["evidence"]["canary_answers"] >= 20


def test_a_shadow_is_held_to_its_decisions(registry):
    registry.weigh_canary("example", 0.1, mode="shadow")
    ruling = decide(CanaryWatch(registry, "example", TERMS), Traffic(3, differing=0.9))
    assert ruling.why == "The canary is worse in decisions"


def test_another_weight_goes_on_and_another_canary_begins_anew(registry):
    watching = CanaryWatch(registry, "example", TERMS)
    Traffic(4).send(watching)
    assert watching.look().figures["canary_answers"] == 20
    registry.weigh_canary("example", 0.5)
    Traffic(4).send(watching)
    assert watching.look().figures["canary_answers"] == 40
    registry.stop_canary("example", why="")
    assert watching.look() is None
    Traffic(4).send(watching)
    registry.start_canary("example", 2, weight=0.1)
    assert watching.look().figures["canary_answers"] == 0


def test_a_registry_that_cannot_be_reached_leaves_things_as_they_are(registry, monkeypatch):
    watching = CanaryWatch(registry, "example", TERMS)

    def unreachable(*_):
        raise RegistryError("the share is away")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "state", unreachable)
        assert watching.look() is None
    assert watching.look().decision == "wait"


def test_two_watches_decide_once(registry):
    watches = [CanaryWatch(registry, "example", TERMS) for _ in range(2)]
    traffic = Traffic(5, failing=0.5)
    for _ in range(50):
        for watching in watches:
            traffic.send(watching)
        for watching in watches:
            watching.look()
    actions = [entry["action"] for entry in registry.history("example")]
    assert actions.count("canary_stopped") == 1


def test_scraped_counters_equal_the_events(registry):
    state = registry.state("example")
    exporter, scraper = PrometheusObserver(), Scraper("example", 0.05)
    assert scraper.since("a", exporter.exposition().decode(), state) == {}
    events = []
    for seed in range(3):
        Traffic(seed, failing=0.1, slow=0.2, differing=0.3).send(events.append)
    for event in events:
        exporter(event)
    found = scraper.since("a", exporter.exposition().decode(), state)
    for side, version in (("champion", 1), ("canary", 2)):
        served = [e for e in events if isinstance(e, PredictionServed) and e.version == version]
        failed = [e for e in events if isinstance(e, PredictionFailed) and e.version == version]
        late = len(failed) + sum(event.seconds > 0.05 for event in served)
        assert found[side] == (len(served) + len(failed), len(failed), late)
    pairs = [event.differs for event in events if isinstance(event, AnswersCompared)]
    assert found["compared"] == (len(pairs), sum(pairs), 0)
    again = PrometheusObserver()  # the service was started anew
    again(PredictionServed("example", 1, 1, 0.001))
    assert scraper.since("a", again.exposition().decode(), state)["champion"] == (1, 0, 0)


def test_watch_over_two_services_from_outside(registry):
    exporters = [PrometheusObserver(), PrometheusObserver()]
    traffic = Traffic(6)
    rounds = []

    def pause():
        rounds.append(1)
        for exporter in exporters:
            traffic.send(exporter)

    def away():
        raise ConnectionError("refused")

    sources = {str(i): lambda e=e: e.exposition().decode() for i, e in enumerate(exporters)}
    told = []
    ruling = watch(
        registry, "example", TERMS, {**sources, "away": away}, pause=pause, tell=told.append
    )
    assert ruling.decision == "promote"
    assert told[-1] == ruling
    assert ruling.figures["canary_answers"] == 40 * len(rounds)
    assert registry.state("example").champion == 2
    assert watch(registry, "example", TERMS, sources, pause=pause, tell=told.append) is None
