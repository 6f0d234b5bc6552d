"""Bundles that earlier versions wrote are kept, and must load and replay for good."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from windtunnel.delivery import export_again
from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.manifest import MANIFEST
from windtunnel.deployment.registry import Registry, replay_certificate
from windtunnel.deployment.replay_equity import replay_equity
from windtunnel.errors import PromotionRefusedError

KEPT = sorted(
    path for path in (Path(__file__).parents[1] / "data" / "bundles").iterdir() if path.is_dir()
)
FIRST = KEPT[0]


def test_there_are_some():
    assert len(KEPT) >= 2
    assert [path.name for path in KEPT][:2] == ["2026-11-23", "2026-11-25"]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_kept_bundle_loads_replays_and_registers(path, tmp_path):
    ok, sentence = replay_certificate(path)
    assert ok, sentence
    bundle = load_bundle(path)
    reference = bundle.reference().to_numpy()
    assert np.isfinite(bundle.score(reference)).all()
    registry = Registry(tmp_path / "registry")
    assert registry.register(path, note="kept") == 1
    assert registry.load(registry.resolve("example", 1)).manifest == bundle.manifest


def test_the_first_form_says_less_and_the_gate_knows(tmp_path):
    raw = json.loads((FIRST / MANIFEST).read_bytes())
    assert not {"evidence", "account"} & set(raw)
    bundle = load_bundle(FIRST)
    assert bundle.manifest.evidence is None
    assert bundle.reference_bars() is None
    assert replay_equity(bundle).sentence == "No equity is on record."
    registry = Registry(tmp_path / "registry", certify=lambda _: (True, ""))
    registry.register(FIRST, note="")
    with pytest.raises(PromotionRefusedError, match="exported by an earlier version"):
        registry.promote("example", 1, why="")


def test_a_kept_model_outlives_its_compiled_program(tmp_path):
    path = shutil.copytree(KEPT[1], tmp_path / "kept")
    export_again(path, tmp_path / "again")
    old, new = load_bundle(path), load_bundle(tmp_path / "again")
    rows = old.reference().to_numpy()
    np.testing.assert_allclose(new.score(rows), old.score(rows), rtol=0, atol=1e-6)
