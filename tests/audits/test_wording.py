"""How far a figure moved, in words that fit the figures."""

from __future__ import annotations

import math

import pytest

from windtunnel.audits.wording import change, spread


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (1.0, 0.5, "50% of it is gone"),
        (1.0, 0.95, "hardly matters"),
        (1.0, -0.2, "nothing of it is left"),
        (1.0, 1.4, "not worse"),
        (-0.3, -0.5, "no gain to lose"),
        (math.nan, 0.5, "hardly traded"),
    ],
)
def test_change(before, after, words):
    assert words in change(before, after)


@pytest.mark.parametrize(
    ("own", "others", "words"),
    [
        (1.0, [0.2, 0.4], "part of it may be luck"),
        (0.1, [0.2, 0.4], "less than any"),
        (0.3, [0.2, 0.4], "among them"),
        (0.3, [math.nan], "hardly traded"),
        (0.3, [0.78], "With one other seed the champion's Sharpe ratio is 0.78, above it"),
    ],
)
def test_spread(own, others, words):
    assert words in spread(own, others, "seeds")
