"""Picture the top of a run's report, from its title to its equity curve: `docs/report.png`.

`make picture` calls it with the newest run. It takes a Chromium, as `windtunnel report --png`
does.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

from windtunnel.experiments import StudyResult
from windtunnel.reports import browser
from windtunnel.runs import Run

# What follows is still drawn, but takes no room; not what Plotly measures its texts in.
HIDDEN = (
    '<style>section[aria-labelledby="equity"] ~ *, main ~ :not(#js-plotly-tester) '
    "{ display: none !important; }</style>"
)
MARGIN = 40  # pixels left below the last thing drawn
COLORS = 128  # the page has few; the file becomes a third as large


def picture(report: Path, out: Path) -> None:
    """Write the picture of a report's page.

    Raises
    ------
    ReportError
        There is no Chromium, or it fails.
    """
    text = report.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="windtunnel-") as folder:
        page = Path(folder) / "report.html"
        page.write_text(text.replace("</head>", f"{HIDDEN}</head>", 1), encoding="utf-8")
        drawn = browser.export(page, page.with_suffix(".png"))
        with Image.open(drawn) as whole:
            trimmed(whole.convert("RGB")).quantize(COLORS).save(out, optimize=True)


def trimmed(whole: Image.Image) -> Image.Image:
    """Without the empty rest of the browser's window."""
    blank = Image.new("RGB", whole.size, whole.getpixel((0, whole.height - 1)))
    drawn = ImageChops.difference(whole, blank).getbbox() or (0, 0, *whole.size)
    return whole.crop((0, 0, whole.width, min(drawn[3] + MARGIN, whole.height)))


def main() -> None:
    """Picture the run that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("out", type=Path, help="the PNG to write")
    given = parser.parse_args()
    picture(StudyResult.load(Run.open(given.run)).report(), given.out)


if __name__ == "__main__":
    main()
