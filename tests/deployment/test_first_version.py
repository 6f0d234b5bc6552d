"""Whether the first version of a model serves: by itself only if the gate lets it through."""

from __future__ import annotations

import pytest

from windtunnel import delivery
from windtunnel.deployment.registry import Registry
from windtunnel.errors import RegistryError
from windtunnel.events import EventBus
from windtunnel.runs import Run

CANDIDATE = {"level": "candidate", "holdout_read": True, "earlier_looks": 0}
NO_EDGE = CANDIDATE | {"level": "no_edge"}
AUDITED = {"level": "no_edge", "holdout_read": False, "earlier_looks": 0}


@pytest.fixture
def register(variants, tmp_path, monkeypatch):
    """Registers bundles of studies that came to one end or another, each in turn."""
    monkeypatch.setattr(Registry.__init__, "__kwdefaults__", {"certify": passes, "bus": None})
    count = iter(range(100))

    def register(evidence, verdict="some words"):
        number = next(count)
        (bundle,) = variants(tmp_path, 1, first=number, evidence=evidence, verdict=verdict)
        return delivery.register(Run(tmp_path / "runs" / f"run-{number}"), bundle, EventBus())

    return register


def passes(_):
    return True, ""


def log_of(tmp_path):
    return Registry(tmp_path / "registry").history("example")


def test_a_candidate_becomes_champion_without_force(register, tmp_path):
    version, state, refusal = register(CANDIDATE)
    assert (version, state.champion, refusal) == (1, 1, "")
    assert [(entry["action"], entry["forced"]) for entry in log_of(tmp_path)] == [
        ("registered", []), ("promoted", []),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("evidence", "verdict", "told"),
    [
        (NO_EDGE, "No edge that survives", "verdict: No edge that survives"),
        (AUDITED, "Not to be believed: an audit failed", "verdict: Not to be believed"),
        (CANDIDATE | {"earlier_looks": 2}, "", "holdout: it was read 2 times before"),
        (None, "", "does not say"),
    ],
)
def test_what_the_gate_refuses_is_registered_and_serves_nobody(
    register, tmp_path, evidence, verdict, told
):
    version, state, refusal = register(evidence, verdict)
    assert version == 1
    assert state.aliases == {}
    assert told in refusal
    assert [entry["action"] for entry in log_of(tmp_path)] == ["registered"]
    registry = Registry(tmp_path / "registry")
    with pytest.raises(RegistryError, match=r"no alias 'champion'.*--force and a reason"):
        registry.resolve("example", "champion")
    with pytest.raises(RegistryError, match="forced without a reason"):
        registry.promote("example", 1, why=" ", force=True)
    assert registry.promote("example", 1, why="a demo", who="ada", force=True).champion == 1
    last = log_of(tmp_path)[-1]
    assert (last["who"], last["why"]) == ("ada", "a demo")
    assert last["forced"] != []


def test_the_first_that_passes_serves_whatever_was_refused_before(register):
    assert register(NO_EDGE)[1].champion is None
    assert register(AUDITED)[1].champion is None
    version, state, refusal = register(CANDIDATE)
    assert (version, state.champion, refusal) == (3, 3, "")
    # From here on every version waits.
    version, state, refusal = register(CANDIDATE)
    assert (version, state.champion, refusal) == (4, 3, "")


def test_a_registry_elsewhere_is_the_only_one(variants, tmp_path, monkeypatch):
    monkeypatch.setattr(Registry.__init__, "__kwdefaults__", {"certify": passes, "bus": None})
    (bundle,) = variants(tmp_path, 1, evidence=CANDIDATE)
    elsewhere = tmp_path / "elsewhere"
    run = Run(tmp_path / "workspace" / "runs" / "run-1")
    version, state, refusal = delivery.register(run, bundle, EventBus(), elsewhere)
    assert (version, state.champion, refusal) == (1, 1, "")
    assert Registry(elsewhere).state("example") == state
    assert not (tmp_path / "workspace").exists()
