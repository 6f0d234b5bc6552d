"""pyproject.toml, the installed package and the changelog tell one version."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import windtunnel


@pytest.fixture(scope="module")
def declared(root: Path) -> str:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def test_installed_package_has_the_declared_version(declared: str) -> None:
    try:
        installed = metadata.version("windtunnel")
    except metadata.PackageNotFoundError:
        pytest.skip("runs from the sources; nothing is installed")
    assert installed == declared
    assert windtunnel.__version__ == declared


def test_newest_changelog_section_is_the_declared_version(root: Path, declared: str) -> None:
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## \[(\d[^]]*)\] - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    assert sections[0] == declared
    assert len(sections) == len(set(sections))
