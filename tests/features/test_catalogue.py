from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

from windtunnel.errors import FeatureError
from windtunnel.features import kernels
from windtunnel.features.catalogue import KINDS, Feature, catalogue, resolve
from windtunnel.features.compute import compute


def test_names_become_features_in_the_order_given():
    assert resolve(["volatility_ratio_20", "return_5", "zscore_7"]) == (
        Feature("volatility_ratio_20", "volatility_ratio", 20, 100),
        Feature("return_5", "return", 5, 5),
        Feature("zscore_7", "zscore", 7, 6),
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("volatilty_20", ["no kind 'volatilty'", "'volatility_20'", "The kinds are return"]),
        ("macd_12", ["no kind 'macd'", "The kinds are return"]),
        ("return", ["not of the form", "'return_20'", "whole number"]),
        ("return_", ["not of the form", "'return_20'"]),
        ("return_5.5", ["not of the form", "'return_20'"]),
        ("return_-5", ["not of the form"]),
        ("Return_5", ["not of the form", "'return_20'"]),
        ("", ["not of the form"]),
        ("return_0", ["window 0 is outside 1 to", "return_1"]),
        ("volatility_1", ["window 1 is outside 2 to", "volatility_2"]),
        ("trend_2", ["window 2 is outside 3 to", "trend_3"]),
        ("return_100001", ["window 100001 is outside 1 to 100000", "return_100000"]),
        ("return_05", ["leading zeros", "return_5"]),
    ],
)
def test_names_that_cannot_be_resolved(name, words):
    with pytest.raises(FeatureError) as caught:
        resolve(["return_5", name])
    assert repr(name) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_no_names_and_names_given_twice_are_refused():
    with pytest.raises(FeatureError, match="empty"):
        resolve([])
    with pytest.raises(FeatureError, match="'gap_2' is named twice"):
        resolve(["gap_2", "return_1", "gap_2"])


def test_every_kind_is_explained_and_has_its_kernel():
    assert [kind.kind for kind in catalogue()] == list(KINDS)
    for kind in catalogue():
        assert len(kind.meaning) > 20
        assert "\n" not in kind.meaning
        arguments = inspect.signature(getattr(kernels, kind.kernel).py_func).parameters
        assert len(arguments) == len(kind.series) + 3


def test_tensor_has_its_shape_names_and_type(panel):
    tensor = compute(panel, ["return_3", "volatility_ratio_2"])
    assert tensor.values.shape == (120, 5, 2)
    assert tensor.values.dtype == np.float32
    assert tensor.values.flags.c_contiguous
    assert tensor.names == ("return_3", "volatility_ratio_2")
    assert tensor.warmup == 10


def test_a_missing_bar_makes_undefined_every_window_that_touches_it(panel):
    """B lacks bar 60, and no other from bar 36 on."""
    for kind in KINDS.values():
        feature = resolve([f"{kind.kind}_3"])[0]
        values = compute(panel, [feature.name]).values[:, 1, 0]
        undefined = np.flatnonzero(np.isnan(values[54:])) + 54
        assert undefined.tolist() == list(range(60, 60 + feature.warmup + 1))


def test_a_history_shorter_than_the_warm_up_is_undefined(panel, cut_panel):
    assert np.isnan(compute(cut_panel(panel, 0, 5), ["return_5"]).values).all()


def test_values_that_are_not_finite_are_refused_with_their_place(make_panel):
    with pytest.raises(FeatureError, match=r"volume_zscore_2: is .* for A at 2020-01-02"):
        compute(make_panel([1, 2], volume=[0, np.inf]), ["volume_zscore_2"])
    with pytest.raises(FeatureError, match=r"return_1: is nan for A at 2020-01-03"):
        compute(make_panel([1, 2, -1]), ["return_1"])


def test_kernels_compile_where_no_cache_can_be_written(monkeypatch):
    real = kernels.numba.njit

    def njit(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(kernels.numba, "njit", njit)
    assert kernels.jit(lambda x: x + 1)(2) == 3


def test_the_catalogue_is_read_without_numba():
    code = (
        "import sys; import windtunnel.features.catalogue as c; import windtunnel.labels; "
        "c.resolve(['return_5']); assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
