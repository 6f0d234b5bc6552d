from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank.chart import HEIGHT, POINTS, WIDTH, line_chart

DAYS = np.arange("2020-01-01", "2022-01-01", dtype="datetime64[D]")


def points(svg: str, number: int) -> np.ndarray:
    path = re.search(rf'<path class="c{number}" d="(M[^"]*L[^"]*)"', svg)
    assert path is not None
    pairs = re.findall(r"[ML]([\d.]+) ([\d.]+)", path[1])
    return np.array(pairs, dtype=float)


def test_curves_are_drawn_to_scale() -> None:
    curve = np.linspace(100.0, 200.0, len(DAYS))
    svg = line_chart("A & B", DAYS, {"own": curve, "<held>": 2 * curve})
    root = ElementTree.fromstring(svg)  # noqa: S314 - written here
    assert root.attrib["aria-label"] == "A & B"
    assert "&lt;held&gt;" in svg
    assert len(svg) < 30_000
    own, held = points(svg, 0), points(svg, 1)
    assert len(own) == POINTS
    assert (np.diff(own[:, 0]) > 0).all()
    assert own[:, 0].min() >= 0
    assert own[:, 0].max() <= WIDTH
    assert own[:, 1].min() >= 0
    assert held[:, 1].max() <= HEIGHT
    # All is positive, so the scale is a logarithm: doubling is the same step everywhere.
    steps = own[:, 1] - held[:, 1]
    assert steps == pytest.approx(np.full(POINTS, steps[0]), abs=0.11)
    assert (steps > 0).all()


def test_a_debt_is_drawn_on_a_plain_scale_and_gaps_are_gaps() -> None:
    curve = np.linspace(100.0, -100.0, len(DAYS))
    curve[300:320] = np.nan
    svg = line_chart("x", DAYS, {"own": curve})
    path = re.search(r'<path class="c0" d="(M[^"]*L[^"]*)"', svg)
    assert path is not None
    assert path[1].count("M") == 2
    own = points(svg, 0)
    slope, start = np.polyfit(own[:, 0], own[:, 1], 1)
    assert slope > 0  # down the page
    assert own[:, 1] == pytest.approx(start + slope * own[:, 0], abs=0.15)


def test_the_holdout_is_shaded() -> None:
    curve = np.linspace(1.0, 2.0, len(DAYS))
    svg = line_chart("x", DAYS, {"own": curve}, shaded_from=DAYS[-100])
    (left,) = re.findall(r'<rect class="s" x="([\d.]+)"', svg)
    assert float(left) == pytest.approx(52 + (len(DAYS) - 100) / (len(DAYS) - 1) * 576, abs=0.1)
    assert "<rect" not in line_chart("x", DAYS, {"own": curve})


def test_the_same_curve_gives_the_same_bytes_and_a_flat_one_is_drawn() -> None:
    flat = np.full(len(DAYS), 5.0)
    assert line_chart("x", DAYS, {"a": flat}) == line_chart("x", DAYS, {"a": flat.copy()})
    ElementTree.fromstring(line_chart("x", DAYS, {"a": flat}))  # noqa: S314 - written here


@pytest.mark.parametrize(
    "curves",
    [{}, {"a": np.ones(3)}, {"a": np.full(len(DAYS), np.nan)}, dict.fromkeys("abcd", np.ones(731))],
)
def test_what_cannot_be_drawn_is_refused(curves: dict) -> None:
    with pytest.raises(MemoryBankError, match="curves: "):
        line_chart("x", DAYS, curves)
