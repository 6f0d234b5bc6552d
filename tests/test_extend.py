from __future__ import annotations

import doctest

import numpy as np
import pytest

from windtunnel import extend
from windtunnel.errors import MetricError

EQUITY = np.array([[110.0, 90.0], [120.0, 80.0]])


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = {each.name for each in extend.registered(*extend.KINDS)}
    yield
    for each in extend.registered(*extend.KINDS):
        if each.name not in before:
            extend.forget(each.name)


def cohort(lanes=2):
    return extend.Cohort(
        params=({"policy.enter": 0.1},) * lanes,
        scores=np.zeros((4, 1, lanes), np.float32),
        labels=np.zeros((4, 1), np.float32),
        equity=np.full((4, lanes), 100.0),
        closes=np.ones((4, 1)),
        folds=((0, 2), (2, 4)),
        timestamps=np.arange(4).astype("datetime64[D]"),
        symbols=("A",),
        initial=100.0,
        periods_per_year=252.0,
    )


def test_a_step_sees_the_cohort_and_cannot_change_it():
    @extend.step("opinions", unit="count", meaning="how often it had an opinion")
    def opinions(seen):
        assert seen.folds == ((0, 2), (2, 4))
        return np.isfinite(seen.scores).sum(axis=(0, 1))

    @extend.step("cheats")
    def cheats(seen):
        seen.equity[-1] *= 2
        return seen.equity[-1]

    columns, problems = extend.take_steps(cohort(), ())
    assert columns["opinions"].tolist() == [4.0, 4.0]
    (problem,) = problems
    assert "Step 'cheats' failed and was left out: ValueError" in problem
    assert "read-only" in problem


def test_tests_pass_fail_or_are_told_of():
    extend.test("plain", "Is it so?")(lambda _: np.bool_(True))
    extend.test("refutes", "Is it more than 3?")(
        lambda evidence: (evidence > 3, f"{evidence} is too little.")
    )
    extend.test("numbers", "What?")(lambda _: 0.5)
    outcomes, problems = extend.put_to_tests(2)
    assert outcomes == (("plain", True, "Is it so?"), ("refutes", False, "2 is too little."))
    assert "Test 'numbers' failed and was left out: TypeError" in problems[0]
    assert "got 0.5" in problems[0]


def test_a_metric_measures_all_trials_in_one_call():
    calls = []

    @extend.metric("gain", unit="percent", meaning="of the cash")
    def gain(equity, initial, periods_per_year):
        calls.append((equity.shape, periods_per_year))
        equity /= initial  # its own copy
        return equity[-1] - 1

    columns, problems = extend.measure(EQUITY, 100.0, 252.0, ())
    assert columns["gain"] == pytest.approx([0.2, -0.2])
    assert problems == ()
    assert calls == [((2, 2), 252.0)]
    assert EQUITY[0, 0] == 110.0
    assert gain(EQUITY.copy(), 100.0, 1.0) == pytest.approx([0.2, -0.2])
    added = extend.registered("metric")[-1]
    assert (added.name, added.unit, added.meaning) == ("gain", "percent", "of the cash")


def test_what_fails_is_left_out_and_said():
    extend.metric("raises")(lambda *_: 1 / 0)
    extend.metric("short")(lambda *_: np.zeros(3))
    extend.metric("words")(lambda *_: ["a", "b"])
    extend.metric("sharpe")(lambda *_: np.zeros(2))
    extend.metric("infinite")(lambda *_: np.array([np.inf, 1.0]))
    columns, problems = extend.measure(EQUITY, 100.0, 252.0, ("sharpe",))
    assert list(columns) == ["infinite"]
    assert np.isnan(columns["infinite"][0])
    assert [problem.split("'")[1] for problem in problems] == ["raises", "short", "words", "sharpe"]
    assert "ZeroDivisionError: division by zero" in problems[0]
    assert "shape (2,), got (3,)" in problems[1]
    assert "column of that name" in problems[3]


def test_statistics_get_the_returns_and_the_champion():
    extend.statistic("best")(lambda returns, champion, _: returns[:, champion].max())
    extend.statistic("none")(lambda *_: float("nan"))
    extend.statistic("dsr")(lambda *_: 1.0)
    extend.statistic("raises")(lambda *_: {}["nothing"])
    figures, problems = extend.weigh(EQUITY, 1, 252.0, {"dsr": 0.5})
    assert figures == {"best": 90.0, "none": None}
    assert len(problems) == 2
    assert "already one of that name" in problems[0]
    assert "KeyError" in problems[1]


@pytest.mark.parametrize("name", ["", "Upper", "two words", "1st"])
def test_names_are_columns(name):
    with pytest.raises(MetricError, match="lower case letters, digits and underscores"):
        extend.metric(name)


def test_a_name_is_taken_once():
    extend.section("Notes")(lambda _: "")
    with pytest.raises(MetricError, match="registered already, as a section"):
        extend.section("Notes")(lambda _: "")
    extend.forget("Notes")
    extend.forget("Notes")
    assert extend.registered("section") == ()
    with pytest.raises(MetricError, match="a title"):
        extend.section(" ")


def test_the_example_of_the_module_runs():
    assert doctest.testmod(extend).failed == 0


def test_a_file_is_run_for_what_it_registers(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from windtunnel import extend\n"
        "@extend.section('From a file')\n"
        "def words(found):\n    return __name__\n"
    )
    (added,) = extend.load(path)
    assert added.name == "From a file"
    assert added.function(None) == "windtunnel_extension"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "FileNotFoundError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(", "SyntaxError"),
        ("x = 1", "registers nothing"),
        ("from windtunnel import extend\nextend.metric('No')", "lower case"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(MetricError, match=message):
        extend.load(path)
