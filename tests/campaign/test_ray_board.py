"""The queue of a Ray study without Ray: nothing is lost, nothing counts twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from windtunnel.ray_board import Board


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    board = Board(grace=10.0, clock=clock)
    for worker, pid in (("a", 1), ("b", 2)):
        board.enter(worker, pid)
    return board


def tasks(*names: str) -> Any:
    return [(name, 0, []) for name in names]


def taken(board: Board, worker: str, pid: int) -> tuple[int, str]:
    order, work = board.take(worker, pid)
    assert order == "work"
    ticket, (name, _, _) = work
    return ticket, name


def test_parts_come_back_in_their_places(board: Board) -> None:
    board.want(tasks("x", "y"))
    first, second = taken(board, "a", 1), taken(board, "b", 2)
    assert taken(board, "a", 1) == first  # an answer that was lost is given once more
    board.give("b", second[0], second[1])  # type: ignore[arg-type]  # a name does for a result
    assert board.state().done == 1
    board.give("a", first[0], first[1])  # type: ignore[arg-type]
    assert board.collect() == {0: "x", 1: "y"}


def test_the_part_of_one_that_came_again_is_wanted_once_more(board: Board) -> None:
    board.want(tasks("x", "y"))
    taken(board, "a", 1)
    board.enter("a", 7)
    assert board.take("a", 1) == ("wait", None)  # the process that was replaced
    assert taken(board, "b", 2)[1] == "x"


def test_the_part_of_a_silent_one_goes_to_another(board: Board, clock: Clock) -> None:
    board.want(tasks("x"))
    late, _ = taken(board, "a", 1)
    clock.now = 9.0
    board.beat("a", 1)
    clock.now = 18.0
    board.state()
    assert board.take("b", 2) == ("wait", None)  # `a` is busy, not silent
    clock.now = 19.5
    board.state()
    again, name = taken(board, "b", 2)
    assert (again, name) == (late, "x")
    board.give("a", late, "of a")  # type: ignore[arg-type]  # it was alive after all
    board.give("b", again, "of b")  # type: ignore[arg-type]
    assert board.collect() == {0: "of a"}
    assert board.state().done == 1


def test_one_given_late_is_not_assessed_again(board: Board, clock: Clock) -> None:
    board.want(tasks("x"))
    late, _ = taken(board, "a", 1)
    clock.now = 11.0
    board.state()
    board.give("a", late, "of a")  # type: ignore[arg-type]
    assert board.take("b", 2) == ("wait", None)


def test_a_result_of_an_earlier_cohort_is_not_heard(board: Board, clock: Clock) -> None:
    board.want(tasks("x"))
    late, _ = taken(board, "a", 1)
    clock.now = 11.0
    board.state()
    board.give("b", taken(board, "b", 2)[0], "of b")  # type: ignore[arg-type]
    board.want(tasks("y"))
    board.give("a", late, "of a")  # type: ignore[arg-type]
    assert board.state().done == 0
    assert taken(board, "a", 1)[1] == "y"


def test_silence_is_that_of_all_together(board: Board, clock: Clock) -> None:
    clock.now = 5.0
    board.beat("a", 1)
    board.beat("b", 99)  # no process that is known
    clock.now = 8.0
    assert board.state().silence == 3.0


def test_closed_sends_everybody_home(board: Board) -> None:
    board.want(tasks("x"))
    board.close()
    assert board.take("a", 1) == ("end", None)


class Crowd(RuleBasedStateMachine):
    """Workers take, die, fall silent and give late; every part of every cohort is told once."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.board = Board(grace=10.0, clock=self.clock)
        self.pids = {name: at for at, name in enumerate("abc")}
        self.hands: list[tuple[str, int, Any]] = []  # what anybody ever took and may still give
        self.cohort = 0
        for worker, pid in self.pids.items():
            self.board.enter(worker, pid)
        self.board.want(self.parts())

    def parts(self) -> Any:
        return [((self.cohort, place), self.cohort, []) for place in range(3)]

    @rule(worker=st.sampled_from("abc"))
    def take(self, worker: str) -> None:
        order, work = self.board.take(worker, self.pids[worker])
        if order == "work":
            self.hands.append((worker, work[0], work[1][0]))

    @rule(data=st.data())
    def give(self, data: st.DataObject) -> None:
        if self.hands:
            self.board.give(*data.draw(st.sampled_from(self.hands)))

    @rule(worker=st.sampled_from("abc"))
    def die(self, worker: str) -> None:
        self.pids[worker] += 10
        self.board.enter(worker, self.pids[worker])

    @rule(seconds=st.floats(0.0, 20.0))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.board.state()

    @rule()
    def next_cohort(self) -> None:
        if self.board.state().done == 3:
            self.cohort += 1
            self.board.want(self.parts())

    @invariant()
    def results_are_of_this_cohort_and_in_their_places(self) -> None:
        assert all(found == (self.cohort, place) for place, found in self.board.collect().items())

    def teardown(self) -> None:
        """Whatever happened, one worker that lives on finishes the cohort."""
        self.clock.now += 11.0
        for _ in range(6):
            self.board.state()
            order, work = self.board.take("a", self.pids["a"])
            if order == "work":
                self.board.give("a", work[0], work[1][0])
        assert self.board.collect() == {place: (self.cohort, place) for place in range(3)}


TestCrowd = Crowd.TestCase
TestCrowd.settings = settings(stateful_step_count=30)
