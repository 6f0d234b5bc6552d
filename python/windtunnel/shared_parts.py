"""Parts of a cohort shared out through the run directory, so that processes may help one another.

The process that carries a study out publishes each cohort; it and every helper
(`windtunnel work RUN`) claim parts by file locks, which end with the process, however it ends.
A part's numbers do not hang on who computes it, so the trial table is that of one process.

::

    runs/<run id>/parts/0003/
      asked.json     the cohort's parts, and what pruners know of earlier trials
      00.lock        held by whoever works on part 0
      00/            what came of it: table.parquet, equity.npy, rest.json; whole or absent
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

from windtunnel import artifacts
from windtunnel.assessor import Assessor, Past
from windtunnel.rungs import Assessed
from windtunnel.runs import Run, is_at, numbered
from windtunnel.validation import Params

PAUSE = 0.05  # seconds between two looks at what others do


@dataclass(frozen=True)
class SharedParts:
    """Has parts assessed by this process and by those that help it."""

    run: Run
    assessor: Assessor

    def assess(self, parts: Sequence[Sequence[Params]], cohort: int, past: Past) -> list[Assessed]:
        """Publish the parts, work on those that nobody else has, and wait for the others."""
        folder = _folder(self.run, cohort)
        for earlier in folder.parent.glob("[0-9]*"):
            if earlier != folder:
                _remove(earlier)
        folder.mkdir(parents=True, exist_ok=True)
        asked = {
            "cohort": cohort,
            "parts": [[dict(point) for point in part] for part in parts],
            "past": [[ended, dict(reports)] for ended, reports in past],
        }
        artifacts.write_json(folder / "asked.json", asked)
        while not all((folder / _name(at)).is_dir() for at in range(len(parts))):
            if not _work_once(self.assessor, folder):
                time.sleep(PAUSE)
        return [_read(folder / _name(at)) for at in range(len(parts))]

    def clear(self) -> None:
        """Remove what was shared, once all cohorts are committed."""
        _remove(_folder(self.run, 0).parent)


def help_with(run: Run, assessor: Assessor) -> int:
    """Work on parts of a run until the process that carries it out has ended.

    A run that takes its place, once it was set aside, may be of other code: not helped here.

    Returns
    -------
    int
        How many parts were assessed here.
    """
    done, lock = 0, run.path / "run.lock"
    with lock.open("a") as own:
        while run.is_led() and is_at(own, lock):
            worked = False
            for folder in reversed(numbered(run.path / "parts")):
                worked = (folder / "asked.json").is_file() and _work_once(assessor, folder)
                if worked:
                    done += 1
                    break
            if not worked:
                time.sleep(PAUSE)
    return done


def _work_once(assessor: Assessor, folder: Path) -> bool:
    """Assess one part that nobody has claimed; say whether there was one."""
    try:
        asked = json.loads((folder / "asked.json").read_text(encoding="utf-8"))
    except FileNotFoundError:  # the cohort was committed and cleared away
        return False
    for at, params in enumerate(asked["parts"]):
        with _claim(folder, at) as mine:
            if mine is not None:
                found = assessor.assess(params, asked["cohort"], _past(asked))
                with contextlib.suppress(FileNotFoundError):  # cleared away meanwhile
                    if is_at(mine, _lock(folder, at)):  # and not set aside with its run
                        _write(folder / _name(at), found)
                return True
    return False


@contextlib.contextmanager
def _claim(folder: Path, at: int) -> Iterator[IO[str] | None]:
    """Hold part `at` by its lock; None where another process does or it is done already."""
    if (folder / _name(at)).is_dir():
        yield None
        return
    try:
        file = _lock(folder, at).open("a")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Done by another while this process came to the lock?
        free = (folder / "asked.json").is_file() and not (folder / _name(at)).is_dir()
        yield file if free else None


def _remove(folder: Path) -> None:
    """Remove a folder, if it is there, into which helpers may still look for parts.

    Under another name first: who looks for the old one finds nothing, and puts no lock into
    what is being emptied.
    """
    gone = folder.with_name(f".{folder.name}.tmp")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(gone)
        shutil.rmtree(gone)


def _past(asked: dict[str, Any]) -> list[tuple[bool, dict[int, float]]]:
    return [
        (ended, {int(step): value for step, value in reports.items()})
        for ended, reports in asked["past"]
    ]


def _write(folder: Path, found: Assessed) -> None:
    with artifacts.new_directory(folder) as fresh:
        found.table.write_parquet(fresh / "table.parquet")
        np.save(fresh / "equity.npy", found.equity, allow_pickle=False)
        artifacts.write_json(
            fresh / "rest.json",
            {"survivors": list(found.survivors), "problems": list(found.problems)},
        )


def _read(folder: Path) -> Assessed:
    rest = json.loads((folder / "rest.json").read_text(encoding="utf-8"))
    return Assessed(
        pl.read_parquet(folder / "table.parquet"),
        np.load(folder / "equity.npy", allow_pickle=False),
        tuple(rest["survivors"]),
        tuple(rest["problems"]),
    )


def _folder(run: Run, cohort: int) -> Path:
    return run.path / "parts" / f"{cohort:04d}"


def _name(at: int) -> str:
    return f"{at:04d}"


def _lock(folder: Path, at: int) -> Path:
    return folder / f"{_name(at)}.lock"
