"""Promotions, rollbacks, alerts and re-studies become records like any other."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.deployment.reader import RegistryReader
from windtunnel.errors import MemoryBankError, RegistryError
from windtunnel.events import (
    AlertRaised,
    AlertResolved,
    AliasMoved,
    EventBus,
    RetrainDecided,
    Warned,
)
from windtunnel.memory_bank import MemoryBank, Occurrence, Remember
from windtunnel.memory_bank.occurrence import parse, render

from .test_rendering import FIGURES, FULL, NASTY

NOON = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
PROMOTED = AliasMoved(
    model="demo",
    alias="champion",
    version=3,
    previous=2,
    who="canary judge",
    why="It did no worse than the champion over 2,000 answers.",
    digest="ab" * 32,
    run="demo-0123456789",
    figures={"canary.mean": 0.41, "champion.mean": 0.4, "p": float("nan")},
)
ROLLED_BACK = AliasMoved(
    model="demo", alias="champion", version=2, previous=3, why="Errors rose.", rolled_back=True
)
RAISED = AlertRaised(
    rule="stale_bars",
    severity="critical",
    subject="demo",
    what="No bars for 2 hours",
    since="2026-03-01T10:00:00Z",
    value=2.0,
    threshold=1.0,
    advice="Look at the feed.",
)
RESOLVED = AlertResolved(
    "stale_bars", "critical", "demo", "No bars for 2 hours", RAISED.since, "2026-03-01T13:00:00Z"
)


def remember(bank: MemoryBank) -> Remember:
    """An observer whose clock stands still."""
    return Remember(bank, clock=lambda: NOON)


def test_events_become_pages_and_are_indexed(bank: MemoryBank) -> None:
    ticks = iter(NOON + timedelta(hours=hour) for hour in range(9))
    bus = EventBus([Remember(bank, clock=lambda: next(ticks))])
    gone = AliasMoved(model="demo", alias="canary", version=None, previous=3, why="It failed.")
    for event in (
        RetrainDecided("demo", True, "Drift."), PROMOTED, ROLLED_BACK, gone, RAISED, RESOLVED,
        Warned("not for the bank"),
    ):  # fmt: skip
        bus.emit(event)
    assert bank.verify() == []
    index = (bank.path / "operations.md").read_text()
    rows = [line for line in index.splitlines() if line.startswith("| 2026")]
    kinds = ["alert", "alert", "rollback", "rollback", "promotion", "retraining"]
    assert [row.split(" | ")[1] for row in rows] == kinds
    assert "[demo version 3 became champion](promotions/20260301T130005Z-demo-version-3" in rows[4]
    assert "demo was rolled back to version 2 as champion" in rows[3]
    assert "demo has no canary any more" in rows[2]
    active = (bank.path / "active_context.md").read_text()
    assert "1 retraining, 1 promotion, 2 rollbacks, 2 alerts" in active
    assert "Latest in service: [Resolved: No bars for 2 hours]" in active
    (page,) = (bank.path / "promotions").glob("*.md")
    kept = parse(page.read_text())
    assert kept.ids == {
        "model": "demo", "alias": "champion", "version": 3, "previous": 2,
        "run": "demo-0123456789", "who": "canary judge",
    }  # fmt: skip
    assert kept.figures == {"canary.mean": 0.41, "champion.mean": 0.4, "p": None}
    assert kept.digests == {"manifest": "ab" * 32}
    assert kept.versions["windtunnel"]


def test_told_twice_it_is_kept_once_and_another_gets_its_own_page(bank: MemoryBank) -> None:
    for event in (RAISED, RAISED, replace(RAISED, value=3.0)):
        remember(bank)(event)
    names = sorted(page.name for page in (bank.path / "alerts").glob("*.md"))
    assert len(names) == 2
    assert names[0].endswith(".2.md")
    assert bank.verify() == []


def test_a_resolved_alert_says_so(bank: MemoryBank) -> None:
    remember(bank)(RESOLVED)
    (page,) = (bank.path / "alerts").glob("*.md")
    assert "# Resolved: No bars for 2 hours" in page.read_text()
    assert "Look at the feed" not in page.read_text()


def test_a_bank_is_made_when_the_first_event_comes(tmp_path: Path) -> None:
    bank = MemoryBank(tmp_path / "workspace" / "memory_bank")
    remember(bank)(PROMOTED)
    assert bank.verify() == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| canary.mean | 0.41 |", "| canary.mean | 0.51 |"),
        ('"canary.mean": 0.41', '"canary.mean": 0.51'),
        ("It did no worse", "It did better"),
        ('"version": 3', '"version": 4'),
    ],
)
def test_an_edit_is_caught(bank: MemoryBank, old: str, new: str) -> None:
    remember(bank)(PROMOTED)
    (page,) = (bank.path / "promotions").glob("*.md")
    assert old in page.read_text()
    page.write_text(page.read_text().replace(old, new))
    assert any("the digest does not fit" in problem for problem in bank.verify())


def test_a_deleted_or_misplaced_page_is_caught(bank: MemoryBank) -> None:
    remember(bank)(PROMOTED)
    (page,) = (bank.path / "promotions").glob("*.md")
    moved = page.rename(bank.path / "rollbacks" / page.name)
    assert any("is the page of a promotion, in the folder rollbacks" in p for p in bank.verify())
    moved.unlink()
    assert any(problem.startswith("operations.md: the generated part") for problem in bank.verify())


def test_a_picture_is_kept_shown_and_held_to_its_digest(bank: MemoryBank, tmp_path: Path) -> None:
    picture = tmp_path / "drift.svg"
    picture.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    remember(bank)(replace(RAISED, picture=str(picture)))
    picture.unlink()
    (page,) = (bank.path / "alerts").glob("*.md")
    (kept,) = (bank.path / "pictures").iterdir()
    assert f"![Critical: No bars for 2 hours](../pictures/{kept.name})" in page.read_text()
    assert bank.verify() == []
    kept.write_text("other")
    (problem,) = bank.verify()
    assert problem.endswith("has another digest")
    kept.unlink()
    (problem,) = bank.verify()
    assert problem.endswith("leads nowhere")


def test_only_pictures_are_kept(bank: MemoryBank, tmp_path: Path) -> None:
    with pytest.raises(MemoryBankError, match="neither SVG nor PNG"):
        remember(bank)(replace(RAISED, picture=str(tmp_path / "x.html")))
    with pytest.raises(MemoryBankError, match="cannot be read"):
        remember(bank)(replace(RAISED, picture=str(tmp_path / "x.png")))


def test_many_at_once_leave_a_true_index(bank: MemoryBank) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 5):
            told(replace(RAISED, what=f"Number {number}"))

    told = remember(MemoryBank(bank.path))
    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 5, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list((bank.path / "alerts").glob("*.md"))) == 15
    assert bank.verify() == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": "party"}, "kind: must be one of promotion, rollback, alert, retraining"),
        ({"headline": " "}, "headline: is empty"),
        ({"happened": datetime(2026, 1, 1)}, "happened: .* has no time zone"),
        ({"figures": {"x": [1]}}, r"figures\['x'\]: must be text with a number"),
    ],
)
def test_what_cannot_be_kept_is_refused(changes: dict, problem: str) -> None:
    given = {"kind": "alert", "happened": NOON, "headline": "x", "text": ""}
    with pytest.raises(MemoryBankError, match=problem):
        Occurrence(**{**given, **changes})


@given(
    st.builds(
        Occurrence,
        kind=st.sampled_from(["promotion", "rollback", "alert", "retraining"]),
        happened=st.datetimes(min_value=datetime(1000, 1, 2), timezones=st.just(UTC)),
        headline=FULL,
        text=NASTY,
        ids=FIGURES,
        figures=FIGURES,
        digests=st.dictionaries(NASTY, NASTY, max_size=2),
        command=NASTY,
    )
)
def test_an_occurrence_comes_back_from_its_page(occurrence: Occurrence) -> None:
    assert parse(render(occurrence)) == occurrence


def test_a_promotion_is_held_to_the_registry(
    bank: MemoryBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(bank)(PROMOTED)
    asked = []

    def resolve(reader: RegistryReader, name: str, which: int) -> object:
        asked.append((name, which))
        if digest is None:
            raise RegistryError("model 'demo' has no version 3", "")
        return SimpleNamespace(digest=digest)

    monkeypatch.setattr(RegistryReader, "resolve", resolve)
    digest: str | None = PROMOTED.digest
    assert bank.verify() == []
    assert asked == []  # there is no registry beside the bank
    (bank.registry / "demo").mkdir(parents=True)
    assert bank.verify() == []
    assert asked == [("demo", 3)]
    digest = "ef" * 32
    (problem,) = bank.verify()
    assert problem.endswith("version 3 of 'demo' has another digest in the registry")
    digest = None
    (problem,) = bank.verify()
    assert "version 3 of 'demo' is not in the registry" in problem
