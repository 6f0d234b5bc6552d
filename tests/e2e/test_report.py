"""The page of a real study, opened in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from windtunnel.reports.browser import find_browser, read_back

Finished = Any

needed = pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine")


@pytest.mark.browser
@needed
def test_report_is_drawn_whole(finished: Finished) -> None:
    dom = read_back(finished.run / "report.html")
    assert "data-errors" not in dom.split("<body", 1)[0]
    drawn = re.search(r'data-drawn="(\d+)"', dom)
    assert drawn is not None
    assert int(drawn[1]) >= 5
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", dom, flags=re.DOTALL)
    assert finished.figures["verdict"]["headline"] in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_report_can_be_written_anywhere(
    finished: Finished, windtunnel: Any, tmp_path: Path
) -> None:
    done = windtunnel("report", finished.run, "--out", "page.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").read_bytes() == (finished.run / "report.html").read_bytes()


@pytest.mark.browser
@needed
def test_report_is_printed(finished: Finished, windtunnel: Any, tmp_path: Path) -> None:
    done = windtunnel("report", finished.run, "--pdf", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "report.pdf"
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_report_without_a_browser(
    finished: Finished, windtunnel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDTUNNEL_BROWSER", "no-such-browser")
    done = windtunnel("report", finished.run, "--pdf", cwd=tmp_path)
    assert done.returncode == 9
    assert "takes a Chromium" in " ".join(done.stderr.split())
    done = windtunnel("report", finished.run, "--pdf", "--out", "x.html", cwd=tmp_path)
    assert done.returncode == 9
    assert "is not a PDF" in " ".join(done.stderr.split())
