"""Check a memory bank: every figure, digest, link and index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel import artifacts
from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank.entry import WEB
from windtunnel.memory_bank.markdown import link_targets
from windtunnel.memory_bank.pages import PAGES, generated, place
from windtunnel.memory_bank.records import Records, read_text
from windtunnel.memory_bank.registry_check import problems_with as problems_with_registry
from windtunnel.memory_bank.run_check import problems_with

if TYPE_CHECKING:
    from pathlib import Path

    from windtunnel.memory_bank.entry import ExperimentEntry
    from windtunnel.memory_bank.records import Stored


def problems_in(bank: Path, runs: Path, registry: Path) -> list[str]:
    """Find what is wrong with a bank; see `MemoryBank.verify`."""
    if not bank.is_dir():
        return [f"{bank}: is not a folder; `windtunnel memory init` makes one"]
    kept = Records.of(bank)
    problems = [
        f"{stored.path.relative_to(bank).as_posix()}: {stored.problem}"
        for stored in kept
        if stored.record is None
    ]
    problems += _wrong_indexes(bank, kept)
    for page in sorted(bank.rglob("[!.]*.md")):
        problems += _broken_links(bank, page)
    problems += _other_pictures(bank, kept)
    problems += _other_than_the_runs(bank, runs, kept.experiments)
    problems += _other_than_the_registry(bank, registry, kept)
    return problems


def _wrong_indexes(bank: Path, kept: Records) -> list[str]:
    problems = []
    for name, (_, part) in PAGES.items():
        page = bank / name
        if not page.is_file():
            problems.append(f"{name}: is missing; `windtunnel memory init` writes it")
            continue
        if part is None:
            continue
        try:
            text = read_text(page).replace("\r\n", "\n")
            right = place(text, part, generated(part, kept))
        except MemoryBankError as error:
            problems.append(f"{name}: {error.problem}")
            continue
        if text != right:
            problems.append(
                f"{name}: the generated part is not what the records give; "
                "`windtunnel memory rebuild` renews it"
            )
    return problems


def _broken_links(bank: Path, page: Path) -> list[str]:
    """Find links to files that are not there; the web is not asked."""
    name = page.relative_to(bank).as_posix()
    text = page.read_bytes().decode(errors="replace")
    problems = []
    for target in link_targets(text):
        path = target.partition("#")[0].partition("?")[0]
        if path and not WEB.match(target) and not (page.parent / path).exists():
            problems.append(f"{name}: link to {target} leads nowhere")
    return problems


def _other_pictures(bank: Path, kept: Records) -> list[str]:
    """Find pictures that are not what they were when they were recorded."""
    problems = []
    for stored in kept:
        for target, said in getattr(stored.record, "pictures", {}).items():
            file = stored.path.parent / target
            # One that is missing is a broken link already.
            if file.is_file() and artifacts.digest(file) != said:
                name = stored.path.relative_to(bank).as_posix()
                problems.append(f"{name}: picture {target} has another digest")
    return problems


def _other_than_the_runs(
    bank: Path, runs: Path, experiments: list[Stored[ExperimentEntry]]
) -> list[str]:
    # Of a run that was done again, the directory holds the latest.
    latest = {each.record.run_id: each for each in experiments if each.record is not None}
    problems = []
    for run_id, stored in latest.items():
        if stored.record is not None:
            name = stored.path.relative_to(bank).as_posix()
            found = problems_with(stored.record, runs / run_id)
            problems += [f"{name}: {problem}" for problem in found]
    return problems


def _other_than_the_registry(bank: Path, registry: Path, kept: Records) -> list[str]:
    return [
        f"{stored.path.relative_to(bank).as_posix()}: {problem}"
        for stored in kept.occurrences
        if stored.record is not None
        for problem in problems_with_registry(stored.record, registry)
    ]
