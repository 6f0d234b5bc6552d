from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest

from windtunnel.deployment import manifest as manifest_module
from windtunnel.deployment.bundle import LARGEST_BUCKET, load_bundle
from windtunnel.deployment.manifest import CONTENTS, MANIFEST, SEAL, seal
from windtunnel.errors import BundleError

FILES = (*CONTENTS, MANIFEST, SEAL)


@pytest.fixture
def copy(bundle_path, tmp_path):
    return shutil.copytree(bundle_path, tmp_path / "copy")


@pytest.fixture(scope="module")
def bundle(bundle_path):
    return load_bundle(bundle_path)


def reseal(path, **changes):
    """Change the manifest the way that another version of the software would."""
    raw = json.loads((path / MANIFEST).read_bytes())
    for name, value in changes.items():
        if value is None:
            del raw[name]
        else:
            raw[name] = value
    written = json.dumps(raw).encode()
    (path / MANIFEST).write_bytes(written)
    (path / SEAL).write_bytes(seal(written))


def test_bundle_round_trip(bundle, example, maker):
    manifest = bundle.manifest
    assert manifest.name == "example"
    assert manifest.trial == 41
    assert manifest.features == maker.FEATURES
    assert manifest.policy == maker.POLICY
    assert manifest.metrics == {"sharpe": 0.25, "calmar": None}
    assert "cpu" in manifest.platforms
    window = bundle.replay_window()
    last = example.first + maker.WINDOW
    start = example.first - example.warmup
    assert window.first == example.warmup
    assert window.panel.symbols == example.panel.symbols
    for name in ("timestamps", "open", "high", "low", "close", "volume", "tradable"):
        expected = getattr(example.panel, name)[start:last]
        np.testing.assert_array_equal(getattr(window.panel, name), expected)
    np.testing.assert_array_equal(window.scores, example.scores[example.first : last])
    np.testing.assert_array_equal(window.exposures, example.exposures)
    assert np.isnan(window.exposures).any(), "the window should hold bars before a listing"
    reference = bundle.reference()
    assert tuple(reference.columns) == maker.FEATURES
    assert not reference.is_empty()
    assert bundle.reference_bars() is None


def test_the_reference_keeps_its_bars(maker, example, tmp_path):
    rows = example.features[: example.first]
    defined = ~np.isnan(rows).any(axis=2)
    bars = np.nonzero(defined)[0]
    changes = {"reference": rows[defined], "reference_bars": bars}
    bundle = load_bundle(maker.export_example(example, tmp_path / "bundle", **changes))
    np.testing.assert_array_equal(bundle.reference_bars(), bars)
    assert tuple(bundle.reference().columns) == maker.FEATURES
    np.testing.assert_array_equal(bundle.reference().to_numpy(), rows[defined])


@pytest.mark.parametrize("spoil", [lambda bars: bars[:-1], lambda bars: bars[::-1]])
def test_bars_of_the_reference_must_fit_and_not_fall(spoil, maker, example, tmp_path):
    rows = example.features[: example.first]
    defined = ~np.isnan(rows).any(axis=2)
    bars = spoil(np.nonzero(defined)[0])
    with pytest.raises(BundleError, match="reference_bars"):
        maker.export_example(
            example, tmp_path / "bundle", reference=rows[defined], reference_bars=bars
        )
    assert not (tmp_path / "bundle").exists()


def test_bundle_gives_the_expected_scores(bundle, example):
    rows = example.features.reshape(-1, bundle.width)
    scores = bundle.score(rows)
    expected = example.scores.ravel()
    undefined = np.isnan(rows).any(axis=1)
    assert undefined.any()
    np.testing.assert_array_equal(np.isnan(scores), undefined)
    np.testing.assert_allclose(scores[~undefined], expected[~undefined], rtol=0, atol=1e-6)
    assert np.ptp(expected[~undefined]) > 0.5, "the scores should differ from one another"


def test_bundle_scores_any_batch_as_row_by_row(bundle, example):
    rows = example.features.reshape(-1, bundle.width)
    rows = rows[~np.isnan(rows).any(axis=1)][:200]
    alone = np.array([bundle.score(row[None])[0] for row in rows])
    for size in range(1, 201):
        np.testing.assert_allclose(bundle.score(rows[:size]), alone[:size], rtol=0, atol=1e-6)


def test_bundle_scores_batches_beyond_the_largest_bucket(bundle, example):
    rows = example.features[-1:, 0].repeat(LARGEST_BUCKET + 3, axis=0)
    scores = bundle.score(rows)
    assert scores.shape == (LARGEST_BUCKET + 3,)
    np.testing.assert_allclose(scores, example.scores[-1, 0], rtol=0, atol=1e-6)
    assert bundle.score(rows[:0]).shape == (0,)


@pytest.mark.parametrize("shape", [(3,), (3, 5), (1, 2, 6)])
def test_bundle_refuses_rows_of_another_width(bundle, shape):
    with pytest.raises(BundleError, match="must be \\(rows, features=6\\)"):
        bundle.score(np.zeros(shape, np.float32))


def test_warm_leaves_nothing_to_compile(bundle_path):
    bundle = load_bundle(bundle_path)
    bundle.warm(40)
    assert bundle._call._cache_size() == 7  # 1, 2, 4, ... 64
    bundle.score(np.zeros((37, bundle.width), np.float32))
    assert bundle._call._cache_size() == 7


@pytest.mark.parametrize("name", FILES)
def test_flipped_bit_is_caught(copy, name):
    whole = (copy / name).read_bytes()
    random = np.random.default_rng(len(whole))
    for position in {0, len(whole) - 1, *random.integers(0, len(whole), 8).tolist()}:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(random.integers(8))
        (copy / name).write_bytes(damaged)
        with pytest.raises(BundleError, match=MANIFEST if name == SEAL else name):
            load_bundle(copy)
    (copy / name).write_bytes(whole)
    load_bundle(copy)


@pytest.mark.parametrize("name", FILES)
def test_truncated_or_missing_file_is_caught(copy, name):
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match=MANIFEST if name == SEAL else name):
        load_bundle(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        load_bundle(copy)


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "model.pkl"])
def test_extra_file_is_caught(copy, name):
    (copy / name).write_bytes(b"")
    with pytest.raises(BundleError, match="is not part of a bundle"):
        load_bundle(copy)


def test_digests_are_checked_before_anything_is_parsed(copy, monkeypatch):
    from windtunnel.deployment import bundle as bundle_module

    def parsed(*_):
        pytest.fail("a damaged bundle was parsed")

    monkeypatch.setattr(bundle_module.safetensors.numpy, "load", parsed)
    monkeypatch.setattr(bundle_module.export, "deserialize", parsed)
    monkeypatch.setattr("polars.read_parquet", parsed)
    (copy / "replay.parquet").write_bytes(b"not a table")
    with pytest.raises(BundleError, match=r"replay\.parquet"):
        load_bundle(copy)
    monkeypatch.setattr(manifest_module.Manifest, "model_validate_json", parsed)
    (copy / MANIFEST).write_bytes(b"{}")
    with pytest.raises(BundleError, match="differs from its digest"):
        load_bundle(copy)


def test_another_schema_is_refused_and_an_added_field_is_not(copy):
    reseal(copy, schema_version=2)
    with pytest.raises(BundleError, match=r"schema version is 2.*reads 1"):
        load_bundle(copy)
    reseal(copy, schema_version=1, added_later="x")
    load_bundle(copy)
    reseal(copy, warmup=None)
    with pytest.raises(BundleError, match="warmup: Field required"):
        load_bundle(copy)


def test_manifest_that_does_not_fit_the_program_is_refused(copy):
    reseal(copy, features=["return_1"])
    with pytest.raises(BundleError, match="takes 6 features, the manifest names 1"):
        load_bundle(copy)


def test_seal_is_what_sha256sum_reads(bundle_path):
    subprocess.run(["sha256sum", "-c", SEAL], cwd=bundle_path, check=True, capture_output=True)


def test_bundle_that_is_no_directory_is_refused(tmp_path):
    with pytest.raises(BundleError, match="is not a directory"):
        load_bundle(tmp_path / "nothing")
