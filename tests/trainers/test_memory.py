"""What a budget allows, that it decides no result, and that training keeps to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import TrainingError
from windtunnel.trainers.memory import LARGEST_SLAB, Needs, available, plan
from windtunnel.trainers.supervised_trainer import SupervisedTrainer

MIB = 2**20
LARGEST = int(os.environ.get("WINDTUNNEL_MEMORY_COHORT", "4000"))


@given(
    st.integers(0, 512 * MIB),
    st.integers(1, 8 * MIB),
    st.integers(1, MIB),
    st.integers(1, 8),
    st.integers(700 * MIB, 64 * 1024 * MIB),
)
def test_a_plan_fits_its_budget(fixed, lane, result, smallest, budget):
    needs = Needs(fixed, lane, result, state=lane)
    try:
        found = plan(needs, smallest=smallest, budget=budget)
    except TrainingError:
        assert fixed + smallest * (lane + result) > budget - 600 * MIB - MIB * smallest
        return
    assert found.slab % smallest == 0
    assert smallest <= found.slab <= LARGEST_SLAB
    found.check(min(found.cohort, 10), in_stretches=False)
    with pytest.raises(TrainingError, match="memory_budget: a cohort of"):
        found.check(found.cohort + 2, in_stretches=True)


def test_without_a_budget_half_of_what_is_free():
    found = plan(Needs(0, 1000, 1000, 1000), smallest=4)
    assert found.budget == pytest.approx(available() / 2, rel=0.2)


def test_too_small_a_budget_names_what_it_takes():
    with pytest.raises(TrainingError, match=r"650 MiB do not hold 4 configurations"):
        plan(Needs(100 * MIB, MIB, MIB, MIB), smallest=4, budget=650 * MIB)


def test_a_budget_decides_no_result(task, model, training, build_hyper, trainer, equal):
    hyper = build_hyper(30)
    whole = trainer.fit(hyper)
    small = SupervisedTrainer(task, model, training, seed=3, memory=700 * MIB)
    needs = small.plan.needs
    assert small.plan.slab > 0
    tight = plan(
        needs,
        smallest=2 * len(jax.local_devices()),
        budget=600 * MIB + needs.fixed + 16 * (needs.lane + needs.result),
    )
    assert tight.slab < 30
    small._population.slab = tight.slab
    assert equal(small.fit(hyper).scores, whole.scores)


MEASURE = """
import json, sys
from windtunnel.trainers import devices
devices.configure_cpu()
import numpy as np
from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.protocols import TrainingTask
from windtunnel.trainers.supervised_trainer import SupervisedTrainer
budget, cohorts = int(sys.argv[1]), json.loads(sys.argv[2])
rng = np.random.default_rng(0)
x = rng.normal(size=(400, 2, 4)).astype(np.float32)
y = (x[..., 0] > 0).astype(np.float32)
train = np.zeros((2, 400, 2), bool)
train[:, :300] = True
task = TrainingTask(x, y, train, ((300, 350), (350, 400)), "direction")
trainer = SupervisedTrainer(
    task, ModelSection(hidden=(8,)), TrainingSection(steps=3, batch_size=16), 0, memory=budget
)
digests = []
for cohort in cohorts:
    rates = np.geomspace(1e-4, 1e-1, max(cohorts))[:cohort]
    flat = np.zeros(cohort)
    fit = trainer.fit({"learning_rate": rates, "weight_decay": flat, "dropout": flat,
                       "label_smoothing": flat})
    digests.append(fit.scores[:, :, : cohorts[0]].tobytes().hex()[:4000])
    del fit
# Not ru_maxrss: a process inherits that of whoever started it.
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({"peak": peak, "slab": trainer.plan.slab, "same": len(set(digests)) == 1}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_stays_below_the_budget():
    """From 10 configurations to thousands, each trained in one call, in a process of its own."""
    budget = 1200 * MIB
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(budget), json.dumps([10, LARGEST // 8, LARGEST])],
        capture_output=True,
        text=True,
        check=True,
        timeout=500,
    )
    found = json.loads(done.stdout)
    assert found["same"]
    assert found["slab"] < LARGEST
    assert found["peak"] < budget
