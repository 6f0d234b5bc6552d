"""The report as one self-contained HTML file that needs no network.

plotly.js is inlined once, compressed (1.9 MB in place of 4.8, nearly all of the file's size; its
Python package ships the full bundle alone), and unpacked by the browser. A content security
policy allows the page's own scripts by their SHA-256 and nothing else, so that neither a name
in the data nor an edit in transit runs.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from windtunnel.artifacts import write_text
from windtunnel.metrics.break_even import SEARCHED_BPS
from windtunnel.reports import (
    detail_tables,
    figures,
    formats,
    front,
    luck_figures,
    rival_figures,
    skill_figures,
    tables,
    time_figures,
    trade_tables,
    trial_figures,
)
from windtunnel.reports.data import ReportData
from windtunnel.reports.drawing import Figure

MANY_INSTRUMENTS = 12  # more of them fold into a block that opens on demand


def render(data: ReportData) -> str:
    """Build the page.

    Parameters
    ----------
    data : ReportData
        What to show; its text is escaped wherever it appears.

    Returns
    -------
    str
        A whole HTML document. The same data give the same text.
    """
    packed, digest = _plotly()
    scripts = [_own(name) for name in ("guard.js", "unpack.js", "report.js")]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals["number"] = formats.number
    template = environment.from_string(_own("report.html.j2"))
    return template.render(
        data=data,
        policy=_policy([*map(_digest, scripts), digest]),
        plotly=packed,
        style=Markup(_own("report.css")),  # noqa: S704 - the package's own files
        scripts=[Markup(text) for text in scripts],  # noqa: S704 - the same
        figures=_json(pictures(data)),
        parallel_width=130 * (len(data.dimensions) + 1),
        **_context(data),
    )


def write(data: ReportData, path: str | Path) -> Path:
    """Render and write the page whole or not at all; returns its path."""
    path = Path(path)
    write_text(path, render(data))
    return path


def pictures(data: ReportData) -> dict[str, Figure]:
    """All figures of the page by the id of their element; absent where there is no data."""
    found = {
        "equity": figures.equity(data),
        "holdout": figures.holdout(data),
        "parallel": trial_figures.parallel(data),
        "luck": luck_figures.luck(data),
        "logits": luck_figures.logits(data),
        "costs": figures.costs(data),
        "rolling": time_figures.rolling(data),
        "activity": time_figures.activity(data),
        "deflation": luck_figures.deflation(data),
        "paths": luck_figures.paths(data),
        "calibration": skill_figures.calibration(data),
        "decay": skill_figures.decay(data),
        "contributions": skill_figures.contributions(data),
        "rivals": rival_figures.rivals(data),
    }
    for place, figure in enumerate(front.pictures(data).values()):
        found[f"front{place}"] = figure
    for place, section in enumerate(data.own_sections):
        found[f"own{place}"] = section.figure
    for place, figure in enumerate(trial_figures.slices(data).values()):
        found[f"slice{place}"] = figure
    return {name: figure for name, figure in found.items() if figure is not None}


def _context(data: ReportData) -> dict[str, Any]:
    """Tables, counts and flags that the template reads."""
    states = data.trials["state"].value_counts().sort("state").iter_rows()
    drawn = trial_figures.drawn(data).height
    finished = trial_figures.finished(data).height
    held = data.holdout
    names = set(pictures(data))
    return {
        "cards": tables.cards(data),
        "folds": tables.folds(data),
        "metrics": tables.metrics(
            "Out of sample, after costs",
            data.champion_metrics,
            data.buy_and_hold_metrics,
            data.reasons,
            data.own_terms,
        ),
        "holdout_metrics": None
        if held is None or not held.read
        else tables.metrics(
            "On the holdout, after costs",
            held.champion_metrics,
            held.buy_and_hold_metrics,
            data.reasons,
            data.own_terms,
        ),
        "statistics": tables.statistics(data),
        "costs": tables.costs(data),
        "best": tables.best_trials(data),
        "front": front.table(data),
        "instruments": tables.instruments(data),
        "states": {str(state): int(count) for state, count in states},
        "drawn": drawn,
        "finished": finished,
        "months": detail_tables.months(data),
        "contributions": detail_tables.contributions(data),
        "trades": trade_tables.trades(data),
        "audits": detail_tables.audits(data),
        "ledger": detail_tables.ledger(data),
        "rivals": rival_figures.table(data),
        "own_tables": [
            None if each.table is None else detail_tables.own(each.title, each.table)
            for each in data.own_sections
        ],
        "drawn_names": names,
        "has_skill": bool(names & {"calibration", "decay"}),
        "gap": _gap(data),
        "searched_bps": SEARCHED_BPS,
        "negative": figures.goes_negative(data),
        "has_luck": luck_figures.sharpe_ratios(data).size > 0,
        "has_logits": luck_figures.logits(data) is not None,
        "above_luck": _above_luck(data),
        "folded": len(data.instruments) > MANY_INSTRUMENTS,
        "first": formats.moment(_datetime(data, 0), dates_only=tables.dates_only(data)),
        "last": formats.moment(_datetime(data, -1), dates_only=tables.dates_only(data)),
    }


def _datetime(data: ReportData, at: int) -> Any:
    """One out-of-sample timestamp as a datetime."""
    return data.timestamps[at].astype("datetime64[us]").item()


def _above_luck(data: ReportData) -> int | None:
    """How many trials beat the best that luck would show; None when that is not known."""
    limit = data.statistics.get("expected_maximum_sharpe")
    if limit is None or not formats.present(limit):
        return None
    return int((luck_figures.sharpe_ratios(data) > limit).sum())


def _gap(data: ReportData) -> str:
    """The largest difference between the traced equity and the engine's, in words."""
    gap = data.details.gap if data.details else 0.0
    return "a billionth" if gap <= 1e-9 else f"{gap:.2g}"


def _json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(safe)  # noqa: S704 - no character with a meaning in HTML is left


def _digest(script: str) -> str:
    """SHA-256 of a script as a policy names it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _policy(digests: list[str]) -> Markup:
    """Content security policy: these scripts by digest, inline style, nothing from outside."""
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return Markup(  # noqa: S704 - base64 and constants
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _own(name: str) -> str:
    """A text file of this package."""
    return resources.files("windtunnel.reports").joinpath(name).read_text(encoding="utf-8")


@cache
def _plotly() -> tuple[Markup, str]:
    """plotly.js as base64 of gzip, and its digest; read on first use: importing it is slow."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415

    text: str = get_plotlyjs()
    packed = base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()
    return Markup(packed), _digest(text)  # noqa: S704 - base64
