from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from windtunnel.deployment import exporter
from windtunnel.deployment.bundle import load_bundle
from windtunnel.errors import BundleError


def test_parameters_are_kept_by_path_for_export_again(bundle_path, example):
    kept = safetensors.numpy.load_file(bundle_path / "params.safetensors")
    assert sorted(kept) == [
        "layers/0/bias",
        "layers/0/kernel",
        "layers/1/bias",
        "layers/1/kernel",
        "scaler/mean",
        "scaler/scale",
    ]
    np.testing.assert_array_equal(kept["layers/0/kernel"], example.params["layers"][0]["kernel"])
    np.testing.assert_array_equal(kept["scaler/scale"], example.params["scaler"]["scale"])


def test_no_bundle_holds_a_pickle(bundle_path):
    for file in bundle_path.iterdir():
        assert file.suffix in {".json", ".sha256", ".stablehlo", ".safetensors", ".parquet"}
        assert not file.read_bytes().startswith(b"\x80")  # pickle's protocol mark


def test_a_bundle_is_never_overwritten(maker, example, bundle_path):
    before = {file.name: file.read_bytes() for file in bundle_path.iterdir()}
    with pytest.raises(BundleError, match="exists already"):
        maker.export_example(example, bundle_path)
    assert {file.name: file.read_bytes() for file in bundle_path.iterdir()} == before


def test_a_failed_export_leaves_nothing(maker, example, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporter, "seal", full)
    with pytest.raises(BundleError, match="cannot be written: No space left"):
        maker.export_example(example, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_equal_exports_hold_equal_files(maker, example, bundle_path, tmp_path):
    again = maker.export_example(example, tmp_path / "again")
    assert load_bundle(again).manifest.files == load_bundle(bundle_path).manifest.files


def test_program_holds_no_path_of_this_machine(bundle_path):
    program = (bundle_path / "model.stablehlo").read_bytes()
    assert b".py" not in program
    assert str(bundle_path.parent).encode() not in program


def test_undefined_features_give_an_undefined_score_whatever_the_model_makes_of_them(
    maker, example, tmp_path
):
    def deaf(params, x):
        return jnp.zeros(x.shape[0]) + 0 * params["layers"][1]["bias"][0]

    path = maker.export_example(example, tmp_path / "deaf", score=deaf)
    x = np.zeros((2, 6), np.float32)
    x[1, 3] = np.nan
    np.testing.assert_array_equal(load_bundle(path).score(x), [0, np.nan])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": lambda p, x: x}, r"score: must return \(b,\) float32"),
        ({"score": lambda p, x: x[:, 0] > 0}, "score: must return .* bool"),
        ({"reference": np.zeros((3, 2), np.float32)}, r"reference: must be \(rows, features=6\)"),
    ],
)
def test_exporter_refuses(maker, example, tmp_path, changes, message):
    with pytest.raises(BundleError, match=message):
        maker.export_example(example, tmp_path / "bundle", **changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("window", "shape", "message"),
    [
        ((10, 10), (0, 5), "window: must be a non-empty range"),
        ((10, 400), (390, 5), "window: must be a non-empty range"),
        ((10, 20), (9, 5), r"scores: must be \(window, instruments\) = \(10, 5\), got \(9, 5\)"),
    ],
)
def test_replay_frame_refuses(maker, example, window, shape, message):
    array = np.zeros(shape)
    with pytest.raises(BundleError, match=message):
        maker.replay_frame(example.panel, window, array, array, context=5)
