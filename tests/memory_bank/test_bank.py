from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import MemoryBank
from windtunnel.memory_bank.pages import PAGES

if TYPE_CHECKING:
    from .conftest import Make


def contents(bank: MemoryBank) -> dict[str, bytes]:
    return {
        path.relative_to(bank.path).as_posix(): path.read_bytes()
        for path in sorted(bank.path.rglob("*"))
        if path.is_file()
    }


def page(bank: MemoryBank, name: str) -> str:
    return (bank.path / name).read_text()


def test_an_empty_bank_is_right(bank: MemoryBank) -> None:
    assert set(contents(bank)) == {*PAGES, ".gitattributes"}
    assert (bank.path / "experiments").is_dir()
    assert bank.verify() == []
    assert bank.experiments() == []
    assert "No experiment has been recorded yet." in page(bank, "progress.md")
    assert "No decision has been recorded yet." in page(bank, "decision_log.md")
    assert "0 experiments, 0 decisions" in page(bank, "active_context.md")


def test_initialising_again_changes_nothing_written_by_hand(bank: MemoryBank) -> None:
    (bank.path / "project_brief.md").write_text("ours\n")
    progress = bank.path / "progress.md"
    progress.write_text("Above.\n\n" + progress.read_text() + "\nBelow.\n")
    (bank.path / "tech_context.md").unlink()
    before = contents(bank)
    bank.initialise()
    after = contents(bank)
    assert {name: after[name] for name in before} == before
    assert set(after) == {*PAGES, ".gitattributes"}


def test_a_hand_written_page_without_marks_gets_its_part_below(bank: MemoryBank) -> None:
    (bank.path / "progress.md").write_text("# Ours\n\nwords\n")
    bank.rebuild()
    assert page(bank, "progress.md").startswith("# Ours\n\nwords\n\n<!-- generated: experiments")
    assert bank.verify() == []


def test_an_experiment_is_recorded_and_indexed(bank: MemoryBank, make_entry: Make) -> None:
    entry = make_entry()
    path = bank.record_experiment(entry)
    assert path == bank.path / "experiments" / "demo-0123456789.md"
    assert bank.experiments() == [entry]
    assert (
        "| 2026-03-01 | [demo-0123456789](experiments/demo-0123456789.md) | demo | 256 "
        "| 0.412346 | 0.12 | -0.3 | No edge survives |\n"
    ) in page(bank, "progress.md")
    assert "1 experiment, 0 decisions" in page(bank, "active_context.md")
    assert "**No edge survives**" in page(bank, "active_context.md")
    assert "| jax | 0.10.2 |" in page(bank, "tech_context.md")
    assert bank.verify() == []


def test_the_same_experiment_twice_changes_no_byte(bank: MemoryBank, make_entry: Make) -> None:
    path = bank.record_experiment(make_entry())
    before = contents(bank)
    later = make_entry(created=datetime(2027, 1, 1, tzinfo=UTC))
    assert bank.record_experiment(later) == path
    assert contents(bank) == before


def test_other_figures_of_a_run_get_a_page_of_their_own(bank: MemoryBank, make_entry: Make) -> None:
    first = bank.record_experiment(make_entry())
    before = first.read_bytes()
    again = make_entry(figures={"metrics.sharpe": 0.5}, created=datetime(2027, 1, 1, tzinfo=UTC))
    second = bank.record_experiment(again)
    assert second.name == "demo-0123456789.2.md"
    assert bank.record_experiment(again) == second
    assert bank.record_experiment(make_entry()) == first
    assert first.read_bytes() == before
    assert [each.figures.get("metrics.sharpe") for each in bank.experiments()] == [
        0.41234567890123,
        0.5,
    ]
    assert bank.verify() == []


def test_a_damaged_entry_is_not_overwritten(bank: MemoryBank, make_entry: Make) -> None:
    path = bank.record_experiment(make_entry())
    path.write_text("lost\n")
    assert bank.record_experiment(make_entry()).name == "demo-0123456789.2.md"
    assert path.read_text() == "lost\n"


def test_the_newest_experiment_leads(bank: MemoryBank, make_entry: Make) -> None:
    for year, run in ((2026, "b"), (2028, "a"), (2027, "c")):
        bank.record_experiment(make_entry(run_id=run, created=datetime(year, 1, 1, tzinfo=UTC)))
    text = page(bank, "progress.md")
    assert text.index("experiments/a.md") < text.index("experiments/c.md")
    assert text.index("experiments/c.md") < text.index("experiments/b.md")
    assert "Latest experiment: [a](experiments/a.md), 2028-01-01" in page(bank, "active_context.md")


def test_rebuild_gives_the_same_bytes_from_the_records(bank: MemoryBank, make_entry: Make) -> None:
    bank.record_experiment(make_entry())
    bank.record_experiment(make_entry(run_id="other"))
    bank.decide("Trade at the next open", "It can be done.")
    before = contents(bank)
    bank.rebuild()
    assert contents(bank) == before
    for name in PAGES:
        (bank.path / name).unlink()
    bank.initialise()
    assert contents(bank) == before


def test_records_made_in_any_order_give_the_same_pages(
    bank: MemoryBank, make_entry: Make, tmp_path: Path
) -> None:
    entries = [
        make_entry(run_id=run, created=datetime(2026, 1, day, tzinfo=UTC))
        for run, day in (("c", 1), ("a", 1), ("b", 2))
    ]
    other = MemoryBank(tmp_path / "other")
    other.initialise()
    for entry in entries:
        bank.record_experiment(entry)
    for entry in reversed(entries):
        other.record_experiment(entry)
    assert contents(bank) == contents(other)


def test_rebuild_leaves_what_is_right_untouched(bank: MemoryBank) -> None:
    before = {path: path.stat().st_mtime_ns for path in bank.path.glob("*.md")}
    bank.rebuild()
    assert {path: path.stat().st_mtime_ns for path in bank.path.glob("*.md")} == before


def test_damaged_marks_stop_the_rebuild(bank: MemoryBank) -> None:
    progress = bank.path / "progress.md"
    text = progress.read_text()
    for damaged in (text.replace("<!-- end of generated: experiments -->", ""), text + text):
        progress.write_text(damaged)
        with pytest.raises(MemoryBankError, match=r"progress.md: the comments .* are damaged"):
            bank.rebuild()
        assert progress.read_text() == damaged


def test_names_with_marks_do_not_damage_the_pages(bank: MemoryBank, make_entry: Make) -> None:
    bank.record_experiment(
        make_entry(
            study="<!-- end of generated: experiments -->",
            headline="a | b\n<!-- generated: active context; -->",
            command="echo '```' '<!-- end of generated: active context -->'",
        )
    )
    before = contents(bank)
    bank.rebuild()
    assert contents(bank) == before
    assert bank.verify() == []


def test_a_decision_is_dated_and_logged(bank: MemoryBank) -> None:
    made = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    bank.decide("Use first", "Because.", made=datetime(2026, 1, 1, tzinfo=UTC))
    path = bank.decide("Fill at the next open", "It can be done.\nSo do it.", made=made)
    assert path.name == "20260506T070809Z-fill-at-the-next-open.md"
    log = page(bank, "decision_log.md")
    entry = (
        f"## 2026-05-06: [Fill at the next open](decisions/{path.name})\n\nIt can be done.\n\nSo"
    )
    assert entry in log
    assert log.index("Use first") < log.index("Fill at")
    assert "Latest decision: [Fill at the next open]" in page(bank, "active_context.md")
    assert bank.verify() == []
    before = contents(bank)
    bank.decide("Fill at the next open", "It can be done.\nSo do it.", made=made)
    assert contents(bank) == before
    with pytest.raises(MemoryBankError, match="is there already with another reason"):
        bank.decide("Fill at the next open", "Other.", made=made)


def test_a_decision_is_dated_now(bank: MemoryBank) -> None:
    bank.decide("Do it", "Why not")
    assert f"## {datetime.now(UTC):%Y-%m-%d}: " in page(bank, "decision_log.md")


@pytest.mark.parametrize(("text", "why"), [("", "x"), ("x", " \n")])
def test_a_decision_needs_words_and_a_reason(bank: MemoryBank, text: str, why: str) -> None:
    with pytest.raises(MemoryBankError, match="is empty"):
        bank.decide(text, why)


def test_search_finds_pages_that_hold_all_words(bank: MemoryBank, make_entry: Make) -> None:
    bank.record_experiment(make_entry(question="Does momentum pay?"))
    bank.decide("Drop momentum", "It does not pay.")
    found = [hit.path.as_posix() for hit in bank.search("MOMENTUM pay")]
    assert found[0] == "active_context.md"  # it shows the latest decision
    assert "experiments/demo-0123456789.md" in found
    assert "project_brief.md" not in found
    (hit,) = bank.search("does momentum pay?")
    assert str(hit).endswith('.md:8: question: "Does momentum pay?"')
    assert bank.search("nowhere") == []
    assert bank.search("  ") == []
