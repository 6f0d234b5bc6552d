from __future__ import annotations

from datetime import UTC, datetime

import pytest

from windtunnel.reports.formats import missing, moment, number


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.8213, "percent", "82.1%"),
        (-0.0004, "percent", "0.0%"),
        (-0.153, "percent", "−15.3%"),
        (12.3456, "percent", "1,234.6%"),
        (1e12, "percent", "1.00e+14%"),
        (-1.005, "ratio", "−1.00"),
        (0.4123, "probability", "0.412"),
        (0.0001, "probability", "&lt; 0.001"),
        (0.99996, "probability", "&gt; 0.999"),
        (1.0, "probability", "1.000"),
        (0, "probability", "0.000"),
        (12345, "count", "12,345"),
        (252.0, "plain", "252"),
        (0.00012345, "plain", "0.0001234"),
    ],
)
def test_each_unit_has_one_look(value, unit, text):
    assert number(value, unit) == text


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_a_dash_with_a_reason(value):
    text = number(value, "ratio", 'because "x" < y')
    assert "–" in text
    assert 'title="because &#34;x&#34; &lt; y"' in text
    assert text == missing('because "x" < y')


def test_times_are_dates_when_bars_are_daily():
    when = datetime(2013, 3, 2, 14, 5, tzinfo=UTC)
    assert moment(when, dates_only=True) == "2013-03-02"
    assert moment(when, dates_only=False) == "2013-03-02 14:05"
