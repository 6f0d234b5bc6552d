from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windtunnel.errors import DataError, HoldoutSealedError, RunError
from windtunnel.holdout import HoldoutLook, HoldoutRegister, open_holdout

SYMBOLS = ("AAPL", "IBM")
START, END = np.datetime64("2011-03-28", "us"), np.datetime64("2013-03-27", "us")


@pytest.fixture
def register(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "holdout.jsonl"


def look(
    register: Path, run: str, reason: str | None = None, *, model: str = "m", tried: Any = ()
) -> HoldoutLook:
    return open_holdout(
        register, run, SYMBOLS, START, END, model=model, tried=tried, force_reason=reason
    )


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def test_a_first_look_is_recorded_and_unforced(register: Path) -> None:
    granted = look(register, "first")
    (line,) = [json.loads(text) for text in register.read_text().splitlines()]
    assert line == {
        "run": "first",
        "format": 1,
        "looked": granted.record.looked,
        "symbols": ["AAPL", "IBM"],
        "start": "2011-03-28T00:00:00.000000Z",
        "end": "2013-03-27T00:00:00.000000Z",
        "forced": False,
        "reason": None,
        "model": "m",
        "tried": [],
    }
    looked = datetime.fromisoformat(line["looked"])
    assert abs((datetime.now(UTC) - looked).total_seconds()) < 60
    assert granted.earlier == ()
    assert granted.seal == f"sealed until this run read it, once, on {today()}"


def test_a_reason_given_for_a_first_look_forces_nothing(register: Path) -> None:
    assert not look(register, "first", "just in case").record.forced


def test_a_second_run_is_refused_and_told_by_whom(register: Path) -> None:
    look(register, "first")
    with pytest.raises(HoldoutSealedError) as refused:
        look(register, "second")
    text = str(refused.value)
    assert "2011-03-28 to 2013-03-27 of AAPL, IBM" in text
    assert f"by run first on {today()}" in text
    assert "give a reason to look again" in text
    assert len(register.read_text().splitlines()) == 1


@pytest.mark.parametrize("reason", ["", "   ", None])
def test_a_blank_reason_forces_nothing(register: Path, reason: str | None) -> None:
    look(register, "first")
    with pytest.raises(HoldoutSealedError):
        look(register, "second", reason)


def test_a_forced_look_is_recorded_and_shown(register: Path) -> None:
    look(register, "first")
    granted = look(register, "second", " data were mended ")
    assert granted.record.forced
    assert granted.record.reason == "data were mended"
    assert granted.earlier == (f"run first on {today()}",)
    assert granted.seal == (
        f"broken: 1 earlier look, by run first on {today()}; "
        f"read again on {today()} by force (reason: data were mended)"
    )
    third = look(register, "third", "once more")
    assert third.earlier == (
        f"run first on {today()}",
        f"run second on {today()} (forced: data were mended)",
    )
    with pytest.raises(HoldoutSealedError, match=r"by run first on .*, and 2 later"):
        look(register, "fourth")


def test_the_same_run_may_look_again_and_is_recorded_once(register: Path) -> None:
    first = look(register, "first")
    forced = look(register, "second", "why not")
    before = register.read_bytes()
    assert look(register, "first") == first
    assert look(register, "second") == forced  # after a crash nobody repeats the reason
    assert register.read_bytes() == before


def test_the_same_run_may_not_widen_its_look(register: Path) -> None:
    look(register, "first")
    with pytest.raises(HoldoutSealedError, match="by run first"):
        open_holdout(register, "first", (*SYMBOLS, "MSFT"), START, END, model="m")


@pytest.mark.parametrize(
    ("symbols", "start", "end"),
    [
        (["MSFT"], "2011-03-28", "2013-03-27"),
        (["IBM"], "2013-03-28", "2014-03-27"),
        (["IBM"], "2009-01-01", "2011-03-27"),
    ],
)
def test_bars_that_nobody_read_are_still_sealed(
    register: Path, symbols: list[str], start: str, end: str
) -> None:
    look(register, "first")
    assert open_holdout(register, "second", symbols, start, end, model="m").earlier == ()


@pytest.mark.parametrize(
    ("symbols", "start", "end"),
    [
        (["IBM"], "2012-01-01", "2012-01-02"),
        (["IBM", "MSFT"], "2013-03-27", "2015-01-01"),
        (["AAPL"], "2000-01-01", "2011-03-28"),
    ],
)
def test_any_overlap_counts_as_read(
    register: Path, symbols: list[str], start: str, end: str
) -> None:
    look(register, "first")
    with pytest.raises(HoldoutSealedError, match="by run first"):
        open_holdout(register, "second", symbols, start, end, model="m")


def test_another_model_of_the_same_run_is_another_look(register: Path) -> None:
    """A run may be made afresh with other code of the user's, which its name does not know."""
    look(register, "first", model="one")
    with pytest.raises(HoldoutSealedError, match="by run first"):
        look(register, "first", model="two")
    forced = look(register, "first", "a fault in the family", model="two")
    assert forced.earlier == (f"run first on {today()}",)
    assert look(register, "first", model="one").earlier == ()
    assert look(register, "first", model="two") == forced
    assert len(HoldoutRegister(register).looks()) == 2


def test_a_look_of_before_models_were_told_apart_is_the_same_run_s(register: Path) -> None:
    look(register, "first")
    (line,) = [json.loads(text) for text in register.read_text().splitlines()]
    del line["model"], line["tried"]
    register.write_text(json.dumps(line) + "\n")
    assert look(register, "first", model="whatever").earlier == ()


def test_bars_that_trials_were_judged_on_are_not_sealed(register: Path) -> None:
    with pytest.raises(HoldoutSealedError, match="looked at before, by 64 trials of run other"):
        look(register, "first", tried=["64 trials of run other"])
    assert not register.exists() or not register.read_text()
    forced = look(register, "first", "there is nothing else", tried=["64 trials of run other"])
    assert forced.earlier == ("64 trials of run other",)
    assert forced.seal.startswith("broken: 1 earlier look, by 64 trials of run other")
    # Trials that were made after the look have not chosen what it judged.
    assert look(register, "first", tried=["64 trials of run other", "9 of a third"]) == forced


def test_the_record_is_whole_before_leave_is_given(register: Path) -> None:
    """A process that dies right after the call has still looked."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from windtunnel.holdout import open_holdout\n"
        "open_holdout(Path(sys.argv[1]), 'killed', ['IBM'], '2012-01-01', '2012-06-01',"
        " model='m')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(register)], check=False)
    assert ended.returncode == -9
    with pytest.raises(HoldoutSealedError, match="by run killed"):
        look(register, "first")


def test_of_two_runs_at_once_one_is_refused(register: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from windtunnel.errors import HoldoutSealedError\n"
        "from windtunnel.holdout import open_holdout\n"
        "granted = 0\n"
        "for year in range(1990, 2030):\n"
        "    try:\n"
        "        open_holdout(Path(sys.argv[1]), sys.argv[2], ['A'],\n"
        "                     f'{year}-01-01', f'{year}-12-31', model='m')\n"
        "        granted += 1\n"
        "    except HoldoutSealedError:\n"
        "        pass\n"
        "print(granted)\n"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(register), name], stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    granted = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert sum(granted) == 40
    assert len(register.read_text().splitlines()) == 40


def test_a_damaged_register_stops_the_look(register: Path) -> None:
    look(register, "first")
    register.write_text('{"run": "first"}\n')
    with pytest.raises(RunError, match=r"holdout register .*, line 1: is not a look"):
        look(register, "second", "force")


def test_nonsense_is_refused_before_anything_is_written(register: Path) -> None:
    with pytest.raises(DataError, match="symbols"):
        open_holdout(register, "first", [], START, END, model="m")
    with pytest.raises(DataError, match="lies before start"):
        open_holdout(register, "first", SYMBOLS, END, START, model="m")
    assert not register.exists()
