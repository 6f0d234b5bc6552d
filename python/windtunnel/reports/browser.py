"""The page in a headless Chromium: printed to PDF, pictured as PNG, or read back.

Chromium is no dependency: it is asked for where a PDF or PNG is wanted, and nowhere else.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from windtunnel import artifacts
from windtunnel.errors import ReportError

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
WIDTH = 1280  # pixels of a picture
TALLEST = 16_000  # pixels; taller pictures are cut by the browser
# Virtual time: the pictures of the page have been drawn long before.
BUDGET_MS = 8000
LIMIT_S = 180


def find_browser() -> str | None:
    """The browser that WINDTUNNEL_BROWSER names, else the first Chromium on the path."""
    named = os.environ.get("WINDTUNNEL_BROWSER")
    candidates = (named,) if named else NAMES
    return next(filter(None, map(shutil.which, candidates)), None)


def export(page: str | Path, out: str | Path) -> Path:
    """Write a page as PDF or PNG, by the ending of `out`.

    Parameters
    ----------
    page : path
        An HTML file.
    out : path
        Ends in '.pdf' (A4, in light colours, every fold-out open) or '.png' (the whole page,
        1,280 pixels wide). It appears whole or not at all.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ReportError
        The ending is another one, there is no Chromium, or it fails.
    """
    page, out = Path(page), Path(out)
    kind = out.suffix.lower()
    if kind not in {".pdf", ".png"}:
        raise ReportError(
            f"report {out.name!r}: must end in .html, .pdf or .png", "Choose one of these endings"
        )
    with tempfile.TemporaryDirectory(prefix="windtunnel-") as folder:
        made = Path(folder) / f"page{kind}"
        if kind == ".pdf":
            _run(page, folder, f"--print-to-pdf={made}", "--no-pdf-header-footer")
        else:
            height = min(TALLEST, _height(read_back(page)))
            _run(
                page, folder, f"--screenshot={made}", "--hide-scrollbars",
                f"--window-size={WIDTH},{height}",
            )  # fmt: skip
        if not made.is_file() or made.stat().st_size == 0:
            raise ReportError(
                f"Chromium wrote no {kind[1:].upper()} of {page.name!r}",
                "Print the page from a browser by hand",
            )
        artifacts.write_bytes(out, made.read_bytes())
    return out


def read_back(page: str | Path, *, width: int = WIDTH) -> str:
    """The document's HTML after its scripts have run; errors as `export`."""
    with tempfile.TemporaryDirectory(prefix="windtunnel-") as folder:
        return _run(Path(page), folder, "--dump-dom", f"--window-size={width},2000")


def _height(dom: str) -> int:
    """Pixels that the page needs, which its script has written down."""
    found = re.search(r'<html[^>]* data-height="(\d+)"', dom)
    return int(found[1]) if found else TALLEST


def _run(page: Path, folder: str, *options: str) -> str:
    browser = find_browser()
    if browser is None:
        raise ReportError(
            "a PDF or PNG of the report takes a Chromium, and none was found",
            "Install Chromium or Chrome, or name it: WINDTUNNEL_BROWSER=/path/to/chrome; the HTML "
            "page prints from any browser",
        )
    # A container's root has no user namespaces for the sandbox; the page is our own.
    sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    command = [
        browser, "--headless", *sandbox, "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", f"--user-data-dir={folder}/profile",
        f"--virtual-time-budget={BUDGET_MS}", *options, page.resolve().as_uri(),
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603 - the user's browser on the user's page
            command, capture_output=True, timeout=LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or b""
        last = told.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise ReportError(
            f"Chromium ({browser}) failed: {'; '.join(last) or error}",
            "Try another with WINDTUNNEL_BROWSER, or print the page by hand",
        ) from None
    return done.stdout.decode("utf-8", "replace")
