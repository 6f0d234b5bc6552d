"""Pages that hold words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Hit:
    """A page that holds the words searched for, and the line that holds most of them."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def pages_with(bank: Path, text: str) -> list[Hit]:
    """Find the pages that hold all words of `text`, in any case, one hit a page."""
    words = text.casefold().split()
    hits = []
    for page in sorted(bank.rglob("[!.]*.md")):
        lines = page.read_bytes().decode(errors="replace").splitlines()
        folded = [line.casefold() for line in lines]
        if not words or not all(any(word in line for line in folded) for word in words):
            continue
        counts = [sum(word in line for word in words) for line in folded]
        best = counts.index(max(counts))
        hits.append(Hit(page.relative_to(bank), best + 1, lines[best].strip()))
    return hits
