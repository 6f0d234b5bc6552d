"""Pictures in the bank: copies, named by their content, so that two records can share one."""

from __future__ import annotations

import hashlib
from pathlib import Path

from windtunnel import artifacts
from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank.front_matter import Scalar

FOLDER = "pictures"
KINDS = (".svg", ".png")


def keep(bank: Path, picture: Path) -> dict[str, Scalar]:
    """Copy a picture into the bank.

    Returns
    -------
    dict of str to str
        Its SHA-256 by its path relative to the page of a record.

    Raises
    ------
    MemoryBankError
        The picture is neither SVG nor PNG, or cannot be read.
    """
    kind = picture.suffix.lower()
    if kind not in KINDS:
        raise MemoryBankError(f"picture {picture.name!r}: is neither SVG nor PNG", "Convert it")
    try:
        content = picture.read_bytes()
    except OSError as error:
        raise MemoryBankError(
            f"picture {picture.name!r} cannot be read ({error})", "Write it before it is told"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    kept = bank / FOLDER / f"{digest[:16]}{kind}"
    if not kept.exists() or artifacts.digest(kept) != digest:
        artifacts.write_bytes(kept, content)
    return {f"../{FOLDER}/{kept.name}": digest}
