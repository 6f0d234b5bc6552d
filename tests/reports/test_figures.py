from __future__ import annotations

import json
import re
import warnings

import numpy as np
import polars as pl
import pytest

from windtunnel.errors import ReportError
from windtunnel.reports import drawing, figures, html, luck_figures, trial_figures

from .sample import report_data


def resolved(value, key=""):
    """A figure with its colour names replaced by a colour, as the page does it."""
    if isinstance(value, str):
        return "#123456" if key.endswith(("color", "colorway")) else value
    if isinstance(value, list):
        return [resolved(item, key) for item in value]
    if isinstance(value, dict):
        return {name: resolved(item, name) for name, item in value.items()}
    return value


def colours(value, key=""):
    if isinstance(value, str):
        return {value} if key.endswith(("color", "colorway")) else set()
    if isinstance(value, list):
        return set().union(*(colours(item, key) for item in value), set())
    if isinstance(value, dict):
        return set().union(*(colours(item, name) for name, item in value.items()), set())
    return set()


def test_plotly_accepts_every_figure():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # plotly's import is not under test
        import plotly.graph_objects as go
    for name, figure in html.pictures(report_data()).items():
        assert go.Figure(resolved(figure)).data, name
        json.dumps(figure, allow_nan=False)
    with pytest.raises(ValueError, match="nonsense"):
        go.Figure({"data": [{"type": "scatter", "nonsense": 1}]})


def test_every_colour_is_a_variable_of_the_style_sheet_in_both_themes():
    css = html._own("report.css")
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)")
    names = {name.split("/")[0] for name in colours(html.pictures(report_data()))}
    assert {"champion", "benchmark", "cash", "luck", "shade4"} <= names
    for name in names:
        assert f"--{name}:" in light, name
    own = set(re.findall(r"--([\w-]+):", dark.split("}")[0]))
    assert set(re.findall(r"--([\w-]+):", light)) - own == {"clear"}


def luminance(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_text_and_lines_have_contrast(theme):
    css = html._own("report.css").split("@media screen and (prefers-color-scheme: dark)")[theme]
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css.split("* {")[0]))
    for name in ("text", "muted", "champion", "benchmark", "cash", "luck"):
        for ground in ("card", "page"):
            assert contrast(colour[name], colour[ground]) >= 4.5, (name, ground)
    for band in ("no-edge", "weak", "candidate"):
        assert contrast(colour["text"], colour[band]) >= 7, band
        assert contrast(colour["muted"], colour[band]) >= 4.5, band
    assert contrast(colour["dots"], colour["card"]) >= 3


def test_holdout_is_chained_onto_the_last_value_and_shaded():
    data = report_data()
    figure = figures.equity(data)
    champion = next(t for t in figure["data"] if t["name"] == "Champion")
    ending = data.champion_equity[-1] * data.holdout.champion_equity[-1] / data.initial_cash
    assert champion["y"][-1] == pytest.approx(ending, rel=1e-5)
    (band,) = [s for s in figure["layout"]["shapes"] if s["type"] == "rect"]
    assert band["x0"] == "2011-01-10"
    assert [n["text"] for n in figure["layout"]["annotations"]][-1] == "holdout"
    assert sum(s["type"] == "line" for s in figure["layout"]["shapes"]) == 5


def test_drawdown_counts_from_the_initial_cash():
    found = drawing.drawdown(np.array([90.0, 120.0, 60.0]), 100.0)
    np.testing.assert_allclose(found, [-0.1, 0.0, -0.5])


def test_thinning_keeps_ends_and_extremes():
    curve = np.sin(np.arange(100_000) / 1000.0)
    curve[54_321], curve[77_777] = -9.0, 9.0
    at = drawing.thin([curve, -curve], limit=400)
    assert at.size <= 402
    assert {0, 54_321, 77_777, 99_999} <= set(at.tolist())
    assert (np.diff(at) > 0).all()
    assert drawing.thin([curve[:50]], limit=400).tolist() == list(range(50))


@pytest.mark.parametrize(
    ("low", "high"),
    [(9e4, 1.6e5), (4e4, 2.4e5), (1e4, 1e7), (1e-6, 0.1), (9.7e4, 1.03e5), (1, 1e20)],
)
def test_log_ticks_are_few_and_inside(low, high):
    ticks = drawing.log_ticks(low, high)
    assert 4 <= len(ticks) <= 10
    assert all(low <= tick <= high for tick in ticks)


def test_drawn_trials_hold_the_best_and_the_champion():
    data = report_data(trials=3000, failed=200)
    table = trial_figures.drawn(data)
    assert table.height <= trial_figures.DRAWN
    assert table.height > 900
    best = trial_figures.finished(data).sort("objective", descending=True)["number"]
    assert set(best.head(trial_figures.BEST)) <= set(table["number"])
    last = data.trials.height - 1
    other = report_data(trials=3000, failed=0, champion=last)
    assert last in trial_figures.drawn(other)["number"]


def test_parallel_lines_run_through_each_trial_once():
    data = report_data(trials=40, failed=4)
    figure = trial_figures.parallel(data)
    lines = [t for t in figure["data"] if t["mode"] == "lines"]
    points = len(data.dimensions) + 2  # with the objective and the gap
    assert sum(len(t["y"]) for t in lines) == 36 * points
    assert all(0 <= y <= 1 for t in lines for y in t["y"] if y is not None)
    assert figure["data"][-1]["line"]["color"] == "champion"


def test_slices_use_log_axes_where_the_search_did():
    found = trial_figures.slices(report_data())
    kinds = {name: figure["layout"]["xaxis"].get("type") for name, figure in found.items()}
    assert kinds["training.learning_rate"] == kinds["training.weight_decay"] == "log"
    assert kinds["policy.enter"] is None
    assert all(len(figure["data"][1]["x"]) == 1 for figure in found.values())


def test_luck_counts_every_trial_and_marks_the_expected_maximum():
    data = report_data(trials=3000, failed=200)
    figure = luck_figures.luck(data)
    assert sum(figure["data"][0]["y"]) == 2800
    marks = {s["line"]["color"]: s["x0"] for s in figure["layout"]["shapes"]}
    assert marks["luck"] == 0.61
    assert marks["champion"] == pytest.approx(data.champion_metrics["sharpe"])
    low, high = figure["layout"]["xaxis"]["range"]
    assert all(low < x < high for x in marks.values())


def test_equal_sharpe_ratios_make_one_bar():
    data = report_data(trials=10, failed=0)
    flat = report_data(trials_table=data.trials.with_columns(sharpe=pl.lit(0.5)), trials=10)
    assert len(luck_figures.luck(flat)["data"][0]["y"]) == 1


def test_trials_without_sharpe_leave_the_luck_picture_out():
    data = report_data(trials=10, failed=0)
    assert (
        luck_figures.luck(report_data(trials=10, trials_table=data.trials.drop("sharpe"))) is None
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"champion_equity": np.ones(3)}, "champion_equity: must have one value a bar"),
        ({"timestamps": np.empty(0, "datetime64[us]")}, "timestamps: is empty"),
        ({"trials_table": pl.DataFrame({"number": [1]})}, "trials: columns .* are missing"),
        ({"champion": 99_999}, "champion: trial 99999 is not among"),
        ({"champion": 255}, "champion: trial 255 .* or has no objective"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, words):
    with pytest.raises(ReportError, match=words):
        report_data(**changes)
