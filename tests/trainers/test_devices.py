"""Each case in a process of its own: what is tested happens before JAX starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from windtunnel.trainers import devices

SHOW = """
import json, os
print(json.dumps({**devices.describe(), "cache": jax.config.jax_compilation_cache_dir}))
"""


def run(code: str, **environment: str) -> str:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JAX_", "XLA_", "WINDTUNNEL_"))
    }
    clean |= {"JAX_PLATFORMS": "cpu", "JAX_NUMPY_DTYPE_PROMOTION": "strict"} | environment
    source = "from windtunnel.trainers import devices\n" + code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True, text=True, env=clean, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_device_a_core_and_a_cache(tmp_path: Path) -> None:
    code = "devices.configure_cpu()\nimport sys; assert 'jax' not in sys.modules\nimport jax"
    found = json.loads(run(code + SHOW, WINDTUNNEL_CACHE=str(tmp_path)))
    assert found["devices"] == f"{devices.cores()} x cpu"
    assert found["cache"] == str(tmp_path / "jax")
    assert (tmp_path / "jax").is_dir()
    assert found["jax"].count(".") == 2
    assert found["lanes"] == "2"


def test_a_users_flags_and_cache_stay(tmp_path: Path) -> None:
    flags = "--xla_force_host_platform_device_count=3"
    own = str(tmp_path / "own")
    code = "devices.configure_cpu()\nimport jax"
    found = json.loads(run(code + SHOW, XLA_FLAGS=flags, JAX_COMPILATION_CACHE_DIR=own))
    assert found["devices"] == "3 x cpu"
    assert found["xla_flags"] == flags
    assert found["cache"] == own


def test_a_jax_that_runs_already_is_left_with_its_devices(tmp_path: Path) -> None:
    code = "import jax; jax.devices(); devices.configure_cpu()"
    found = json.loads(run(code + SHOW, WINDTUNNEL_CACHE=str(tmp_path)))
    assert found["devices"] == "1 x cpu"
    assert found["xla_flags"] == ""  # a flag that is not in force is not reported
    assert found["cache"] == str(tmp_path / "jax")


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = "devices.configure_cpu()\nimport jax"
    found = json.loads(run(code + SHOW, WINDTUNNEL_CACHE=str(tmp_path / "file")))
    assert found["cache"] is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"WINDTUNNEL_CACHE": "/a"}, "/a/jax"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/windtunnel/jax"),
        ({"WINDTUNNEL_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a/jax"),
        ({}, "~/.cache/windtunnel/jax"),
    ],
)
def test_cache_directory(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("WINDTUNNEL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert devices.cache_directory() == Path(expected).expanduser()


TRAIN = """
import hashlib
import numpy as np
from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.protocols import TrainingTask
from windtunnel.trainers.supervised_trainer import SupervisedTrainer
import jax

assert len(jax.devices()) == {devices}
if {wide}:
    jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
x = rng.normal(size=(80, 2, 4)).astype(np.float32)
y = (x[..., 0] > 0).astype(np.float32)
train = np.zeros((1, 80, 2), bool)
train[0, :50] = True
task = TrainingTask(x, y, train, ((60, 80),), "direction")
# A width and a batch that fill no vector register: a slot could get another remainder.
trainer = SupervisedTrainer(
    task, ModelSection(hidden=(33,)), TrainingSection(steps=12, batch_size=31), seed=1
)
hyper = {{
    "learning_rate": np.geomspace(1e-3, 1e-1, 5),
    "weight_decay": np.linspace(0, 0.1, 5),
    "dropout": np.linspace(0, 0.5, 5),
    "label_smoothing": np.linspace(0, 0.2, 5),
}}


def digest(fit, lane):
    leaves = jax.tree.leaves(fit.models[lane].network)
    parts = [fit.scores[:, :, lane], fit.loss[lane], *leaves]
    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()


cohort = trainer.fit(hyper, keep_models=True)
for lane in range(5):
    own = {{name: values[[lane]] for name, values in hyper.items()}}
    alone = trainer.fit(own, keep_models=True)
    assert digest(alone, 0) == digest(cohort, lane), lane
    print(digest(cohort, lane))
"""


FAMILIES = """
for family in ("linear", "gru", "tcn", "transformer"):
    model = ModelSection(family=family, width=6, depth=1, window=3)
    trainer = SupervisedTrainer(task, model, TrainingSection(steps=5, batch_size=31), seed=1)
    fit = trainer.fit(hyper, keep_models=True)
    assert len({{digest(fit, lane) for lane in range(5)}}) == 5
    for lane in range(5):
        print(family, digest(fit, lane))
"""


@pytest.mark.slow
def test_sharding_moves_no_bit_of_any_family() -> None:
    """Two folds of five configurations over one device, and dealt out over three."""
    code = (
        TRAIN.split("cohort = trainer", maxsplit=1)[0]
        .replace("train = np.zeros((1,", "train = np.zeros((2,")
        .replace("train[0, :50]", "train[:, :40]")
        .replace("((60, 80),)", "((40, 60), (60, 80))")
    )
    flag = "--xla_force_host_platform_device_count={}"
    one, three = (
        run((code + FAMILIES).format(devices=count, wide=False), XLA_FLAGS=flag.format(count))
        for count in (1, 3)
    )
    assert len(one.splitlines()) == 20
    assert one == three


def test_one_and_two_devices_and_a_jax_of_wide_numbers_give_the_same_bits() -> None:
    flag = "--xla_force_host_platform_device_count={}"
    one = run(TRAIN.format(devices=1, wide=False), XLA_FLAGS=flag.format(1))
    two = run(TRAIN.format(devices=2, wide=True), XLA_FLAGS=flag.format(2))
    assert len(set(one.split())) == 5
    assert one == two
