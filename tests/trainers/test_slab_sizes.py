"""Sizes of slabs are measured once, kept for the next process, and decide no result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from windtunnel.trainers.slab_sizes import TRIES, SlabSizes
from windtunnel.trainers.supervised_trainer import SupervisedTrainer

COHORT = 40
OTHER = """
import json, sys
from windtunnel.trainers import devices
devices.configure_cpu()
import numpy as np
from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.protocols import TrainingTask
from windtunnel.trainers.supervised_trainer import SupervisedTrainer
kept = np.load({data!r})
task = TrainingTask(kept["x"], kept["y"], kept["train"], ((200, 230), (230, 260)), "direction")
model = ModelSection.model_validate_json(sys.argv[1])
training = TrainingSection.model_validate_json(sys.argv[2])
print(SupervisedTrainer(task, model, training, seed=3)._population.slab_sizes.path)
"""


def spend(known: SlabSizes, most: int, costs: dict[int, float], lanes: int) -> list[int]:
    """Sizes chosen for so many lanes on a machine with these costs a lane and step."""
    sizes = []
    while lanes:
        sizes.append(known.choose(most, lanes))
        seconds = costs.get(sizes[-1], 1.0) * sizes[-1] * 10
        known.note(sizes[-1], most, 10, seconds)
        lanes -= sizes[-1]
    return sizes


def test_every_size_is_tried_and_the_best_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "slabs" / "some.json"
    known = SlabSizes(4, path)
    costs = {32: 1.0, 16: 0.8, 8: 0.9, 4: 1.2}
    assert spend(known, 32, costs, 152) == [32] * 2 + [16] * 2 + [8] * 2 + [4] * 2 + [16] * 2
    assert json.loads(path.read_text()) == {
        str(size): pytest.approx(c) for size, c in costs.items()
    }
    # What does not fill a slab goes in one piece, in the best of those that it fills.
    assert spend(known, 32, costs, 15) == [8, 4, 3]


def test_a_little_faster_is_not_enough() -> None:
    known = SlabSizes(
        4, taken={32: [1.0] * TRIES, 16: [0.99] * TRIES, 8: [2.0] * TRIES, 4: [2.0] * TRIES}
    )
    assert known.choose(32, 100) == 32


def test_the_better_try_counts() -> None:
    known = SlabSizes(8)
    for seconds in (9.0, 1.0):  # the first met a cold machine
        known.note(16, 16, 1, seconds)
    for seconds in (1.0, 1.0):
        known.note(8, 16, 1, seconds)
    assert known.choose(16, 100) == 16


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path))
    return tmp_path / "slabs"


def test_measured_once_kept_and_without_influence(
    own_cache, task, model, training, build_hyper, trainer, equal
):
    """The same bits from slabs of every size that this machine may choose."""
    hyper = build_hyper(COHORT)
    whole = trainer.fit(hyper, keep_models=True)
    first = SupervisedTrainer(task, model, training, seed=3)
    first._population.slab = 16
    sizes = first._population.slab_sizes.tried(16)
    for _ in range(2 * len(sizes)):  # enough lanes for two tries of each
        fit = first.fit(hyper, keep_models=True)
        assert equal(fit.scores, whole.scores)
    (kept,) = own_cache.glob("*.json")
    before = kept.read_bytes()
    assert {int(size) for size in json.loads(before)} == set(sizes)

    for best in sizes:  # whatever is found best
        costs = {str(size): 1.0 + (size != best) for size in sizes}
        kept.write_text(json.dumps(costs))
        again = SupervisedTrainer(task, model, training, seed=3)
        again._population.slab = 16
        assert again._population.slab_sizes.choose(16, COHORT) == best
        fit = again.fit(hyper, keep_models=True)
        assert equal(fit.scores, whole.scores)
        assert equal(fit.loss, whole.loss)
        for mine, theirs in zip(fit.models, whole.models, strict=True):
            assert equal(mine.network, theirs.network)
        assert json.loads(kept.read_text()) == costs  # nothing is measured again


def test_another_shape_is_another_measurement(own_cache, task, model, training):
    paths = {
        SupervisedTrainer(task, model, given, seed=3)._population.slab_sizes.path
        for given in (training, training.model_copy(update={"batch_size": 16}))
    }
    assert len(paths) == 2


def test_another_process_knows_the_same_file(own_cache, task, model, training):
    """Addresses of functions differ between processes, and must not be in the name."""
    sections = [json.dumps(given.model_dump()) for given in (model, training)]
    code = OTHER.format(data=str(own_cache.parent / "task.npz"))
    np.savez(own_cache.parent / "task.npz", x=task.features, y=task.labels, train=task.train)
    done = subprocess.run(
        [sys.executable, "-c", code, *sections], capture_output=True, text=True, check=True
    )
    own = SupervisedTrainer(task, model, training, seed=3)._population.slab_sizes.path
    assert done.stdout.strip() == str(own)


def test_a_damaged_file_counts_as_absent(own_cache, task, model, training):
    path = SupervisedTrainer(task, model, training, seed=3)._population.slab_sizes.path
    own_cache.mkdir()
    for text in ("{", "[]", '{"8": "quick"}', '{"x": 1}', '{"8": null}'):
        path.write_text(text)
        known = SupervisedTrainer(task, model, training, seed=3)._population.slab_sizes
        assert known.taken == {}
        assert known.choose(16, 100) in known.tried(16)
