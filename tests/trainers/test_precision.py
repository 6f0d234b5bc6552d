"""Half the bits train about as well; devices are chosen by name."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from windtunnel.config.study import TrainingSection
from windtunnel.errors import TrainingError
from windtunnel.trainers import devices
from windtunnel.trainers.supervised_trainer import SupervisedTrainer


def test_bfloat16_trains_float32_weights_about_as_well(task, model, build_hyper, auc):
    hyper = build_hyper(2, learning_rate=0.03, dropout=0.1, label_smoothing=0.0)
    training = TrainingSection(steps=100, batch_size=32)
    half = training.model_copy(update={"precision": "bfloat16"})
    full, short = (
        SupervisedTrainer(task, model, given, seed=3).fit(hyper, keep_models=True)
        for given in (training, half)
    )
    for leaf in jax.tree.leaves(short.models[0].network):
        assert leaf.dtype == np.float32
    assert short.scores.dtype == np.float32
    assert not np.array_equal(short.scores, full.scores, equal_nan=True)
    assert auc(task, short.scores[:, :, 0]) > auc(task, full.scores[:, :, 0]) - 0.05


def test_devices_by_name():
    assert devices.choose("auto") == jax.local_devices()
    assert {device.platform for device in devices.choose("cpu")} == {"cpu"}


@pytest.mark.skipif(
    any(device.platform == "gpu" for device in jax.local_devices()), reason="has a GPU"
)
def test_a_device_that_is_not_there_is_named(task, model, training):
    asked = training.model_copy(update={"device": "cuda"})
    with pytest.raises(TrainingError, match=r"training.device: JAX has no 'cuda' device"):
        SupervisedTrainer(task, model, asked, seed=3)
