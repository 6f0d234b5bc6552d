"""A live canary is asked what the champion's clients send, so it has to understand all of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from windtunnel import retraining
from windtunnel.deployment.alike import obstacles
from windtunnel.deployment.manifest import Session, read_verified
from windtunnel.deployment.registry import Registry
from windtunnel.errors import RegistryError


@pytest.fixture(scope="module")
def manifest(bundle_path):
    return read_verified(bundle_path)[0]


def changed(manifest, **changes):
    return manifest.model_copy(update=changes)


REMEMBERS = {"session": Session(state={"units": (5,)})}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {}, []),
        ({}, {"trial": 7, "verdict": "another", "warmup": 3}, []),
        ({}, {"warmup": 1000}, ["it needs 1000 bars before a decision, the champion"]),
        ({}, {"features": ("return_1", "macd")}, ["features differ: it alone has macd and the"]),
        ({"features": ("a", "b")}, {"features": ("b", "a")}, ["features differ: another order"]),
        ({}, {"window": 8}, ["it takes bars alone, the champion rows of features too"]),
        ({"window": 8}, {"features": ("a",), "window": 8}, []),
        ({"window": 8, "features": ("a",)}, {}, []),
        ({}, {"symbols": ("IBM",)}, ["instruments differ: the champion alone"]),
        (REMEMBERS, REMEMBERS, []),
        (REMEMBERS, {}, ["its state is signals of -1, 0 and 1, the champion's what the param"]),
        (
            REMEMBERS,
            {**REMEMBERS, "files": {"params.safetensors": "f" * 64}},
            ["its state is what the parameters ffffffffffff remember, the champion's what"],
        ),
    ],
)
def test_what_keeps_a_version_from_standing_in(manifest, before, after, told):
    found = obstacles(changed(manifest, **before), changed(manifest, **after))
    assert len(found) == len(told)
    for sentence, beginning in zip(found, told, strict=True):
        assert sentence.startswith(beginning)


def test_signals_that_one_of_the_two_cannot_hold_are_an_obstacle(manifest):
    long_only = changed(manifest, policy=changed(manifest.policy, long_only=True))
    told = "its state is signals of 0 and 1, the champion's signals of -1, 0 and 1"
    assert obstacles(manifest, long_only) == [told]
    assert len(obstacles(long_only, manifest)) == 1
    assert obstacles(long_only, long_only) == []


def test_instruments_in_another_order_are_the_same(manifest):
    assert obstacles(manifest, changed(manifest, symbols=manifest.symbols[::-1])) == []


def test_such_a_canary_runs_in_shadow_mode_alone(variants, tmp_path, check_whole):
    registry = Registry(tmp_path / "registry", certify=lambda _: (True, "passed"))
    registry.register(variants(tmp_path, 1)[0], note="")
    registry.register(variants(tmp_path, 1, first=1, warmup=1000)[0], note="")
    registry.promote("example", 1, why="first")
    refusal = r"version 2 cannot answer what version 1 is asked: it needs 1000 bars.*shadow"
    with pytest.raises(RegistryError, match=refusal):
        registry.start_canary("example", 2, weight=0.1)
    registry.start_canary("example", 2, weight=0.1, mode="shadow")
    with pytest.raises(RegistryError, match=refusal):
        registry.weigh_canary("example", 0.1, mode="live")
    assert registry.weigh_canary("example", 0.5).canary.mode == "shadow"
    check_whole(registry)


def test_a_re_study_that_cannot_be_tried_live_says_so_and_is_kept(variants, tmp_path, monkeypatch):
    monkeypatch.setattr(retraining, "replay_certificate", lambda _: (True, "passed"))
    registry = Registry(tmp_path / "registry", certify=lambda _: (True, "passed"))
    registry.register(variants(tmp_path, 1)[0], note="")
    registry.promote("example", 1, why="first")
    (bundle,) = variants(tmp_path, 1, first=1, warmup=1000)
    settings = SimpleNamespace(mode="live", weight=0.1)
    result = SimpleNamespace(bundle=bundle)
    tried = retraining._try_out(result, "example", "drift", settings, registry)
    assert "does not become a live canary" in tried.sentence
    assert "needs 1000 bars" in tried.sentence
    assert registry.state("example").canary is None
    settings.mode = "shadow"
    tried = retraining._try_out(result, "example", "drift", settings, registry)
    assert registry.state("example").canary.version == tried.version == 2
