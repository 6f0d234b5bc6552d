"""What the page shows beyond the outcome, and what a user added to it."""

from __future__ import annotations

import dataclasses
import re
import warnings

import numpy as np
import polars as pl
import pytest

from windtunnel import extend
from windtunnel.reports import (
    detail_tables,
    luck_figures,
    skill_figures,
    time_figures,
    trade_tables,
)
from windtunnel.reports.details import OwnSection
from windtunnel.reports.html import pictures, render
from windtunnel.reports.own_sections import own_sections

from .sample import CASH, report_data
from .test_html import only


@pytest.fixture(scope="module")
def data():
    return report_data()


def test_band_lies_around_the_curve_and_says_what_it_is(data):
    lower, upper = pictures(data)["equity"]["data"][:2]
    assert upper["fill"] == "tonexty"
    assert upper["name"] == "90% of redrawn curves"
    assert all(low < high for low, high in zip(lower["y"], upper["y"], strict=True))
    assert re.search(r"\((1 bar|[\d.]+ bars) on average, stationary bootstrap", only().text)


def test_without_details_the_page_stands_without_them():
    page = only(closely=False)
    assert "Over time" not in page.text
    assert "nobody has tried to refute it" in page.text


def test_months_are_shaded_by_size_and_cut_at_the_edges(data):
    table = detail_tables.months(data)
    assert len(table.columns) == 14
    assert [str(row[0]) for row in table.rows][:2] == ["2003", "2004"]
    first = [str(cell) for cell in table.rows[0]]
    assert first[1] == first[2] == '<span class="shade"></span>'  # January and February 2003
    march = data.details.months.values[0, 2]
    assert f">{abs(100 * march):.1f}<".replace("-", "") in first[3].replace("−", "")
    assert ('class="shade gain"' in first[3]) == (march > 0)


def test_contributions_add_up_to_the_total_return(data):
    table = detail_tables.contributions(data)
    shares = [row[1] for row in table.rows]
    total = data.champion_equity[-1] / CASH - 1
    assert str(shares[-1]) == f"{total:.1%}"
    assert str(table.rows[-2][0]) == "Interest"
    assert table.marked == len(table.rows) - 1
    sizes = np.abs(data.details.trace.profit)
    assert [str(row[0]) for row in table.rows[:5]] == [
        data.details.symbols[i] for i in np.argsort(-sizes)
    ]
    figure = skill_figures.contributions(data)
    assert len(figure["data"][0]["x"]) == 5


def test_trades_are_summed_by_side_and_listed_newest_first(data):
    found = trade_tables.trades(data)
    trips = data.details.trips
    long, short, both = found.summary.rows
    assert [str(row[1]) for row in (long, short, both)] == ["136", "68", "204"]
    won = (trips["profit"] > 0).mean()
    assert str(both[2]) == f"{won:.1%}"
    assert str(both[-1]) == f"{trips['profit'].sum():,.0f}".replace("-", "−")
    assert found.shown == found.total == len(found.listed.rows) == 204
    newest = found.listed.rows[0]
    assert "still held at the end" in newest[1]
    assert str(newest[-1]) == "held"
    assert str(newest[0]) > str(found.listed.rows[1][0])
    assert "Show all of them" in only().text


def test_many_trades_are_cut_and_none_are_left_out(data):
    from dataclasses import replace

    def with_trips(trips):
        return replace(data, details=replace(data.details, trips=trips))

    found = trade_tables.trades(with_trips(pl.concat([data.details.trips] * 3)))
    assert (found.total, found.shown) == (612, trade_tables.LISTED)
    assert trade_tables.trades(with_trips(data.details.trips.clear())) is None
    short = with_trips(data.details.trips.filter(pl.col("side") == "short"))
    assert "no such trade" in trade_tables.trades(short).summary.rows[0][2]


def test_a_gap_beyond_rounding_is_said_aloud(data):
    assert "do not rely on this table" not in only().text
    from dataclasses import replace

    details = replace(data.details, gap=0.01)
    assert "within 0.01 of the initial cash" in only(details=details).text
    assert "do not rely on this table" in only(details=details).text


def test_turnover_and_exposure_are_those_of_the_trace(data):
    figure = time_figures.activity(data)
    bars = next(trace for trace in figure["data"] if trace["type"] == "bar")
    assert sum(bars["y"]) == pytest.approx(data.details.trace.turnover.sum(), rel=1e-4)
    assert {"Gross exposure", "Net exposure"} <= {trace["name"] for trace in figure["data"]}


def test_rolling_begins_with_its_first_whole_window(data):
    champion = time_figures.rolling(data)["data"][1]
    assert champion["x"][0] == str(data.timestamps[251].astype("datetime64[D]"))
    assert champion["y"][-1] == pytest.approx(data.details.rolling[-1], rel=1e-5)


def test_trials_stand_against_the_rising_bar(data):
    dots, best, bar, own = luck_figures.deflation(data)["data"]
    assert len(dots["x"]) == data.trials.height
    assert best["y"][-1] == pytest.approx(data.trials["sharpe"].fill_nan(None).max(), rel=1e-5)
    assert bar["y"][-1] == pytest.approx(data.deflation[-1], rel=1e-5)
    assert own["x"] == [data.champion + 1]


def test_paths_are_dots_in_order_and_one_that_never_traded_is_none(data):
    figure = luck_figures.paths(data)
    assert figure["data"][0]["x"] == [-0.12, 0.31, 0.48, 0.55]
    assert luck_figures.paths(report_data(path_sharpes=np.empty(0))) is None
    words = " ".join(note["text"] for note in figure["layout"]["annotations"])
    assert "walk forward" in words
    assert "buy and hold" in words


def test_calibration_and_decay_show_what_was_measured(data):
    diagonal, curve = skill_figures.calibration(data)["data"]
    assert diagonal["x"] == diagonal["y"]
    assert sum(curve["customdata"]) == data.details.calibration.rows.sum()
    folds, pooled = skill_figures.decay(data)["data"]
    assert len(folds["y"]) == 2 * len(pooled["y"]) == 10


def test_a_level_is_not_called_a_probability(data):
    told = dataclasses.replace(data, details=dataclasses.replace(data.details, levels=True))
    figure = skill_figures.calibration(told)
    whole, curve = figure["data"]
    found = data.details.calibration
    np.testing.assert_allclose(curve["x"], 2 * found.predicted - 1, atol=1e-5)
    rose = (found.observed * found.rows).sum() / found.rows.sum()
    np.testing.assert_allclose(whole["y"], [rose, rose], atol=1e-5)
    words = [figure["layout"]["xaxis"]["title"]["text"], curve["hovertemplate"], render(told)]
    assert "Level decided on" in words[0]
    assert not any("tated probability" in each for each in words[:2])
    assert "by stated probability" not in words[2]
    assert "by stated probability" in render(data)


def test_audits_say_how_they_ended():
    page = only()
    assert "passed Nothing before bar 812 changed." in page.text
    assert "FAILED One bar later nothing is left." in page.text
    assert "not made Not made: no time." in page.text


def test_ledger_has_a_sum():
    page = only()
    assert "first_try 2 512 3 512 0.71" in page.text
    assert "All 3 768 6 768 0.71" in page.text


@pytest.fixture
def added():
    names = []

    def add(title, made):
        names.append(title)
        extend.section(title)(made)

    yield add
    for name in names:
        extend.forget(name)


def test_sections_become_text_table_and_picture(added):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # plotly's import is not under test
        import plotly.graph_objects as go
    added("Words", lambda found: f"First of {found}.\n\nSecond <b>.")
    added("Rows", lambda _: pl.DataFrame({"name": ["x", None], "value": [0.5, float("nan")]}))
    added("Picture", lambda _: go.Figure(go.Scatter(y=[1, 2]), {"title": "Mine"}))
    sections, problems = own_sections(12)
    assert problems == ()
    page = only(own_sections=sections)
    assert "First of 12." in page.text
    assert "Second <b>." in page.text
    assert "x 0.5" in page.text
    assert not re.search(r"\bnan\b", page.text)
    assert {a["id"] for a in page.classed("plot")} >= {"plot-own2"}
    figure = sections[2].figure
    assert figure["layout"]["title"]["text"] == "Mine"
    assert figure["layout"]["paper_bgcolor"] == "clear"


def test_default_colours_give_way_and_chosen_ones_stay(added):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import plotly.express as px
    frame = pl.DataFrame({"x": [1, 2], "kind": ["a", "b"]})
    added("Default", lambda _: px.scatter(frame, x="x", y="x", color="kind"))
    added("Chosen", lambda _: px.scatter(frame, x="x", y="x", color_discrete_sequence=["#123456"]))
    sections, problems = own_sections(None)
    assert problems == ()
    default, chosen = (section.figure["data"] for section in sections)
    assert [trace["marker"]["color"] for trace in default] == ["champion", "benchmark"]
    assert chosen[0]["marker"]["color"] == "#123456"


def test_a_section_that_fails_is_a_sentence(added):
    added("Raises", lambda _: 1 / 0)
    added("Number", lambda _: 5)
    sections, problems = own_sections(None)
    assert sections == ()
    assert problems[0] == (
        "Section 'Raises' failed and was left out: ZeroDivisionError: division by zero."
    )
    assert "got int" in problems[1]
    page = only(problems=problems)
    assert "Something that was added to this study failed." in page.text
    assert "division by zero" in page.text


def test_a_long_table_is_cut_and_says_so():
    frame = pl.DataFrame({"row": range(500)})
    page = only(own_sections=(OwnSection(title="Many", table=frame),))
    assert "Many, the first 200 of 500 rows" in page.text
