"""Events and scraped counters reach the judge, and its rulings reach the registry."""

from __future__ import annotations

import importlib.util
import sys
from http.client import BadStatusLine
from pathlib import Path

import numpy as np
import pytest

from windtunnel.deployment.registry import Registry
from windtunnel.errors import RegistryError
from windtunnel.events import PredictionFailed, PredictionServed, ShadowAnswered
from windtunnel.monitoring.canary_terms import Terms
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


class Services:
    """Two services, their traffic, and the clock that lets it flow between two looks."""

    def __init__(self, seed, failing=0.01, slow=0.01, differing=None):
        self.random = np.random.default_rng(seed)
        self.failing, self.slow, self.differing = failing, slow, differing
        self.exporters = [PrometheusObserver(), PrometheusObserver()]
        self.events = []

    @property
    def sources(self):
        return {str(i): lambda e=e: e.exposition().decode() for i, e in enumerate(self.exporters)}

    def emit(self, event):
        self.events.append(event)
        self.exporters[len(self.events) % 2](event)

    def flow(self, requests=400):
        for i in range(requests):
            canary = i % 10 == 0
            shadow = self.differing is not None
            failing, slow = (self.failing, self.slow) if canary else (0.01, 0.01)
            version = 2 if canary and not shadow else 1
            if self.random.random() < failing and not shadow:
                self.emit(PredictionFailed("example", version))
            else:
                late = self.random.random() < slow
                self.emit(PredictionServed("example", version, 1, 0.2 if late else 0.001))
            if shadow and canary:
                failed = bool(self.random.random() < self.failing)
                share = float("nan") if failed else self.random.binomial(4, self.differing) / 4
                self.emit(ShadowAnswered("example", 1, 2, 4, share, 0.001, 0.001, failed=failed))
            self.emit(PredictionServed("another", version, 1, 9.0))


def decide(registry, services, looks=300):
    watching = CanaryWatch(registry, "example", TERMS, services.sources)
    assert watching.look().decision == "wait"
    for _ in range(looks):
        services.flow()
        ruling = watching.look()
        if ruling.decision != "wait":
            assert watching.look() is None, "there is nothing left to judge"
            return ruling
    raise AssertionError("undecided")


def test_a_good_canary_is_promoted(registry):
    assert decide(registry, Services(1)).decision == "promote"
    assert registry.state("example").champion == 2


@pytest.mark.parametrize("fault", [{"failing": 0.3}, {"slow": 0.5}])
def test_a_bad_canary_is_withdrawn(registry, fault):
    ruling = decide(registry, Services(2, **fault))
    assert ruling.decision == "withdraw"
    assert registry.state("example").aliases == {"champion": 1}
    entry = registry.history("example")[-1]
    assert entry["why"] == ruling.why
    assert entry["details"]["evidence"]["canary_answers"] >= 20


@pytest.mark.parametrize(
    ("differing", "failing", "why"),
    [
        (0.9, 0.0, "The canary is worse in decisions"),
        (0.1, 0.5, "The canary is worse in errors"),
        (0.05, 0.0, "The canary is no worse than the margins allow"),
    ],
)
def test_a_shadow_is_held_to_its_decisions(registry, differing, failing, why):
    registry.weigh_canary("example", 0.1, mode="shadow")
    ruling = decide(registry, Services(3, differing=differing, failing=failing))
    assert ruling.why.startswith(why)


def test_another_weight_goes_on_and_another_canary_begins_anew(registry):
    services = Services(4)
    watching = CanaryWatch(registry, "example", TERMS, services.sources)
    watching.look()
    services.flow()
    assert watching.look().figures["canary_answers"] == 40
    registry.weigh_canary("example", 0.5)
    services.flow()
    assert watching.look().figures["canary_answers"] == 80
    registry.stop_canary("example", why="")
    assert watching.look() is None
    registry.start_canary("example", 2, weight=0.1)
    assert watching.look().figures["canary_answers"] == 0


def test_a_registry_that_cannot_be_reached_leaves_things_as_they_are(registry, monkeypatch):
    watching = CanaryWatch(registry, "example", TERMS, {})

    def unreachable(*_):
        raise RegistryError("the share is away")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "state", unreachable)
        assert watching.look() is None
    assert watching.look().decision == "wait"


def _broken(error):
    def read():
        raise error

    return read


@pytest.mark.parametrize(
    "read",
    [
        _broken(ConnectionRefusedError("nobody is there")),
        _broken(BadStatusLine("SSH-2.0-x")),
        _broken(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no text")),
        lambda: "<!doctype html><html><body>another page</body></html>",
        lambda: 'windtunnel_prediction_seconds_count{model="example"} 3\n',
    ],
)
def test_what_is_no_exposition_is_left_out(registry, read, caplog):
    services = Services(4)
    sources = {"broken": read, **services.sources}
    watching = CanaryWatch(registry, "example", TERMS, sources)
    watching.look()
    services.flow()
    assert watching.look().figures["canary_answers"] == 40
    assert "metrics of broken cannot be read" in caplog.text


def test_two_watches_decide_once(registry):
    services = Services(5, failing=0.5)
    watches = [CanaryWatch(registry, "example", TERMS, services.sources) for _ in range(2)]
    for _ in range(10):
        for watching in watches:
            watching.look()
        services.flow()
    actions = [entry["action"] for entry in registry.history("example")]
    assert actions.count("canary_stopped") == 1


def test_scraped_counters_equal_the_events(registry):
    state = registry.state("example")
    services, scraper = Services(6, failing=0.1, slow=0.2), Scraper("example", 0.05)
    for source, read in services.sources.items():
        assert scraper.since(source, read(), state).tallies == {}
    services.flow(600)
    found = [scraper.since(source, read(), state) for source, read in services.sources.items()]
    for side, version in (("champion", 1), ("canary", 2)):
        mine = [e for e in services.events if e.model == "example" and e.version == version]
        failed = [event for event in mine if isinstance(event, PredictionFailed)]
        late = sum(getattr(event, "seconds", 1.0) > 0.05 for event in mine)
        tallies = [increase.tallies[side] for increase in found]
        assert sum(tally.answers for tally in tallies) == len(mine)
        assert sum(tally.failed for tally in tallies) == len(failed)
        assert sum(tally.late for tally in tallies) == late
    again = PrometheusObserver()  # the service was started anew
    again(PredictionServed("example", 1, 1, 0.001))
    assert scraper.since("0", again.exposition().decode(), state).tallies["champion"].answers == 1


def test_watch_over_two_services_of_which_a_third_is_away(registry):
    services, told = Services(7), []

    def away():
        raise ConnectionError("refused")

    watching = CanaryWatch(registry, "example", TERMS, {**services.sources, "away": away})
    ruling = watch(watching, pause=services.flow, tell=told.append)
    assert ruling.decision == "promote"
    assert told[-1] == ruling
    assert registry.state("example").champion == 2
    assert watch(watching, pause=services.flow, tell=told.append) is None
