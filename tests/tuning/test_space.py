from __future__ import annotations

import math
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution

from windtunnel.config.study import Choice, FloatRange
from windtunnel.errors import SearchSpaceError
from windtunnel.tuning.space import to_distributions, unit_cube

SEARCH = {
    "training.learning_rate": FloatRange(low=1e-4, high=1e-2, log=True),
    "policy.enter": FloatRange(low=-1.0, high=3.0),
    "training.dropout": Choice(choices=(0.5, 0.0, 0.1)),
}


def test_distributions_are_those_of_the_dimensions_in_alphabetical_order() -> None:
    distributions = to_distributions(SEARCH)
    assert list(distributions) == ["policy.enter", "training.dropout", "training.learning_rate"]
    assert distributions["policy.enter"] == FloatDistribution(-1.0, 3.0)
    assert distributions["training.learning_rate"] == FloatDistribution(1e-4, 1e-2, log=True)
    assert distributions["training.dropout"] == CategoricalDistribution((0.5, 0.0, 0.1))


def test_a_choice_named_twice_is_one_choice() -> None:
    distribution = to_distributions({"policy.exit": Choice(choices=(0.1, 0.0, 0.1))})
    assert distribution["policy.exit"] == CategoricalDistribution((0.1, 0.0))


def test_unit_cube_by_hand() -> None:
    points = unit_cube(
        SEARCH,
        [
            {"training.learning_rate": 1e-3, "policy.enter": 0.0, "training.dropout": 0.1},
            {"training.learning_rate": 1e-4, "policy.enter": 3.0, "training.dropout": 0.0},
            {"training.learning_rate": 1e-2, "policy.enter": -1.0, "training.dropout": 0.5},
        ],
    )
    assert points.shape == (3, 3)
    assert points.dtype == np.float64
    assert points.flags.c_contiguous
    np.testing.assert_allclose(points, [[0.25, 0.5, 0.5], [1, 0, 0], [0, 1, 1]], atol=1e-12)


def test_unit_cube_of_no_configuration_has_the_right_width() -> None:
    assert unit_cube(SEARCH, []).shape == (0, 3)


@given(
    low=st.floats(1e-12, 1e3),
    factor=st.floats(1.001, 1e6),
    share=st.floats(0, 1),
    log=st.booleans(),
)
def test_every_value_of_a_range_lands_in_the_cube(
    low: float, factor: float, share: float, log: bool
) -> None:
    dimension = FloatRange(low=low, high=low * factor, log=log)
    high = dimension.high
    value = low * (high / low) ** share if log else low + share * (high - low)
    point = unit_cube({"policy.enter": dimension}, [{"policy.enter": value}])[0, 0]
    assert 0 <= point <= 1
    assert point == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("name", ["training.learning_rate", "policy.enter", "training.dropout"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -5.0, 9.0])
def test_a_value_outside_its_dimension_is_named(name: str, value: float) -> None:
    good = {"training.learning_rate": 1e-3, "policy.enter": 0.0, "training.dropout": 0.1}
    with pytest.raises(SearchSpaceError, match=rf"params\[1\]: {name} must be"):
        unit_cube(SEARCH, [good, {**good, name: value}])


def test_a_missing_value_is_named() -> None:
    with pytest.raises(SearchSpaceError, match=r"params\[0\]: has no value .* 'policy.enter'"):
        unit_cube({"policy.enter": SEARCH["policy.enter"]}, [{"policy.exit": 0.0}])


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(SearchSpaceError, match="search: is empty"):
        to_distributions({})
    with pytest.raises(SearchSpaceError, match="search: is empty"):
        unit_cube({}, [])


def test_optuna_is_loaded_only_by_a_study_that_tunes() -> None:
    code = (
        "import sys, windtunnel.tuning.strategy, windtunnel.tuning.space\n"
        "assert 'optuna' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_condition_of_a_study_file_is_a_list() -> None:
    from windtunnel.config.search import IntRange

    read = tomllib.loads('low = 8\nhigh = 64\ninteger = true\nwhen = { "model.family" = ["mlp"] }')
    assert IntRange.model_validate(read).when == {"model.family": ("mlp",)}
