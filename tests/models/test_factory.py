from __future__ import annotations

import subprocess
import sys

import jax
import pytest
from flax import linen as nn

from windtunnel.config.study import ModelSection
from windtunnel.errors import StudyFileError
from windtunnel.models import create, families, register
from windtunnel.models.linear import Linear
from windtunnel.models.mlp import MLP


def test_built_in_families() -> None:
    assert {"linear", "mlp"} <= set(families())
    assert create(ModelSection(family="linear")) == Linear()
    assert create(ModelSection(family="mlp", hidden=(5, 3))) == MLP(hidden=(5, 3))


def test_an_unknown_family_names_those_that_exist() -> None:
    with pytest.raises(StudyFileError, match=r"model\.family.*'mpl'.*linear, .*mlp"):
        create(ModelSection(family="mpl"))


def test_a_family_of_ones_own() -> None:
    class Mean(nn.Module):
        masked_units = 0

        @nn.compact
        def __call__(self, x: jax.Array, rate: float = 0.0, bits: None = None) -> jax.Array:
            return x.mean(axis=1) + self.param("bias", nn.initializers.zeros_init(), ())

    @register("test_mean")
    def mean(section: ModelSection) -> Mean:
        return Mean()

    assert isinstance(create(ModelSection(family="test_mean")), Mean)
    register("test_mean")(mean)  # the same function again, as after a reload

    with pytest.raises(StudyFileError, match=r"'test_mean' is registered already, by .*mean"):
        register("test_mean")(lambda section: Linear())


def test_naming_a_family_does_not_import_flax() -> None:
    code = "import sys, windtunnel.models; print('flax' in sys.modules or 'jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
