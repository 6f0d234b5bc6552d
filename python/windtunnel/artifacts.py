"""Files that appear whole or not at all, and the digests that hold them to account.

Everything that Windtunnel keeps goes through this module: a reader, or a process that
starts after a crash, sees the old artifact or the new one, never a mix.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

MOST_SYNCED_AT_ONCE = 8


def write_bytes(path: str | Path, content: bytes, *, scratch: Path | None = None) -> None:
    """Write `content` to `path` by temporary file, fsync, rename and directory fsync.

    The temporary file lies beside `path`, or in `scratch` on the same file system.
    """
    path = Path(path)
    with _unfinished(path, content, scratch) as temporary:
        temporary.replace(path)
    sync(path.parent)


def create_bytes(path: str | Path, content: bytes, *, scratch: Path | None = None) -> bool:
    """Write `content` to `path` unless there is a file already; of several callers one succeeds.

    The file appears whole, by a hard link, which fails where the name is taken: also between
    machines that share a file system. Needs no lock, so that none can be left behind.

    Returns
    -------
    bool
        False when `path` existed; nothing was changed then.
    """
    path = Path(path)
    with _unfinished(path, content, scratch) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    sync(path.parent)
    return True


@contextlib.contextmanager
def _unfinished(path: Path, content: bytes, scratch: Path | None) -> Iterator[Path]:
    """A temporary file that holds `content`, on the disk, to become `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place = scratch or path.parent
    handle, name = tempfile.mkstemp(dir=place, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp gives 0600; artifacts are shared
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys; NaN is refused, not written."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def append_line(path: str | Path, line: str) -> None:
    """Append one line durably; a torn last line from an earlier crash is closed first."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        torn = False
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"
        file.write((b"\n" if torn else b"") + line.encode("utf-8") + b"\n")
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def new_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary directory that becomes `path` when the block ends without error.

    Raises
    ------
    FileExistsError
        `path` exists already; directories are never overwritten.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
    try:
        temporary.chmod(0o755)
        yield temporary
        _sync_all([*temporary.rglob("*"), temporary])
        _rename_to_new(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    try:
        sync(path.parent)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)  # its name might be gone after a crash
        raise


def _sync_all(entries: list[Path]) -> None:
    """Bring all of them to the disk, side by side: together they take as long as one alone."""
    with ThreadPoolExecutor(min(len(entries), MOST_SYNCED_AT_ONCE)) as threads:
        list(threads.map(sync, entries))


def _rename_to_new(directory: Path, path: Path) -> None:
    """Rename; another process may have made `path` since it was looked for."""
    try:
        directory.rename(path)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise FileExistsError(path) from None
        raise


def digest(path: str | Path) -> str:
    """SHA-256 of a file, as hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(directory: str | Path, *, leave_out: frozenset[str] = frozenset()) -> dict[str, str]:
    """SHA-256 of every file below `directory`, by POSIX path relative to it, sorted."""
    directory = Path(directory)
    names = sorted(
        file.relative_to(directory).as_posix() for file in directory.rglob("*") if file.is_file()
    )
    return {name: digest(directory / name) for name in names if name not in leave_out}


def sync(path: Path) -> None:
    """Bring a file's content or a directory's names to the disk; a rename alone does not."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
