"""The picture is valid SVG, shows what it should, and survives odd input."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from windtunnel.monitoring.alerts.condition import Condition
from windtunnel.monitoring.picture import draw, render

NOW = datetime(2020, 1, 1, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def condition(history=(), value: float = 1.0, threshold: float = 0.5, what: str = "x") -> Condition:
    moments = tuple((NOW - timedelta(days=len(history) - k), v) for k, v in enumerate(history))
    return Condition("drift", "a <b> & c", NOW, True, value, threshold, what, "look", moments)


@given(
    st.lists(st.floats(allow_infinity=True, allow_nan=True, width=32), max_size=900),
    st.floats(-1e6, 1e6),
    st.floats(allow_nan=True, width=32),
    st.text(max_size=200).filter(lambda text: all(c.isprintable() for c in text)),
)
def test_any_condition_can_be_drawn(history, value: float, threshold: float, what: str) -> None:
    root = ET.fromstring(render(condition(history, value, threshold, what)))  # noqa: S314 - our own
    (line,) = root.iter(SVG + "polyline")
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert 1 <= len(points) <= 402
    assert all(0 <= x <= 640 and 0 <= y <= 240 for x, y in points)


def test_the_extremes_are_kept_and_the_limit_is_shown() -> None:
    history = [0.0] * 2000
    history[777] = 9.0
    root = ET.fromstring(render(condition(history)))  # noqa: S314 - our own
    (line,) = root.iter(SVG + "polyline")
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert min(heights) < 60
    assert len(list(root.iter(SVG + "line"))) == 1
    assert any(text.text == "9" for text in root.iter(SVG + "text"))


def test_the_same_condition_gives_the_same_file(tmp_path: Path) -> None:
    one, two = draw(condition([1.0, 2.0]), tmp_path), draw(condition([1.0, 2.0]), tmp_path)
    assert one == two
    assert Path(one).name.startswith("20200101T000000Z-drift-a-b-c-")
