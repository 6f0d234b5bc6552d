from __future__ import annotations

import json
import shutil

import pytest

from windtunnel.deployment.manifest import read_verified
from windtunnel.deployment.registry import Registry
from windtunnel.errors import BundleError, PromotionRefusedError, RegistryError


@pytest.fixture
def two(variants, tmp_path):
    """A registry with versions 1 and 2, none of which serves."""
    registry = Registry(tmp_path / "registry", certify=passes)
    for path in variants(tmp_path, 2):
        registry.register(path, note="for tests")
    return registry


def passes(_):
    return True, "not replayed in this test"


def test_register_replays_copies_and_names(bundle_path, tmp_path, check_whole):
    registry = Registry(tmp_path / "registry")
    assert registry.names() == ()
    assert registry.register(bundle_path, note="first", who="ada") == 1
    assert registry.names() == ("example",)
    found = registry.resolve("example", 1)
    assert (found.version, found.note, found.who) == (1, "first", "ada")
    assert "replay within" in found.certificate
    assert registry.local(found) != bundle_path
    read_verified(registry.local(found))
    assert registry.load(found).manifest.trial == 41
    assert registry.find(bundle_path) == found
    state = registry.promote("example", 1, why="it is the first", who="ada")
    assert state.aliases == {"champion": 1}
    assert registry.resolve("example") == found
    registered, promoted = registry.history("example")
    assert [registered[key] for key in ("action", "who", "why")] == ["registered", "ada", "first"]
    assert [promoted[key] for key in ("action", "who", "why", "forced")] == [
        "promoted",
        "ada",
        "it is the first",
        [],
    ]
    assert "replay within" in promoted["details"]["gate"][0]["sentence"]
    check_whole(registry)


def test_registered_files_cannot_be_written(two):
    for file in two.local(two.resolve("example", 1)).iterdir():
        assert not file.stat().st_mode & 0o222


def test_no_version_serves_before_it_is_promoted(two):
    assert two.state("example").aliases == {}
    with pytest.raises(RegistryError, match="has no alias 'champion'"):
        two.resolve("example")
    assert two.resolve("example", 1) == two.resolve("example", "1")


def test_a_registration_that_was_cut_off_can_be_asked_for_again(bundle_path, tmp_path):
    registry = Registry(tmp_path, certify=passes)
    assert [registry.register(bundle_path, note="") for _ in range(3)] == [1, 1, 1]
    assert len(registry.history("example")) == 1


def test_bundle_that_does_not_replay_is_refused(maker, example, tmp_path):
    other = maker.random_params(example.features, seed=9)
    path = maker.export_example(example, tmp_path / "bundle", params=other)
    registry = Registry(tmp_path / "registry")
    with pytest.raises(RegistryError, match=r"does not replay: \d+ of \d+ scores differ"):
        registry.register(path, note="")
    assert registry.names() == ()


def test_damaged_bundle_is_refused(bundle_path, tmp_path):
    copy = shutil.copytree(bundle_path, tmp_path / "copy")
    (copy / "params.safetensors").write_bytes(b"")
    registry = Registry(tmp_path / "registry", certify=passes)
    with pytest.raises(BundleError, match="params"):
        registry.register(copy, note="")
    assert registry.names() == ()


def test_bundle_exchanged_inside_the_registry_is_caught(two):
    first, second = (two.local(two.resolve("example", number)) for number in (1, 2))
    shutil.rmtree(first)
    shutil.copytree(second, first)
    with pytest.raises(BundleError, match="is not the bundle that was registered"):
        two.load(two.resolve("example", 1))
    with pytest.raises(BundleError, match="is not the bundle that was registered"):
        two.promote("example", 1, why="")


def test_bundle_replaced_while_it_is_registered_is_refused(variants, tmp_path):
    first, second = variants(tmp_path, 2)

    def swap(path):
        shutil.rmtree(path)
        shutil.copytree(second, path)
        return True, "passed"

    registry = Registry(tmp_path / "registry", certify=swap)
    with pytest.raises(RegistryError, match="was replaced while it was registered"):
        registry.register(first, note="")
    assert registry.names() == ()


def test_promote_and_roll_back(two, check_whole):
    two.promote("example", 1, why="first")
    state = two.promote("example", 2, why="better", who="bo")
    assert state.aliases == {"champion": 2, "previous": 1}
    state = two.rollback("example", why="it is not", who="cy")
    assert state.aliases == {"champion": 1}
    entry = two.history("example")[-1]
    assert (entry["action"], entry["who"], entry["why"]) == ("rolled_back", "cy", "it is not")
    assert entry["details"] == {"version": 1, "from": 2, "evidence": None}
    assert state.generation == 3, "a rollback is a new generation"
    assert two.rollback("example", 2, why="it is, after all").champion == 2
    check_whole(two)


def test_a_rollback_is_no_way_past_the_gate(variants, tmp_path, check_whole):
    registry = Registry(tmp_path / "registry", certify=passes)
    for path in variants(tmp_path, 2):
        registry.register(path, note="")
    refused = tmp_path / "other"
    refused.mkdir()
    registry.register(variants(refused, 1, first=7, evidence=GATE["verdict"])[0], note="")
    registry.promote("example", 1, why="first")
    registry.promote("example", 2, why="better")
    with pytest.raises(PromotionRefusedError):
        registry.promote("example", 3, why="best")
    with pytest.raises(RegistryError, match="version 3 was never champion"):
        registry.rollback("example", 3, why="best")
    assert registry.state("example").aliases == {"champion": 2, "previous": 1}
    registry.promote("example", 3, why="a drill", force=True)
    registry.rollback("example", why="the drill is over")
    assert registry.rollback("example", 3, why="another drill").champion == 3
    check_whole(registry)


def test_changes_go_by_compare_and_swap(two, variants, tmp_path, check_whole):
    assert two.promote("example", 1, why="", generation=0).generation == 1
    with pytest.raises(RegistryError, match="is of generation 1, expected 0"):
        two.promote("example", 2, why="", generation=0)
    with pytest.raises(RegistryError, match="is of generation 1, expected 7"):
        two.start_canary("example", 2, weight=0.1, generation=7)
    two.register(variants(tmp_path, 1, first=9)[0], note="changes nobody's answers")
    assert two.promote("example", 2, why="", generation=1).champion == 2
    check_whole(two)


def test_canary_from_start_to_promotion(two, check_whole):
    two.promote("example", 1, why="")
    state = two.start_canary("example", 2, weight=0.05, mode="shadow", sticky=True, why="try")
    assert state.aliases == {"champion": 1, "canary": 2}
    assert (state.canary.weight, state.canary.mode, state.canary.sticky) == (0.05, "shadow", True)
    salt = state.canary.salt
    state = two.weigh_canary("example", 0.5, mode="live")
    assert (state.canary.weight, state.canary.mode, state.canary.salt) == (0.5, "live", salt)
    state = two.promote("example", why="it did well", evidence={"requests": 1000})
    assert state.aliases == {"champion": 2, "previous": 1}
    assert two.history("example")[-1]["details"]["evidence"] == {"requests": 1000}
    two.start_canary("example", 1, weight=1.0)
    assert two.stop_canary("example", why="enough").aliases == {"champion": 2, "previous": 1}
    assert two.resolve("example", "previous").version == 1
    check_whole(two)


def test_retired_version_never_serves_again(two, check_whole):
    two.promote("example", 1, why="")
    two.promote("example", 2, why="")
    state = two.retire("example", 1, why="its data were wrong")
    assert state.retired == (1,)
    for refused in (
        lambda: two.promote("example", 1, why="", force=True),
        lambda: two.rollback("example", 1, why=""),
        lambda: two.start_canary("example", 1, weight=0.1),
        lambda: two.rollback("example", why=""),
        lambda: two.retire("example", 1, why=""),
    ):
        with pytest.raises(RegistryError, match=r"retired|no predecessor|forced without"):
            refused()
    read_verified(two.local(two.resolve("example", 1)))
    check_whole(two)


def test_polling_returns_the_same_state_while_nothing_changes(two):
    state = two.state("example")
    assert two.state("example", state) is state
    two.promote("example", 1, why="")
    two.promote("example", 2, why="")
    after = two.state("example", state)
    assert after == two.state("example")
    assert after.generation == state.generation + 2


GATE = {
    "verdict": {"level": "weak", "holdout_read": True, "earlier_looks": 0},
    "holdout": {"level": "candidate", "holdout_read": True, "earlier_looks": 2},
    "both": {"level": "no_edge", "holdout_read": False, "earlier_looks": 1},
    "unknown": None,
    "sealed": {
        "level": "candidate", "holdout_read": False, "earlier_looks": 0,
        "seal": "sealed: not opened, since audits failed (leak)",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("case", "rules"),
    [
        ("verdict", ["verdict"]),
        ("holdout", ["holdout"]),
        ("both", ["verdict", "holdout"]),
        ("unknown", ["verdict", "holdout"]),
    ],
)
def test_gate_refuses_and_force_is_recorded(variants, tmp_path, case, rules):
    (path,) = variants(tmp_path, 1, evidence=GATE[case])
    registry = Registry(tmp_path / "registry", certify=passes)
    registry.register(path, note="")
    with pytest.raises(PromotionRefusedError, match="may not serve: " + rules[0]):
        registry.promote("example", 1, why="hope")
    assert registry.state("example").champion is None
    with pytest.raises(RegistryError, match="forced without a reason"):
        registry.promote("example", 1, why="  ", force=True)
    registry.promote("example", 1, why="a drill", force=True)
    entry = registry.history("example")[-1]
    assert (entry["forced"], entry["why"]) == (rules, "a drill")


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("sealed", "did not read it: sealed: not opened, since audits failed"),
        ("both", "did not read it: an audit failed, or earlier runs had read it"),
        ("holdout", "it was read 2 times before this study read it"),
    ],
)
def test_the_gate_says_why_a_holdout_confirms_nothing(variants, tmp_path, case, told):
    registry = Registry(tmp_path / "registry", certify=passes)
    registry.register(variants(tmp_path, 1, evidence=GATE[case])[0], note="")
    with pytest.raises(PromotionRefusedError, match=f"holdout: .*{told}"):
        registry.promote("example", 1, why="hope")


def test_a_failed_replay_cannot_be_forced(variants, tmp_path):
    outcome = [(True, "fine"), (False, "3 of 9 scores differ")]
    registry = Registry(tmp_path / "registry", certify=lambda _: outcome.pop(0))
    registry.register(variants(tmp_path, 1)[0], note="")
    with pytest.raises(PromotionRefusedError, match=r"replay: 3 of 9.*replay cannot be forced"):
        registry.promote("example", 1, why="now", force=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.resolve("example", 7), "has no version 7.*versions are 1 to 2"),
        (lambda r: r.resolve("example", 0), "has no version 0"),
        (lambda r: r.resolve("nothing"), "has no model 'nothing'.*Its models: example"),
        (lambda r: r.resolve("../example"), "model name: must be lower-case"),
        (lambda r: r.history("a/b"), "model name: must be lower-case"),
        (lambda r: r.state("example\n"), "model name: must be lower-case"),
        (lambda r: r.state(".."), "model name: must be lower-case"),
        (lambda r: r.state(""), "model name: must be lower-case"),
        (lambda r: r.promote("example", 7, why=""), "has no version 7"),
        (lambda r: r.promote("example", "king", why=""), "has no alias 'king'"),
        (lambda r: r.promote("nothing", 1, why=""), "has no model"),
        (lambda r: r.promote("example", why=""), "has no alias 'canary'"),
        (lambda r: r.rollback("example", why=""), "has no champion to roll back from"),
        (lambda r: r.rollback("nothing", why=""), "has no champion"),
        (lambda r: r.start_canary("example", 2, weight=0.1), "has no champion to compare"),
        (lambda r: r.weigh_canary("example", 0.1), "has no canary"),
        (lambda r: r.stop_canary("example", why=""), "has no canary"),
        (lambda r: r.retire("example", 9, why=""), "has no version 9"),
    ],
)
def test_registry_refuses(two, call, message):
    with pytest.raises(RegistryError, match=message):
        call(two)
    assert len(two.history("example")) == 2
    assert two.names() == ("example",)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), float("inf")])
def test_weight_is_a_share(two, weight):
    two.promote("example", 1, why="")
    with pytest.raises(RegistryError, match=r"weight: must lie in \[0, 1\]"):
        two.start_canary("example", 2, weight=weight)
    with pytest.raises(RegistryError, match="mode: must be one of live, shadow"):
        two.start_canary("example", 2, weight=0.1, mode="dark")


def test_damaged_record_stops_the_reader(two):
    two.promote("example", 1, why="")
    path = two.local(two.resolve("example", 1)).parents[1] / "log" / "00000003.json"
    whole = path.read_text()
    for damaged, message in (
        (whole[:-30], "is not a record"),
        (whole.replace('"sequence": 3', '"sequence": 4'), "says it is record 4"),
        (whole.replace('"format": 1', '"format": 2'), "is of format 2.*reads 1"),
        (whole.replace('"champion": 1,', ""), "holds no state"),
    ):
        path.write_text(damaged)
        with pytest.raises(RegistryError, match=message):
            two.state("example")


def test_rewritten_history_is_found_out(two):
    two.promote("example", 1, why="the truth")
    two.promote("example", 2, why="")
    path = two.local(two.resolve("example", 1)).parents[1] / "log" / "00000003.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "why": "a lie"}))
    with pytest.raises(RegistryError, match=r"00000003\.json was altered or exchanged"):
        two.history("example")
