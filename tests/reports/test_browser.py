"""The page in a real browser: every picture is drawn and nothing complains."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from windtunnel.reports.html import pictures, render

from .sample import report_data
from .test_html import hostile_data

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


def opened(text: str, directory: Path) -> str:
    """The document's HTML after its scripts have run."""
    page = directory / "report.html"
    page.write_text(text, encoding="utf-8")
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={directory / 'profile'}", "--window-size=1280,2000",
        "--virtual-time-budget=8000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8")


def errors(dom: str) -> str | None:
    found = re.search(r'<html[^>]* data-errors="([^"]*)"', dom)
    return html.unescape(found[1]) if found else None


@pytest.mark.parametrize("make", [report_data, hostile_data])
def test_every_picture_is_drawn_without_an_error(make, tmp_path):
    data = make()
    dom = opened(render(data), tmp_path)
    assert errors(dom) is None
    assert f'data-drawn="{len(pictures(data))}"' in dom
    assert dom.count('<svg class="main-svg"') >= len(pictures(data))
    assert re.search(r'id="broken"[^>]* hidden', dom)
    assert "hacked=1</script><img" not in re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL)


def test_a_broken_picture_and_a_foreign_script_are_reported_to_the_reader(tmp_path):
    data = report_data(trials=5, failed=0)
    text = render(data).replace('id="plot-luck"', 'id="plot-gone"')
    dom = opened(text.replace("<main>", "<main><script>document.title='owned'</script>"), tmp_path)
    assert "DOM element" in (errors(dom) or "")
    assert "script-src-elem" in (errors(dom) or "")
    assert "<title>owned" not in dom
    assert f'data-drawn="{len(pictures(data)) - 1}"' in dom
    assert not re.search(r'id="broken"[^>]* hidden', dom)
