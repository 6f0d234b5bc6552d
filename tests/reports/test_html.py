from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from windtunnel.reports.data import Dimension, Holdout, Verdict
from windtunnel.reports.details import AuditRow, LedgerRow, OwnSection
from windtunnel.reports.html import pictures, render, write

from .sample import DIMENSIONS, report_data, trial_table


class Page(HTMLParser):
    """Tags, visible text, scripts and nesting of a page."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def classed(self, name: str) -> list[dict[str, str | None]]:
        return [a for _, a in self.tags if name in (a.get("class") or "").split()]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(report_data()))


def only(**changes):
    return Page(render(report_data(**changes)))


def test_every_tag_is_closed_in_order(page):
    assert page.open == []


def test_sections_stand_in_reading_order(page):
    ids = [a["id"] for name, a in page.tags if name == "h2"]
    assert ids == [
        "verdict", "equity", "holdout", "time", "folds", "instruments", "trades", "trials", "luck",
        "skill", "costs", "metrics", "statistics", "audits", "data", "ledger", "configuration",
        "reproduce", "caveats",
    ]  # fmt: skip


def test_ids_are_unique_and_links_lead_to_them(page):
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in page.all("a")]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert all(a["aria-labelledby"] in ids for a in page.all("section"))


def test_nothing_is_loaded_from_elsewhere(page):
    assert page.all("link") == page.all("img") == page.all("iframe") == []
    assert not [a for _, a in page.tags if a.get("src")]
    policy = page.all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"].startswith("default-src 'none'; script-src 'sha256-")
    style = re.search(r"<style>(.*?)</style>", render(report_data()), re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style


def test_policy_allows_exactly_the_scripts_of_the_page(page):
    run = [text for attributes, text in page.scripts if "type" not in attributes]
    packed = next(text for a, text in page.scripts if a.get("id") == "plotly")
    run.append(gzip.decompress(base64.b64decode(packed)).decode())
    assert "plotly.js v" in run[-1][:200]
    digests = {base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in run}
    allowed = set(re.findall(r"'sha256-([^']+)'", page.all("meta")[1]["content"]))
    assert len(run) == 4
    assert allowed == digests
    assert "'unsafe-inline'" not in page.all("meta")[1]["content"].split("style-src")[0]
    assert not [a for _, a in page.tags for name in a if name.startswith("on")]


def test_every_picture_has_one_place_and_a_text_alternative(page):
    places = page.classed("plot")
    assert {a["id"].removeprefix("plot-") for a in places} == set(pictures(report_data()))
    assert all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in places)


def test_tables_have_captions_and_scoped_headers(page):
    tables = page.all("table")
    assert len(page.all("caption")) == len(tables) == 13
    assert {a.get("scope") for a in page.all("th")} == {"col", "row"}


def test_figures_appear_with_units_and_true_minus_signs(page):
    data = report_data()
    total = data.champion_metrics["total_return"]
    assert f"Total return % of initial cash {total:.1%}" in page.text
    assert "−2.2%" in page.text
    assert not re.search(r"(?<![\w-])-\d", page.text.replace("e-", "e"))
    assert "Sharpe ratio, bootstrap interval a year −0.09 to 1.21" in page.text


def test_missing_values_are_dashes_with_their_reason(page):
    dashes = page.classed("missing")
    reasons = {a["title"] for a in dashes}
    assert "the Sharpe ratio is not above its threshold" in reasons  # a statistic that is None
    assert "returns do not vary in this fold" in reasons  # a fold whose Sharpe ratio is NaN
    assert all(a["aria-label"] == f"missing: {a['title']}" for a in dashes)
    assert "–" in page.text
    assert not re.search(r"\b(nan|inf|null|undefined|nat)\b", page.text, re.IGNORECASE)
    assert "None" not in page.text.replace("None lies", "")


HOSTILE = '"><script>window.hacked=1</script><img src=x onerror=hacked()>'


def hostile_data():
    table = trial_table(12).rename({"policy.exit": HOSTILE})
    return report_data(
        trials=12,
        failed=0,
        title=HOSTILE,
        run_id=HOSTILE,
        symbols=(HOSTILE, "</script>"),
        verdict=Verdict(headline=HOSTILE, level="weak", sentences=(HOSTILE,)),
        trials_table=table,
        objective="</script><b onclick=hacked()>",
        configuration=f'name = "{HOSTILE}"</code></pre><script>hacked()</script>',
        commands=(HOSTILE,),
        versions={HOSTILE: HOSTILE},
        warnings=(HOSTILE,),
        caveats=(HOSTILE,),
        audits=(AuditRow(name=HOSTILE, passed=True, sentence=HOSTILE, figures={HOSTILE: 1}),),
        ledger=(LedgerRow(study=HOSTILE, runs=1, trials=1, failed=0, counted=1, best_sharpe=None),),
        own_sections=(
            OwnSection(title=HOSTILE, text=HOSTILE),
            OwnSection(title=HOSTILE, table=pl.DataFrame({HOSTILE: [HOSTILE]})),
            OwnSection(
                title=HOSTILE,
                figure={
                    "data": [{"type": "bar", "y": [1, 2], "marker": {"color": "teal"}}],
                    "layout": {"font": {"size": 12}, "title": {"text": "</script>"}},
                },
            ),
        ),
        problems=(HOSTILE,),
        reasons={"min_track_record_bars": '" onmouseover="hacked()'},
        dimensions=(*DIMENSIONS[:5], Dimension(name=HOSTILE)),
    )


def test_hostile_names_are_text_everywhere():
    page = Page(render(hostile_data()))
    assert page.open == []
    assert len(page.scripts) == 5
    assert page.all("img") == []
    assert not [a for _, a in page.tags for name in a if name.startswith("on")]
    assert page.text.count(HOSTILE) >= 20
    figures = json.loads(next(t for a, t in page.scripts if a.get("id") == "figures"))
    strings = re.findall(r'"(?:[^"\\]|\\.)*"', json.dumps(figures))
    assert not [text for text in strings if "<script" in text or "<img" in text]


def test_one_trial_one_fold_no_holdout():
    page = only(
        trials=1, failed=0, folds=1, holdout=False, closely=False, symbols=("SPY",),
        cost_rows=(), delayed=None, pbo_logits=None, warnings=(), break_even_bps=None,
        statistics={"psr": float("nan"), "dsr": None, "pbo": None, "trials_study": 1},
        reasons={"pbo": "one trial has nothing to be compared with"},
    )  # fmt: skip
    assert "1 trial: 1 complete." in page.text
    assert "No holdout was set aside" in page.text
    assert "one trial has nothing to be compared with" in {
        a["title"] for a in page.classed("missing")
    }
    ids = {a["id"] for a in page.classed("plot")}
    assert ids == {"plot-equity", "plot-parallel", "plot-luck"} | {
        f"plot-slice{i}" for i in range(6)
    }


def test_all_trials_failed_but_one():
    page = only(trials=20, failed=19)
    assert "20 trials: 1 complete, 19 failed." in page.text
    assert "1 has an objective." in page.text


def test_many_trials_and_symbols_fold_away():
    page = only(trials=1500, failed=100, symbols=tuple(f"S{i:03d}" for i in range(100)))
    assert "1,400 have an objective, of which 1,000 are drawn here" in page.text
    assert "Show all 100 instruments" in page.text
    assert len(page.all("details")) == 4


def test_sealed_holdout_shows_the_seal_and_no_result():
    held = Holdout(
        seal="sealed: already read by run 20130301-a1b2",
        forced_looks=("read by force on 2013-02-01 by run 20130201-ffff",),
    )
    page = Page(render(report_data(holdout=False, holdout_value=held)))
    assert "sealed: already read by run 20130301-a1b2" in page.text
    assert "There is no result to show" in page.text
    assert "read by force on 2013-02-01" in page.text
    assert "plot-holdout" not in {a["id"] for a in page.classed("plot")}


@pytest.mark.parametrize("level", ["no_edge", "weak", "candidate"])
def test_verdict_stands_first_in_words_and_colour(level):
    page = only(verdict=Verdict(headline="The headline.", level=level, sentences=("Why.",)))
    assert page.classed("verdict")[0]["class"] == f"verdict {level}"
    assert page.text.index("The headline.") < page.text.index("Total return")


def test_optimistic_fill_is_marked():
    assert "Optimistic fill." in only(optimistic_fill=True).text
    assert "Optimistic fill." not in only().text


def test_debt_is_drawn_on_a_linear_axis_and_said():
    equity = report_data().champion_equity.copy()
    equity[1000:] = -5000.0
    data = report_data(champion_equity=equity)
    assert "so the axis is linear" in Page(render(data)).text
    figure = pictures(data)["equity"]
    assert figure["layout"]["yaxis"].get("type") != "log"
    champion = next(trace for trace in figure["data"] if trace["name"] == "Champion")
    assert champion["y"][-1] is None  # nothing to chain the holdout onto


def test_same_data_same_bytes_written_whole(tmp_path):
    path = write(report_data(), tmp_path / "deep" / "report.html")
    assert path.read_text(encoding="utf-8") == render(report_data())
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    assert 1e6 < path.stat().st_size < 5e6


def test_intraday_times_show_the_hour():
    data = report_data(folds=1, fold_bars=50, holdout=False)
    stamps = data.timestamps + np.arange(50) * np.timedelta64(60, "m")
    page = only(folds=1, fold_bars=50, holdout=False, timestamps=stamps)
    assert "out of sample 2003-03-03 00:00 to" in page.text
