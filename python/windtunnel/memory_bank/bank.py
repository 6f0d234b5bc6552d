"""The memory bank: records, one file each, and pages generated from them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from windtunnel import artifacts
from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import decision, occurrence, records, rendering
from windtunnel.memory_bank.decision import Decision
from windtunnel.memory_bank.entry import ExperimentEntry
from windtunnel.memory_bank.occurrence import FOLDERS, Occurrence
from windtunnel.memory_bank.pages import PAGES, generated, place
from windtunnel.memory_bank.records import Records
from windtunnel.memory_bank.verify import problems_in

PICTURES = "pictures"


@dataclass(frozen=True)
class Hit:
    """A page that holds the words searched for, and the line that holds most of them."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class MemoryBank:
    """A project's memory, kept as Markdown beside its code.

    Parameters
    ----------
    path : Path
        Folder of the bank.
    runs : Path, optional
        Folder of the run directories that `verify` compares entries with; ``runs`` beside the
        bank when None.
    """

    def __init__(self, path: str | Path, *, runs: str | Path | None = None) -> None:
        self.path = Path(path)
        self.runs = self.path.absolute().parent / "runs" if runs is None else Path(runs)

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
        self._rebuild()

    def record_experiment(self, entry: ExperimentEntry) -> Path:
        """Keep an experiment and renew the indexes.

        An experiment that is there already is left as it is, byte for byte. A run of the same
        name with other figures, as when a study is done again in another environment, gets a
        page of its own beside the first: nothing recorded is ever overwritten.

        Returns
        -------
        Path
            The entry's page.
        """
        with self._alone():
            page = self._page_of(entry)
            if not page.exists():
                artifacts.write_text(page, rendering.render(entry))
            self._rebuild()
        return page

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
                target = self._keep_picture(picture)
                shown = f"../{PICTURES}/{target.name}"
                happened = replace(happened, pictures={shown: artifacts.digest(target)})
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

    def _keep_picture(self, picture: Path) -> Path:
        """Copy a picture into the bank under the name of its own content."""
        kind = picture.suffix.lower()
        if kind not in {".svg", ".png"}:
            raise MemoryBankError(f"picture {picture.name!r}: is neither SVG nor PNG", "Convert it")
        try:
            content = picture.read_bytes()
        except OSError as error:
            raise MemoryBankError(
                f"picture {picture.name!r} cannot be read ({error})", "Write it before it is told"
            ) from None
        kept = self.path / PICTURES / f"{artifacts.digest(picture)[:16]}{kind}"
        if not kept.exists():
            artifacts.write_bytes(kept, content)
        return kept

    def decide(self, text: str, why: str, *, made: datetime | None = None) -> Path:
        """Keep a decision and its reason, dated now unless `made` says otherwise.

        Raises
        ------
        MemoryBankError
            The text or the reason is empty, or another decision was made in the same second
            in the same words.
        """
        record = Decision(made or datetime.now(UTC), text, why)
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
            they were made, figures that are not the run's own, broken links, indexes that the
            records do not give. Empty when all is well.
        """
        return problems_in(self.path, self.runs)

    def experiments(self) -> list[ExperimentEntry]:
        """Read all experiments that can be trusted, oldest first."""
        return [each.record for each in records.experiments(self.path) if each.record is not None]

    def search(self, text: str) -> list[Hit]:
        """Find the pages that hold all words of `text`, in any case, one hit a page."""
        words = text.casefold().split()
        hits = []
        for page in sorted(self.path.rglob("[!.]*.md")):
            lines = page.read_bytes().decode(errors="replace").splitlines()
            folded = [line.casefold() for line in lines]
            if not words or not all(any(word in line for line in folded) for word in words):
                continue
            counts = [sum(word in line for word in words) for line in folded]
            best = counts.index(max(counts))
            hits.append(Hit(page.relative_to(self.path), best + 1, lines[best].strip()))
        return hits

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
