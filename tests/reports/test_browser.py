"""The page in a real browser: every picture is drawn and nothing complains."""

from __future__ import annotations

import html
import importlib.util
import re
import struct

import pytest

from windtunnel.errors import ReportError
from windtunnel.reports.browser import WIDTH, export, find_browser, read_back
from windtunnel.reports.html import pictures, render, write

from .sample import report_data
from .test_front import RETURN, TURNOVER, several
from .test_html import hostile_data

browser = pytest.mark.browser
needed = pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine")


def several_objectives():
    return several(TURNOVER, RETURN)


def errors(dom: str) -> str | None:
    found = re.search(r'<html[^>]* data-errors="([^"]*)"', dom)
    return html.unescape(found[1]) if found else None


@browser
@needed
@pytest.mark.parametrize("make", [report_data, hostile_data, several_objectives])
def test_every_picture_is_drawn_without_an_error(make, tmp_path):
    data = make()
    dom = read_back(write(data, tmp_path / "report.html"))
    assert errors(dom) is None
    assert f'data-drawn="{len(pictures(data))}"' in dom
    assert dom.count('<svg class="main-svg"') >= len(pictures(data))
    assert re.search(r'id="broken"[^>]* hidden', dom)
    assert "hacked=1</script><img" not in re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL)


@browser
@needed
def test_nothing_is_wider_than_a_phone(tmp_path):
    """The page itself: wide tables scroll in a frame of their own."""
    script = (
        "document.documentElement.dataset.over = [...document.querySelectorAll("
        "'main > *, section > *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map((e) => e.className || e.tagName).join()"
    )
    text = render(report_data())
    policy = re.search(r"script-src [^;]*", text)
    assert policy is not None
    page = tmp_path / "report.html"
    page.write_text(
        text.replace(policy[0], "script-src 'unsafe-inline'", 1).replace(
            "</body>", f"<script>setTimeout(() => {{{script}}}, 4000)</script></body>"
        )
    )
    dom = read_back(page, width=500)  # as narrow as a headless window gets
    found = re.search(r'data-over="([^"]*)"', dom)
    assert found is not None
    assert found[1] == ""


@browser
@needed
def test_a_broken_picture_and_a_foreign_script_are_reported_to_the_reader(tmp_path):
    data = report_data(trials=5, failed=0)
    page = tmp_path / "report.html"
    text = render(data).replace('id="plot-luck"', 'id="plot-gone"')
    page.write_text(text.replace("<main>", "<main><script>document.title='owned'</script>"))
    dom = read_back(page)
    assert "DOM element" in (errors(dom) or "")
    assert "script-src-elem" in (errors(dom) or "")
    assert "<title>owned" not in dom
    assert f'data-drawn="{len(pictures(data)) - 1}"' in dom
    assert not re.search(r'id="broken"[^>]* hidden', dom)


@browser
@needed
def test_the_page_is_printed_and_pictured_whole(tmp_path):
    page = write(report_data(trials=40), tmp_path / "report.html")
    pdf = export(page, tmp_path / "out" / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page/") >= 5
    assert len(pdf) < 5e6
    png = export(page, tmp_path / "report.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert width == WIDTH
    assert 5000 < height < 16_000


@browser
@needed
def test_the_picture_of_the_readme_ends_with_the_equity_curve(root, tmp_path):
    spec = importlib.util.spec_from_file_location("picture", root / "scripts/report_picture.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.picture(write(report_data(trials=40), tmp_path / "report.html"), tmp_path / "top.png")
    width, height = struct.unpack(">II", (tmp_path / "top.png").read_bytes()[16:24])
    assert width == WIDTH
    assert 1000 < height < 2000


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ReportError, match=r"must end in \.html, \.pdf or \.png"):
        export(tmp_path / "report.html", tmp_path / "report.docx")


def test_without_a_browser_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("WINDTUNNEL_BROWSER", str(tmp_path / "none"))
    with pytest.raises(ReportError, match="takes a Chromium, and none was found") as caught:
        export(tmp_path / "report.html", tmp_path / "report.pdf")
    assert "WINDTUNNEL_BROWSER" in caught.value.remedy
    assert not (tmp_path / "report.pdf").exists()


def test_a_browser_that_fails_is_named(tmp_path, monkeypatch):
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("WINDTUNNEL_BROWSER", str(fake))
    with pytest.raises(ReportError, match="failed: no display"):
        export(tmp_path / "report.html", tmp_path / "report.pdf")
    fake.write_text("#!/bin/sh\n")
    with pytest.raises(ReportError, match="wrote no PDF"):
        export(tmp_path / "report.html", tmp_path / "report.pdf")
