"""The memory bank: records, one file each, and pages generated from them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from windtunnel import artifacts
from windtunnel.environment import version
from windtunnel.errors import MemoryBankError
from windtunnel.ledger import Ledger
from windtunnel.memory_bank import decision, occurrence, pictures, records, rendering, search
from windtunnel.memory_bank.decision import Decision
from windtunnel.memory_bank.entry import ExperimentEntry
from windtunnel.memory_bank.occurrence import FOLDERS, Occurrence
from windtunnel.memory_bank.pages import PAGES, generated, place
from windtunnel.memory_bank.records import Records
from windtunnel.memory_bank.verify import problems_in

ATTRIBUTES = ".gitattributes"
# Indexes carry lines of every record: git takes those of both sides, and a rebuild sorts them.
MERGED = "".join(f"/{name} merge=union\n" for name, (_, part) in PAGES.items() if part)


class MemoryBank:
    """A project's memory, kept as Markdown beside its code.

    Parameters
    ----------
    path : Path
        Folder of the bank.
    runs : Path, optional
        Folder of the run directories that `verify` compares entries with; ``runs`` beside the
        bank when None.
    registry : Path, optional
        Folder of the registry that `verify` compares promotions with; ``registry`` beside the
        bank when None.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        runs: str | Path | None = None,
        registry: str | Path | None = None,
    ) -> None:
        self.path = Path(path)
        beside = self.path.absolute().parent
        self.runs = beside / "runs" if runs is None else Path(runs)
        self.registry = beside / "registry" if registry is None else Path(registry)

    def initialise(self) -> None:
        """Create what is missing; what was written by hand stays."""
        with self._alone():
            self._initialise()

    def _initialise(self) -> None:
        for folder in ("experiments", "decisions", *FOLDERS.values()):
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        for name, (text, _) in PAGES.items():
            if not (self.path / name).exists():
                artifacts.write_text(self.path / name, text)
        if not (self.path / ATTRIBUTES).exists():
            artifacts.write_text(self.path / ATTRIBUTES, MERGED)
        self._rebuild()

    def record_experiment(self, entry: ExperimentEntry, *, picture: Path | None = None) -> Path:
        """Keep an experiment and renew the indexes.

        An experiment that is there already is left as it is, byte for byte. A run of the same
        name with other figures, as when a study is done again in another environment, gets a
        page of its own beside the first: nothing recorded is ever overwritten.

        Parameters
        ----------
        entry : ExperimentEntry
        picture : Path, optional
            An SVG or PNG file, which is copied into the bank.

        Returns
        -------
        Path
            The entry's page.

        Raises
        ------
        MemoryBankError
            The picture is of another kind or cannot be read.
        """
        with self._alone():
            entry = self._with_picture(entry, picture)
            page = self._page_of(entry)
            if not page.exists():
                artifacts.write_text(page, rendering.render(entry))
            self._rebuild()
        return page

    def restore_experiment(self, entry: ExperimentEntry, *, picture: Path | None = None) -> bool:
        """Write an experiment's page again if it is missing or was edited.

        The entry must come from the run itself. A page that cannot be trusted is replaced,
        since the run says what it said. Raises as `record_experiment`; returns whether
        anything was written.
        """
        with self._alone():
            self._initialise()
            entry = self._with_picture(entry, picture)
            pages = [
                stored
                for stored in records.experiments(self.path)
                if records.experiment_name(stored.path) == entry.run_id
            ]
            if any(
                each.record is not None and each.record.same_experiment(entry) for each in pages
            ):
                return False
            damaged = sorted(each.path for each in pages if each.record is None)
            page = damaged[0] if damaged else self._page_of(entry)
            written = not page.exists() or bool(damaged)
            if written:
                artifacts.write_text(page, rendering.render(entry))
            self._rebuild()
        return written

    def _with_picture(self, entry: ExperimentEntry, picture: Path | None) -> ExperimentEntry:
        return (
            entry if picture is None else replace(entry, pictures=pictures.keep(self.path, picture))
        )

    def find(self, name: str) -> ExperimentEntry:
        """The experiment of a page; see `page_of`."""
        return rendering.parse(records.read_text(self.page_of(name)))

    def page_of(self, name: str) -> Path:
        """The page called `name`, or the only one whose name begins so.

        Raises
        ------
        MemoryBankError
            There is none that can be trusted, or more than one.
        """
        stem = name.rsplit("/", 1)[-1].removesuffix(".md")
        found = {
            each.path.stem: each.path
            for each in records.experiments(self.path)
            if each.record is not None and each.path.stem.startswith(stem)
        }
        if stem in found:
            return found[stem]
        if len(found) != 1:
            known = ", ".join(found) or "none"
            raise MemoryBankError(
                f"experiment {name!r}: names no single experiment (found: {known})",
                "Give the name of a page in memory_bank/experiments",
            )
        return next(iter(found.values()))

    def record(self, happened: Occurrence, *, picture: Path | None = None) -> Path:
        """Keep a promotion, a rollback, an alert or a re-study and renew the indexes.

        Told twice, it is kept once; another of the same second and words gets a page beside it.

        Parameters
        ----------
        happened : Occurrence
        picture : Path, optional
            An SVG or PNG file, which is copied into the bank.

        Returns
        -------
        Path
            Its page.

        Raises
        ------
        MemoryBankError
            The picture is of another kind or cannot be read.
        """
        with self._alone():
            self._initialise()
            if picture is not None:
                happened = replace(happened, pictures=pictures.keep(self.path, picture))
            content = occurrence.render(happened)
            folder, number = self.path / FOLDERS[happened.kind], 1
            page = folder / f"{happened.name}.md"
            while page.exists() and page.read_bytes() != content.encode():
                number += 1
                page = folder / f"{happened.name}.{number}.md"
            if not page.exists():
                artifacts.write_text(page, content)
            self._rebuild()
        return page

    def decide(
        self, text: str, why: str, *, made: datetime | None = None, about: Sequence[str] = ()
    ) -> Path:
        """Keep a decision and its reason, dated now unless `made` says otherwise.

        Parameters
        ----------
        text, why : str
        made : datetime, optional
        about : sequence of str
            Experiments that it rests on, as `find` takes them.

        Raises
        ------
        MemoryBankError
            The text or the reason is empty, another decision was made in the same second in
            the same words, or an experiment is not there.
        """
        targets = {page.stem: f"../experiments/{page.name}" for page in map(self.page_of, about)}
        record = Decision(
            made or datetime.now(UTC),
            text,
            why,
            about=dict(targets),
            versions={"windtunnel": version()},
        )
        page = self.path / "decisions" / f"{record.name}.md"
        content = decision.render(record)
        with self._alone():
            if page.exists() and records.read_text(page) != content:
                raise MemoryBankError(
                    f"decision {page.name!r} is there already with another reason",
                    "Record it again in a moment, or in other words",
                )
            artifacts.write_text(page, content)
            self._rebuild()
        return page

    def rebuild(self) -> None:
        """Renew the generated parts of the pages; the same records give the same bytes.

        Raises
        ------
        MemoryBankError
            The comments around a generated part are damaged.
        """
        with self._alone():
            self._rebuild()

    def _rebuild(self) -> None:
        kept = Records.of(self.path)
        for name, (text, part) in PAGES.items():
            if part is None:
                continue
            page = self.path / name
            try:
                before = records.read_text(page) if page.exists() else text
                after = place(before, part, generated(part, kept))
            except MemoryBankError as error:
                raise MemoryBankError(f"{name}: {error.problem}", error.remedy) from None
            if not page.exists() or after != before:
                artifacts.write_text(page, after)

    def verify(self) -> list[str]:
        """Check the whole bank against its records.

        Returns
        -------
        list of str
            Each problem with its page, in words: pages that are missing, records changed after
            they were made, figures that are not the run's own, versions that are not the
            registry's, broken links, indexes that the records do not give. Empty when all is well.
        """
        return problems_in(self.path, self.runs, self.registry)

    def experiments(self) -> list[ExperimentEntry]:
        """Read all experiments that can be trusted, oldest first."""
        return [each.record for each in records.experiments(self.path) if each.record is not None]

    def untold(self, ledger: Ledger) -> tuple[str, ...]:
        """Runs that the bank has experiments of and the ledger no trials: it was lost or left.

        What the ledger does not hold deflates nothing, and its looks at holdouts are forgotten
        with it.
        """
        told = {cohort.run_id.split("~")[0] for cohort in ledger.cohorts()}
        return tuple(dict.fromkeys(e.run_id for e in self.experiments() if e.run_id not in told))

    def search(self, text: str) -> list[search.Hit]:
        """Find the pages that hold all words of `text`, in any case, one hit a page."""
        return search.pages_with(self.path, text)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the bank's folder: a service and a study may record at the same moment."""
        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _page_of(self, entry: ExperimentEntry) -> Path:
        """Find the page that holds this very experiment, or the next free name for it."""
        folder = self.path / "experiments"
        number = 1
        while True:
            suffix = "" if number == 1 else f".{number}"
            page = folder / f"{entry.run_id}{suffix}.md"
            if not page.exists():
                return page
            try:
                if rendering.parse(records.read_text(page)).same_experiment(entry):
                    return page
            except MemoryBankError:
                pass  # a damaged page is for `verify` to tell; it is not overwritten
            number += 1
