"""The site builds without a warning, and its navigation names every page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_site_builds(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--site-dir", tmp_path / "site"],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    reference = (tmp_path / "site" / "reference" / "monitoring" / "index.html").read_text()
    assert "DriftDetector" in reference
    assert "false_alarm_bars" in reference


def test_every_page_is_in_the_navigation(root: Path) -> None:
    navigation = (root / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    docs = root / "docs"
    pages = [page.relative_to(docs).as_posix() for page in sorted(docs.rglob("*.md"))]
    assert len(pages) > 10
    assert [page for page in pages if page not in navigation] == []
