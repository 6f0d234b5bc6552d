"""Wrong hyperparameters stop with an error that names the value and its configuration."""

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import TrainingError
from windtunnel.trainers.hyper import check_hyper


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"momentum": np.ones(3)}, r"unknown \['momentum'\]"),
        ({"dropout": None}, r"missing \['dropout'\]"),
        ({"dropout": np.zeros(2)}, r"hyper\['dropout'\]: .*got \(2,\), learning_rate has \(3,\)"),
        ({"dropout": 0.0}, r"hyper\['dropout'\]: .*got \(\)"),
        ({"dropout": [0, 1.0, 0]}, r"hyper\['dropout'\]\[1\]: must be in \[0, 1\), got 1"),
        ({"learning_rate": [1, 1, 0]}, r"hyper\['learning_rate'\]\[2\]: .*\(0, inf\), got 0"),
        ({"learning_rate": [np.nan, 1, 1]}, r"hyper\['learning_rate'\]\[0\]: .*got nan"),
        ({"weight_decay": [0, -1, 0]}, r"hyper\['weight_decay'\]\[1\]: .*got -1"),
        ({"label_smoothing": [0, 0, 2]}, r"hyper\['label_smoothing'\]\[2\]: .*got 2"),
    ],
)
def test_wrong_hyperparameters(build_hyper, change, message):
    hyper = {**build_hyper(3), **change}
    with pytest.raises(TrainingError, match=message):
        check_hyper({name: values for name, values in hyper.items() if values is not None}, 5)


def test_an_empty_cohort_is_refused(build_hyper):
    with pytest.raises(TrainingError, match="at least one"):
        check_hyper({name: values[:0] for name, values in build_hyper(3).items()}, 5)
