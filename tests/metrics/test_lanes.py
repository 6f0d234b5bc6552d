from __future__ import annotations

import pytest

from windtunnel.metrics.lanes import over_lanes


@pytest.mark.parametrize("threads", [1, 2, 5, None])
@pytest.mark.parametrize("lanes", [0, 1, 7, 8, 9, 100])
def test_every_lane_is_covered_once_in_whole_tiles(lanes: int, threads: int | None) -> None:
    ranges: list[tuple[int, int]] = []
    over_lanes(lambda start, stop: ranges.append((start, stop)), lanes, width=8, threads=threads)
    covered = sorted(lane for start, stop in ranges for lane in range(start, stop))
    assert covered == list(range(lanes))
    assert all(start % 8 == 0 and start < stop for start, stop in ranges)


def test_a_failure_in_a_thread_is_raised() -> None:
    def fail(start: int, stop: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        over_lanes(fail, 100, width=8, threads=3)
