from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from windtunnel.errors import ReportError
from windtunnel.reports import front
from windtunnel.reports.data import Further, ReportData
from windtunnel.reports.html import render

from .sample import report_data, trial_table

TURNOVER = Further(name="turnover", minimised=True)
RETURN = Further(name="total_return", minimised=False)


def several(*further: Further, count: int = 60, failed: int = 2) -> ReportData:
    table = trial_table(count, failed)
    draw = np.random.default_rng(8)
    turnover = [None, *draw.uniform(1, 40, count - 1)]
    table = table.with_columns(
        turnover=pl.Series(turnover), total_return=pl.Series(draw.normal(0, 1, count))
    )
    return report_data(trials_table=table, trials=count, failed=failed, further=further)


def points(data: ReportData, place: int) -> dict[str, list[tuple[float, float]]]:
    figure = list(front.pictures(data).values())[place]
    return {
        trace["name"]: list(zip(trace["x"], trace["y"], strict=True)) for trace in figure["data"]
    }


def test_the_front_is_what_none_beats_in_both() -> None:
    data = several(TURNOVER)
    drawn = points(data, 0)
    every = drawn["Other trials"] + drawn["Pareto front"]
    assert len(every) == 58  # without the failed
    for x, y in drawn["Pareto front"]:
        assert not any(a <= x and b >= y and (a, b) != (x, y) for a, b in every)
    for x, y in drawn["Other trials"]:
        assert any(a <= x and b >= y and (a, b) != (x, y) for a, b in every)
    # One that never traded turned nothing over, as the sampler was told: nothing beats that.
    assert 0.0 in [x for x, _ in drawn["Pareto front"]]
    stair = front.pictures(data)["turnover"]["data"][1]
    assert (stair["mode"], stair["line"]["shape"]) == ("lines+markers", "hv")
    assert stair["y"] == sorted(stair["y"])


def test_of_three_objectives_all_count_and_each_has_a_picture() -> None:
    data = several(TURNOVER, RETURN)
    assert list(front.pictures(data)) == ["turnover", "total_return"]
    table = front.judged(data)
    values = table.select("objective", -pl.col("turnover"), "total_return").to_numpy()
    expected = [
        not any((other >= own).all() and (other > own).any() for other in values) for own in values
    ]
    assert table["front"].to_list() == expected
    assert 10 < sum(expected) < 58
    assert all("line" not in t for f in front.pictures(data).values() for t in f["data"])


def test_the_table_lists_the_front_from_its_first_objective_down() -> None:
    data = several(TURNOVER)
    table = front.table(data)
    assert table is not None
    wanted = front.judged(data).filter("front").sort("objective", descending=True)["number"]
    numbers = [int(re.sub(r"\D", "", row[0])) for row in table.rows]
    assert numbers == wanted.head(front.LISTED).to_list()
    assert [column.unit for column in table.columns[1:3]] == ["more is better", "less is better"]


def test_the_page_shows_the_front_of_several_objectives_only() -> None:
    page = render(several(TURNOVER, RETURN))
    assert page.count('id="plot-front') == 2
    assert "The Pareto front: " in page
    alone = render(report_data())
    assert "Pareto" not in re.sub(r"<script.*?</script>", "", alone, flags=re.DOTALL)


def test_a_missing_objective_is_named() -> None:
    with pytest.raises(ReportError, match=r"columns \['turnover'\] are missing"):
        report_data(further=(TURNOVER,))


def test_a_large_study_is_thinned() -> None:
    data = several(TURNOVER, count=4000, failed=0)
    (figure,) = front.pictures(data).values()
    assert all(len(trace["x"]) <= front.DRAWN for trace in figure["data"])
