"""One exported bundle for all tests of the package; it is only read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def _example_module():
    path = Path(__file__).with_name("bundle_example.py")
    spec = importlib.util.spec_from_file_location("bundle_example", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def maker():
    """The module that makes the example; test modules cannot import one another."""
    return _example_module()


@pytest.fixture(scope="session")
def example(maker):
    return maker.make_example()


@pytest.fixture(scope="session")
def bundle_path(maker, example, tmp_path_factory):
    return maker.export_example(example, tmp_path_factory.mktemp("bundles") / "example")
