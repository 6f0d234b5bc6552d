from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from windtunnel import artifacts
from windtunnel.memory_bank import MemoryBank, front_matter
from windtunnel.memory_bank.rendering import render

if TYPE_CHECKING:
    from .conftest import Make

ENTRY = "experiments/demo-0123456789.md"


def edit(bank: MemoryBank, name: str, old: str, new: str) -> None:
    page = bank.path / name
    assert old in page.read_text()
    page.write_text(page.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"metrics.sharpe": 0.41234567890123', '"metrics.sharpe": 0.51234567890123'),
        ("| metrics.sharpe | 0.412346 |", "| metrics.sharpe | 0.512346 |"),
        ("No edge survives", "An edge survives"),
        ("Too many were tried.", "Few were tried."),
        ('"trials.total": 256', '"trials.total": 16'),
        ('created: "2026', 'created: "2025'),
    ],
)
def test_an_edited_entry_is_caught(bank: MemoryBank, make_entry: Make, old: str, new: str) -> None:
    bank.record_experiment(make_entry())
    edit(bank, ENTRY, old, new)
    problems = bank.verify()
    assert any(problem.startswith(f"{ENTRY}: the digest does not fit") for problem in problems)
    bank.rebuild()  # an index built from it says that it cannot be trusted
    assert "cannot be trusted" in (bank.path / "progress.md").read_text()
    assert [problem.partition(":")[0] for problem in bank.verify()] == [ENTRY]


def test_a_table_edited_along_with_the_digest_is_caught(bank: MemoryBank, make_entry: Make) -> None:
    path = bank.record_experiment(make_entry())
    text = path.read_text()
    head, body = text.split("\n---\n\n", 1)
    block = head.removeprefix("---\n").rsplit("\n", 1)[0]
    body = body.replace("| metrics.sharpe | 0.412346 |", "| metrics.sharpe | 0.9 |")
    sealed = front_matter.digest(block, body)
    path.write_text(f'---\n{block}\ndigest: "{sealed}"\n---\n\n{body}')
    assert f"{ENTRY}: the text does not say what the fields at its head say" in bank.verify()


def test_a_renamed_entry_is_caught(bank: MemoryBank, make_entry: Make) -> None:
    path = bank.record_experiment(make_entry())
    path.rename(path.with_name("other.md"))
    assert any("is the page of run demo-0123456789, under" in each for each in bank.verify())


def test_a_foreign_page_among_the_entries_is_caught(bank: MemoryBank) -> None:
    (bank.path / "experiments" / "notes.md").write_text("# Notes\n")
    (bank.path / "decisions" / "bytes.md").write_bytes(b"\xff\xfe")
    text = "; ".join(bank.verify())
    assert "experiments/notes.md: has no fields" in text
    assert "decisions/bytes.md: is not UTF-8 text" in text


def test_an_edited_decision_is_caught(bank: MemoryBank) -> None:
    path = bank.decide("Fill at the next open", "It can be done.")
    edit(bank, f"decisions/{path.name}", "It can be done.", "It cannot be done.")
    assert any("the digest does not fit" in problem for problem in bank.verify())


def test_an_edited_index_is_caught_and_rebuilt(bank: MemoryBank, make_entry: Make) -> None:
    bank.record_experiment(make_entry())
    edit(bank, "progress.md", "| 0.412346 |", "| 1.412346 |")
    (problem,) = bank.verify()
    assert problem.startswith("progress.md: the generated part is not what the records give")
    bank.rebuild()
    assert bank.verify() == []


def test_a_deleted_entry_is_caught_by_the_indexes(bank: MemoryBank, make_entry: Make) -> None:
    bank.record_experiment(make_entry()).unlink()
    pages = {problem.partition(":")[0] for problem in bank.verify()}
    assert {"progress.md", "active_context.md", "tech_context.md"} <= pages


def test_a_missing_page_and_a_missing_bank_are_named(bank: MemoryBank, tmp_path: Path) -> None:
    (bank.path / "project_brief.md").unlink()
    assert bank.verify() == ["project_brief.md: is missing; `windtunnel memory init` writes it"]
    (problem,) = MemoryBank(tmp_path / "none").verify()
    assert "is not a folder" in problem


def test_damaged_marks_are_named(bank: MemoryBank) -> None:
    edit(bank, "progress.md", "<!-- end of generated: experiments -->", "")
    (problem,) = bank.verify()
    assert problem.startswith("progress.md: the comments around")


def test_a_broken_link_is_caught(bank: MemoryBank, make_entry: Make) -> None:
    picture = bank.path / "experiments" / "equity curve.png"
    picture.write_bytes(b"")
    bank.record_experiment(
        make_entry(links={"picture": "equity curve.png", "site": "https://example.org/none"})
    )
    assert bank.verify() == []
    picture.unlink()
    assert bank.verify() == [f"{ENTRY}: link to equity curve.png leads nowhere"]


def test_a_broken_link_written_by_hand_is_caught(bank: MemoryBank) -> None:
    with (bank.path / "project_brief.md").open("a") as file:
        file.write("\nSee [here](progress.md#top), [there](gone.md) and `[code](code.md)`.\n")
    assert bank.verify() == ["project_brief.md: link to gone.md leads nowhere"]


def test_pages_with_windows_line_ends_are_right(bank: MemoryBank, make_entry: Make) -> None:
    bank.record_experiment(make_entry())
    for path in bank.path.rglob("*.md"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert bank.verify() == []


@pytest.fixture
def run(bank: MemoryBank, make_entry: Make) -> Path:
    """A run directory that agrees with the recorded entry."""
    run = bank.path.parent / "runs" / "demo-0123456789"
    artifacts.write_text(run / "report.html", "<html>")
    entry = make_entry(artifacts={"report.html": artifacts.digest(run / "report.html")})
    result = {
        "study_digest": entry.study_digest,
        "data_fingerprint": entry.data_fingerprint,
        "champion": {"number": 3, "params": entry.champion},
        "trials": {"total": 256},
        "metrics": {"sharpe": 0.41234567890123, "calmar": None},
        "statistics": {"dsr": 0.12},
        "holdout": {"metrics": {"sharpe": -0.3}},
    }
    artifacts.write_json(run / "result.json", result)
    bank.record_experiment(entry)
    return run


def change(run: Path, *path: str, to: Any) -> None:
    result = json.loads((run / "result.json").read_text())
    table = result
    for step in path[:-1]:
        table = table[step]
    table[path[-1]] = to
    artifacts.write_json(run / "result.json", result)


def test_a_run_that_agrees_or_is_gone_is_no_problem(bank: MemoryBank, run: Path) -> None:
    assert bank.verify() == []
    (run / "result.json").unlink()
    assert bank.verify() == []


@pytest.mark.parametrize(
    ("path", "to", "problem"),
    [
        (("metrics", "sharpe"), 0.4, "figures: metrics.sharpe is 0.41234567890123 here and 0.4 in"),
        (("metrics", "calmar"), 0.0, "figures: metrics.calmar is None here and 0.0 in"),
        (("metrics",), {}, "figures: metrics.sharpe is not in the run's result.json"),
        (("holdout", "metrics", "sharpe"), 0.3, "holdout: metrics.sharpe is -0.3 here and 0.3 in"),
        (("holdout",), None, "holdout: metrics.sharpe is not in"),
        (("champion", "params", "policy.enter"), 0.1, "champion differs from champion.params"),
        (("study_digest",), "0", "study_digest is "),
        (("data_fingerprint",), "0", "data_fingerprint is "),
    ],
)
def test_figures_that_are_not_the_runs_are_caught(
    bank: MemoryBank, run: Path, path: tuple[str, ...], to: Any, problem: str
) -> None:
    change(run, *path, to=to)
    problems = bank.verify()
    assert any(each.startswith(f"{ENTRY}: {problem}") for each in problems), problems


def test_an_entry_forged_whole_is_caught_by_the_run(
    bank: MemoryBank, run: Path, make_entry: Make
) -> None:
    """Even with its digest and the indexes made anew."""
    (entry,) = bank.experiments()
    forged = make_entry(artifacts=entry.artifacts, figures={**entry.figures, "metrics.sharpe": 2.5})
    (bank.path / ENTRY).write_text(render(forged))
    bank.rebuild()
    (problem,) = bank.verify()
    assert "figures: metrics.sharpe is 2.5 here" in problem


def test_artifacts_are_held_to_their_digests(bank: MemoryBank, run: Path) -> None:
    (run / "report.html").write_text("other")
    assert bank.verify() == [
        f"{ENTRY}: artifact report.html of run demo-0123456789 has another digest"
    ]
    (run / "report.html").unlink()
    assert bank.verify() == [f"{ENTRY}: artifact report.html is missing from run demo-0123456789"]


def test_an_unreadable_result_is_named(bank: MemoryBank, run: Path) -> None:
    (run / "result.json").write_text("{")
    (problem,) = bank.verify()
    assert "result.json of run demo-0123456789 cannot be read" in problem


def test_of_a_run_done_again_the_latest_page_is_compared(
    bank: MemoryBank, run: Path, make_entry: Make
) -> None:
    (entry,) = bank.experiments()
    again = make_entry(artifacts=entry.artifacts, figures={**entry.figures, "metrics.sharpe": 0.5})
    bank.record_experiment(again)
    (problem,) = bank.verify()
    assert problem.startswith("experiments/demo-0123456789.2.md: figures: metrics.sharpe")
    change(run, "metrics", "sharpe", to=0.5)
    assert bank.verify() == []
