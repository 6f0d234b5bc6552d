from __future__ import annotations

import shutil
import time

import numpy as np
import pytest

from windtunnel.deployment.registry import Registry
from windtunnel.errors import BundleError
from windtunnel.events import EventBus, RoutesChanged, VersionRefused
from windtunnel.serving import apart
from windtunnel.serving.follow import Follower
from windtunnel.serving.service import Service

ROW = [0.1, -0.2, 0.3, 0.4, -0.5, 0.1]


@pytest.fixture(autouse=True)
def few_sizes(monkeypatch):
    """Compile four sizes of batch in place of thirteen; rows beyond go through in pieces."""
    monkeypatch.setattr("windtunnel.deployment.bundle.LARGEST_BUCKET", 8)


@pytest.fixture(scope="module")
def bundles(versions, maker):
    """Each version's bundle, and what it scores on ROW."""
    x = np.array([ROW], np.float32)
    return [(path, float(maker.plain_score(params, x)[0])) for path, params in versions]


@pytest.fixture
def registry(bundles, tmp_path):
    """Versions 1 to 3 registered, 1 champion; nothing is replayed again, to save time."""
    registry = Registry(tmp_path / "registry", certify=lambda _: (True, "taken on trust"))
    for path, _ in bundles:
        registry.register(path, note="")
    registry.promote("example", 1, why="the first")
    return registry


@pytest.fixture
def followed(registry):
    """A service with its follower, verifying in this process, and the events it emits."""
    events = []
    bus = EventBus([events.append])
    service = Service(registry, None, "champion", bus)
    verified = []

    def verify(path, name, version):
        verified.append(version)
        ok, sentence = apart.examine(path)
        if not ok:
            raise BundleError(sentence)

    follower = Follower(service, verify)
    return service, follower, events, verified


def score(service):
    return float(service.routes.champion.score(np.array([ROW], np.float32))[0])


def test_a_moved_alias_is_taken_up_and_a_rollback_loads_nothing(followed, registry, bundles):
    service, follower, events, verified = followed
    assert follower.look()
    assert score(service) == pytest.approx(bundles[0][1], abs=1e-5)
    assert not follower.look(), "nothing has changed"
    registry.promote("example", 2, why="better")
    before = service.routes
    assert follower.look()
    assert before.champion.version == 1, "what a request has read stays as it was"
    assert score(service) == pytest.approx(bundles[1][1], abs=1e-5)
    assert verified == [2], "the first load is at start, when nobody waits for answers"
    registry.rollback("example", why="worse")
    assert follower.look()
    assert score(service) == pytest.approx(bundles[0][1], abs=1e-5)
    assert verified == [2], "the previous champion was kept"
    changed = [event.champion for event in events if isinstance(event, RoutesChanged)]
    assert changed == [1, 2, 1]


def test_a_bad_version_never_replaces_a_good_one(followed, registry, bundles):
    service, follower, events, verified = followed
    follower.look()
    registry.promote("example", 3, why="looks fine")
    path = registry.local(registry.resolve("example", 3))
    parameters = path / "params.safetensors"
    good = parameters.read_bytes()
    parameters.chmod(0o644)
    parameters.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    for _ in range(3):
        assert not follower.look()
        assert score(service) == pytest.approx(bundles[0][1], abs=1e-5)
    assert verified == [3], "it is not tried again at every look"
    (refused,) = (event for event in events if isinstance(event, VersionRefused))
    assert (refused.version, "params.safetensors" in refused.why) == (3, True)
    assert service.failure is not None
    parameters.write_bytes(good)
    assert follower.look(again=True), "mended, and asked to try again"
    assert score(service) == pytest.approx(bundles[2][1], abs=1e-5)
    assert service.failure is None


def test_a_registry_that_cannot_be_read_changes_nothing(followed, registry, bundles):
    service, follower, _, _ = followed
    follower.look()
    registry.promote("example", 2, why="better")
    record = registry.local(registry.resolve("example", 1)).parents[1] / "log" / "00000005.json"
    whole = record.read_bytes()
    record.write_bytes(whole[:-30])
    assert not follower.look()
    assert "is not a record" in str(service.failure)
    assert score(service) == pytest.approx(bundles[0][1], abs=1e-5)
    record.write_bytes(whole)
    assert follower.look()
    assert service.routes.champion.version == 2


def test_each_outage_is_told_once_and_over_when_it_is_over(followed, registry, monkeypatch, caplog):
    service, follower, _, _ = followed
    follower.look()
    registry.start_canary("example", 3, weight=0.5)
    parameters = registry.local(registry.resolve("example", 3)) / "params.safetensors"
    parameters.chmod(0o644)
    parameters.write_bytes(b"")
    follower.look()
    unfit = service.failure
    assert "params.safetensors" in str(unfit)
    caplog.clear()

    def unreachable(*_):
        raise OSError("no route to host")

    for outage in (1, 2):
        with monkeypatch.context() as patched:
            patched.setattr(service.registry, "state", unreachable)
            for _ in range(3):
                assert not follower.look()
                assert "no route" in str(service.failure)
        assert not follower.look(), "nothing has changed meanwhile"
        assert service.failure is unfit, "which no look has mended"
        told = [each for each in caplog.records if "cannot take up" in each.message]
        assert len(told) == outage
    registry.stop_canary("example", why="unfit")
    follower.look()
    assert service.failure is None


def test_another_model_in_the_registry_changes_nothing(
    followed, registry, maker, example, tmp_path
):
    service, follower, _, _ = followed
    follower.look()
    registry.promote("example", 2, why="better")
    follower.look()
    registry.register(maker.export_example(example, tmp_path / "other", name="other"), note="")
    registry.rollback("example", why="fills are late")
    assert follower.look()
    assert (service.routes.champion.version, service.failure) == (1, None)
    later = Service(Registry(registry.location), None, "champion", EventBus())
    Follower(later).look()
    assert "one model is served at a time" in str(later.failure)
    assert later.routes is None


def test_canary_live_takes_its_share_by_draw_and_by_key(followed, registry):
    service, follower, events, _ = followed
    follower.look()
    registry.start_canary("example", 2, weight=0.25, sticky=True)
    assert follower.look()
    routes = service.routes
    drawn = [routes.pick(None).version for _ in range(4000)]
    assert 0.2 < np.mean(np.array(drawn) == 2) < 0.3
    keys = [f"client-{i}".encode() for i in range(2000)]
    first = [routes.pick(key).version for key in keys]
    assert 0.2 < np.mean(np.array(first) == 2) < 0.3
    assert first == [routes.pick(key).version for key in keys], "a key sticks"
    registry.weigh_canary("example", 0.5)
    assert follower.look()
    second = [service.routes.pick(key).version for key in keys]
    assert all(b == 2 for a, b in zip(first, second, strict=True) if a == 2), "none moves back"
    registry.stop_canary("example", why="seen enough")
    follower.look()
    assert {service.routes.pick(key).version for key in keys} == {1}
    shares = [(event.canary, event.weight) for event in events if isinstance(event, RoutesChanged)]
    assert shares == [(None, 0.0), (2, 0.25), (2, 0.5), (None, 0.0)]


def test_a_canary_that_is_unfit_leaves_the_champion_alone(followed, registry):
    service, follower, events, _ = followed
    follower.look()
    registry.start_canary("example", 3, weight=1.0)
    parameters = registry.local(registry.resolve("example", 3)) / "params.safetensors"
    parameters.chmod(0o644)
    parameters.write_bytes(b"")
    follower.look()
    assert {service.routes.pick(None).version for _ in range(50)} == {1}
    assert any(isinstance(event, VersionRefused) for event in events)


def test_a_number_pins_a_version(registry, bundles):
    service = Service(registry, None, "2", EventBus())
    follower = Follower(service)
    follower.look()
    registry.start_canary("example", 3, weight=1.0)
    follower.look()
    assert service.routes.canary is None
    assert score(service) == pytest.approx(bundles[1][1], abs=1e-5)


def test_a_process_apart_tells_good_from_bad(bundles, tmp_path):
    ok, sentence = apart.verify(bundles[0][0])
    assert ok, sentence
    assert "replay within" in sentence
    broken = tmp_path / "broken"
    shutil.copytree(bundles[0][0], broken)
    program = broken / "model.stablehlo"
    program.chmod(0o644)
    program.write_bytes(program.read_bytes()[:100])
    ok, sentence = apart.verify(broken)
    assert not ok
    assert "model.stablehlo" in sentence


def test_a_process_that_dies_is_a_verdict(bundles, monkeypatch):
    monkeypatch.setattr(apart.sys, "executable", "/bin/false")
    assert apart.verify(bundles[0][0]) == (False, "Its process ended with 1: no message")


def test_a_reload_over_http(bundles, registry, start_server):
    """The whole of it: a real server follows the registry while it is asked."""
    with start_server(registry.location) as (_, client):
        seen = set()
        registry.promote("example", 2, why="better")
        expected = {number: score for number, (_, score) in enumerate(bundles, 1)}
        deadline = time.monotonic() + 240  # a busy machine takes its time to verify
        while time.monotonic() < deadline:
            answer = client.post("/v1/predict", json={"features": [ROW]})
            assert answer.status_code == 200
            body = answer.json()
            assert body["scores"][0] == pytest.approx(expected[body["version"]], abs=1e-5)
            assert answer.headers["x-model-version"] == str(body["version"])
            seen.add(body["version"])
            if body["version"] == 2:
                break
            time.sleep(0.02)
        assert seen == {1, 2}
        models = client.get("/v1/models").json()["models"]
        assert models[0]["serving"] == 2


def test_two_services_follow_one_registry(bundles, registry, start_server):
    """Another machine's service sees the same moves, and each answer is right for its version."""
    expected = {number: score for number, (_, score) in enumerate(bundles, 1)}
    moves = (
        lambda: registry.promote("example", 2, why="better"),
        lambda: registry.rollback("example", why="not better"),
    )
    with (
        start_server(registry.location) as (_, first),
        start_server(registry.location) as (_, second),
    ):
        for move in moves:
            champion = move().champion
            waiting = [first, second]
            deadline = time.monotonic() + 120
            while waiting:
                assert time.monotonic() < deadline
                for client in (first, second):
                    answer = client.post("/v1/predict", json={"features": [ROW]})
                    assert answer.status_code == 200
                    body = answer.json()
                    assert body["scores"][0] == pytest.approx(expected[body["version"]], abs=1e-5)
                    if body["version"] == champion and client in waiting:
                        waiting.remove(client)
                time.sleep(0.02)
