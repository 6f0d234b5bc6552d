from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from windtunnel.errors import RunError
from windtunnel.ledger import Ledger, LedgerCohort, LedgerTrial
from windtunnel.span import Span

SPAN = Span.of(["AAPL", "IBM"], "2003-01-02", "2011-03-25")


def trials(*sharpes: float | None, first: int = 0) -> tuple[LedgerTrial, ...]:
    return tuple(
        LedgerTrial(
            number=first + place,
            params={"policy.enter": place / 7},
            state="failed" if sharpe is None else "complete",
            sharpe=sharpe,
        )
        for place, sharpe in enumerate(sharpes)
    )


def cohort(run: str = "demo-1", place: int = 0, **changes: object) -> LedgerCohort:
    base = LedgerCohort(
        run_id=run,
        study="demo",
        study_digest=f"digest of {run}",
        data_fingerprint="bars",
        span=SPAN,
        cohort=place,
        trials=trials(0.5, None, -0.25, first=3 * place),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "runs" / "ledger.jsonl")


def on_span(ledger: Ledger, **options: str) -> tuple[int, list[float]]:
    found = ledger.trials_on(["IBM"], "2010-01-01", "2010-02-01", **options)
    return found.count, found.sharpes.tolist()


def test_an_empty_ledger(ledger: Ledger) -> None:
    assert ledger.cohorts() == []
    assert ledger.summary() == []
    found = ledger.trials_on(["A"], "2000-01-01", "2001-01-01")
    assert (found.count, found.sharpes.shape, found.sharpes.dtype, found.runs) == (
        0,
        (0,),
        np.float64,
        (),
    )


def test_cohorts_come_back_as_they_were_added(ledger: Ledger) -> None:
    added = [cohort(), cohort(place=1), cohort("other-2", study="other")]
    assert all(ledger.append(each) for each in added)
    assert ledger.cohorts() == added


def test_a_cohort_added_again_counts_once(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(cohort())
    ledger.append(cohort(place=1))
    before = (tmp_path / "runs" / "ledger.jsonl").read_bytes()
    assert not ledger.append(cohort())
    assert not Ledger(tmp_path / "runs" / "ledger.jsonl").append(cohort(place=1))
    assert (tmp_path / "runs" / "ledger.jsonl").read_bytes() == before


def test_what_others_add_meanwhile_is_seen(ledger: Ledger, tmp_path: Path) -> None:
    """A ledger remembers how far it was read; lines behind that are read, whoever wrote them."""
    path = tmp_path / "runs" / "ledger.jsonl"
    for place in range(4):
        assert ledger.append(cohort(place=place))
        assert Ledger(path).append(cohort("other-2", place))
        assert Ledger(path).append(cohort(place=place + 10))
        assert not ledger.append(cohort(place=place + 10))
        assert not ledger.append(cohort("other-2", place))
    assert len(ledger.cohorts()) == 12


def test_a_ledger_that_was_cut_short_is_read_again(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "ledger.jsonl"
    for place in range(3):
        ledger.append(cohort(place=place))
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert not ledger.append(cohort())
    assert ledger.append(cohort(place=2))
    assert [each.cohort for each in ledger.cohorts()] == [0, 2]


def test_a_cohort_with_other_results_was_tried_too(ledger: Ledger) -> None:
    """A run started afresh, in another environment, made further trials."""
    ledger.append(cohort())
    assert ledger.append(cohort(trials=trials(0.5, None, -0.2)))
    assert on_span(ledger)[0] == 6


def test_a_run_whose_name_holds_that_of_another_is_another(ledger: Ledger) -> None:
    ledger.append(cohort("demo-1"))
    assert ledger.append(cohort("demo-1\n", study_digest="digest of demo-1"))
    assert ledger.append(cohort('"demo-1"', study_digest="digest of demo-1"))
    assert len(ledger.cohorts()) == 3


def test_another_seed_adds_to_the_count(ledger: Ledger) -> None:
    ledger.append(cohort())
    assert on_span(ledger) == (3, [0.5, -0.25])
    ledger.append(cohort("demo-2", trials=trials(0.9, 0.1)))
    assert on_span(ledger) == (5, [0.5, -0.25, 0.9, 0.1])
    assert on_span(ledger, leave_out="demo-2") == (3, [0.5, -0.25])


def test_only_overlapping_data_count(ledger: Ledger) -> None:
    ledger.append(cohort())
    ledger.append(cohort("later", span=Span.of(["IBM"], "2011-03-26", "2012-01-01")))
    ledger.append(cohort("elsewhere", span=Span.of(["MSFT"], "2003-01-02", "2011-03-25")))
    found = ledger.trials_on(["IBM", "GOOG"], "1990-01-01", "2003-01-02")
    assert found.runs == ("demo-1",)
    assert ledger.trials_on(["IBM"], "2011-01-01", "2012-01-01").runs == ("demo-1", "later")
    assert ledger.trials_on(["MSFT"], "2004-01-01", "2004-01-01").runs == ("elsewhere",)


def test_an_exact_repeat_gives_chance_no_second_opportunity(ledger: Ledger) -> None:
    ledger.append(cohort("demo-1"))
    ledger.append(cohort("copy", study_digest="digest of demo-1"))
    ledger.append(cohort("seed-2"))
    found = ledger.trials_on(["IBM"], "2010-01-01", "2010-02-01")
    assert found.count == 9
    assert found.without_repeats().count == 6
    assert found.without_repeats().runs == ("demo-1", "seed-2")


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_an_undefined_sharpe_is_null_but_the_trial_counts(
    ledger: Ledger, tmp_path: Path, value: float | None
) -> None:
    ledger.append(cohort(trials=(LedgerTrial(0, {}, "complete", value),)))
    line = json.loads((tmp_path / "runs" / "ledger.jsonl").read_text())
    assert line["trials"][0]["sharpe"] is None
    assert on_span(ledger) == (1, [])


def test_numpy_numbers_are_taken(ledger: Ledger) -> None:
    odd = LedgerTrial(np.int64(3), {"a": np.float64(0.1)}, "complete", np.float64(0.3))  # type: ignore[arg-type]
    ledger.append(cohort(trials=(odd,)))
    assert not ledger.append(cohort(trials=(LedgerTrial(3, {"a": 0.1}, "complete", 0.3),)))


def test_deleting_runs_does_not_shrink_it(ledger: Ledger, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "demo-1"
    run.mkdir(parents=True)
    ledger.append(cohort())
    shutil.rmtree(run)
    assert on_span(ledger)[0] == 3


def test_a_torn_last_line_warns_and_the_rest_counts(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(cohort())
    ledger.append(cohort(place=1))
    path = tmp_path / "runs" / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.warns(UserWarning, match="project ledger .* line 2 was left unfinished"):
        assert on_span(ledger)[0] == 3
    with pytest.warns(UserWarning, match="line 2"):
        assert ledger.append(cohort(place=1))
    assert on_span(ledger)[0] == 6


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"trials": None}, "TypeError"),
        ({"format": 9}, "format 9 is not 1"),
        ({"cohort": "first"}, "ValueError"),
    ],
)
def test_a_line_that_is_no_cohort_is_named(
    ledger: Ledger, tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    for place in range(3):
        ledger.append(cohort(place=place))
    path = tmp_path / "runs" / "ledger.jsonl"
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | change)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RunError, match=rf"project ledger .*, line 2: is not a cohort .*{problem}"):
        on_span(ledger)


def test_summary_has_a_row_a_run(ledger: Ledger) -> None:
    ledger.append(cohort())
    ledger.append(cohort(place=1, trials=trials(1.5, first=3)))
    ledger.append(cohort("none", study="other", trials=trials(None)))
    assert ledger.summary() == [
        {
            "run": "demo-1",
            "study": "demo",
            "start": "2003-01-02",
            "end": "2011-03-25",
            "instruments": 2,
            "trials": 4,
            "failed": 1,
            "best_sharpe": 1.5,
        },
        {
            "run": "none",
            "study": "other",
            "start": "2003-01-02",
            "end": "2011-03-25",
            "instruments": 2,
            "trials": 1,
            "failed": 1,
            "best_sharpe": None,
        },
    ]


def test_two_processes_add_the_same_run_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    code = (
        "import sys; from pathlib import Path\n"
        "from windtunnel.ledger import Ledger, LedgerCohort, LedgerTrial\n"
        "from windtunnel.span import Span\n"
        "span = Span.of(['A'], '2000-01-01', '2001-01-01')\n"
        "trials = tuple(LedgerTrial(n, {'x': n / 3}, 'complete', 0.1) for n in range(64))\n"
        "for place in range(20):\n"
        "    for run in ('shared', sys.argv[2]):\n"
        "        Ledger(Path(sys.argv[1])).append(\n"
        "            LedgerCohort(run, 's', 'd', 'f', span, place, trials))\n"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), f"own-{number}"])
        for number in range(2)
    ]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    found = [(each.run_id, each.cohort) for each in Ledger(path).cohorts()]
    assert sorted(found) == sorted(
        (run, place) for run in ("shared", "own-0", "own-1") for place in range(20)
    )


def test_ratios_are_compared_by_the_calendar(ledger: Ledger) -> None:
    """The same returns, annualised with 252 and, by mistake, with 98,280 bars a year."""
    bars = 2_075  # of SPAN: 252 a year
    a_bar = np.array([0.03, -0.01])
    for run, year in (("right", 252.0), ("wrong", 98_280.0)):
        ledger.append(
            cohort(run, bars=bars, periods_per_year=year, trials=trials(*(a_bar * year**0.5)))
        )
    assert ledger.cohorts()[1].periods_per_year == 98_280.0
    _, found = on_span(ledger)
    assert found[:2] == pytest.approx(found[2:])
    assert found[:2] == pytest.approx(a_bar * 252**0.5, rel=0.01)


def test_older_lines_are_taken_at_their_word(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(cohort(trials=trials(0.5)))
    assert "bars" not in json.loads((tmp_path / "runs" / "ledger.jsonl").read_text())
    assert on_span(ledger) == (1, [0.5])


def test_trials_are_told_by_run(ledger: Ledger) -> None:
    ledger.append(cohort("one"))
    ledger.append(cohort("one", 1))
    ledger.append(cohort("two", trials=trials(0.1)))
    found = ledger.trials_on(["IBM"], "2010-01-01", "2010-02-01")
    assert found.by_run == ("6 trials of run one", "1 trial of run two")
