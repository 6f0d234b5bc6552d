"""Missing data is an alert too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from windtunnel.monitoring.bars import BarWatch, as_moment, usual_length, usual_patience

START = datetime(2020, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)


def test_an_instrument_that_lacks_bars_is_named() -> None:
    watch = BarWatch(
        "m", "m version 1", ("A", "B"), length=DAY, stale_after=5 * DAY, missing_after=3
    )
    for k in range(3):
        watch.bar(START + k * DAY, {"A"})
    breached = {found.subject: found for found in watch.missing(START) if found.breached}
    assert set(breached) == {"m version 1 B"}
    assert "B had no bar on the last 3 bars" in breached["m version 1 B"].what
    watch.bar(START + 3 * DAY, {"A", "B"})
    assert not any(found.breached for found in watch.missing(START))


def test_no_bars_at_all_are_stale_after_a_while() -> None:
    watch = BarWatch("m", "m version 1", ("A",), length=DAY, stale_after=4 * DAY, missing_after=3)
    assert watch.stale(START) is None
    watch.bar(START, {"A"})
    assert not watch.stale(START + 4 * DAY).breached  # type: ignore[union-attr]
    found = watch.stale(START + 5 * DAY)
    assert found is not None
    assert found.breached
    assert found.subject == "m"
    assert "5 days ago; one was due within 4 days" in found.what


def test_patience_is_three_of_the_longest_gaps() -> None:
    moments = [START, START + DAY, START + 4 * DAY]  # over a weekend
    assert usual_patience(moments) == 9 * DAY
    assert usual_patience([START]) == 3 * DAY


def test_bars_have_the_length_of_most_gaps() -> None:
    moments = [START, START + DAY, START + 2 * DAY, START + 5 * DAY]  # over a weekend
    assert usual_length(moments) == DAY
    assert usual_length([START]) == DAY
    assert usual_length([START, START + timedelta(seconds=1)]) == timedelta(minutes=1)


def test_a_bar_may_be_ahead_of_the_clock_by_its_length() -> None:
    watch = BarWatch("m", "m version 1", ("A",), length=DAY, stale_after=5 * DAY, missing_after=3)
    assert not watch.early(START + DAY, START).breached
    found = watch.early(START + 365 * DAY, START)
    assert found.breached
    assert (found.subject, found.at) == ("m version 1", START)
    assert "a bar of 2021-01-05 00:00 UTC came 365 days before its time" in found.what


def test_timestamps_become_moments() -> None:
    stamp = np.datetime64("1969-12-31T23:59:59.5", "ms")
    assert as_moment(stamp) == datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)
