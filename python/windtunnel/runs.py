"""The run directory: what a study has finished, in files that are whole or absent.

::

    runs/<run id>/
      study.toml         the study, every default spelled out; runs again as it stands
      origin.json        the command that started it, and where the bars came from
      bars.parquet       the bars after the quality gate
      environment.json   versions, devices and flags that decide the bits
      compilation.json   programs that the search compiled, or read from the cache, and seconds
      cohorts/0000/      trials.parquet, equity.npy: one directory a finished cohort
      rivals/            the supervised study that a policy is set beside, a run without an end
      parts/             parts of the cohort that is being trained, where they are shared out
      optuna.journal     the same trials for optuna-dashboard; or optuna.db
      trials.parquet     all trials, once tuning is done
      trades.parquet     the champion's fills over the validation slices
      holdout.parquet    the champion's scores and exposures on the holdout's bars
      report.html, bundle/
      equity.svg         the picture of the memory bank's page
      result.json        figures and verdict
      manifest.json      SHA-256 of everything above; present when the run is complete
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import artifacts
from windtunnel.config import StudyFile, load_study_file, study_digest, to_toml
from windtunnel.errors import DataError, RunError

MANIFEST = "manifest.json"
COMPILATION = "compilation.json"
# Grows while a run is going on, and is no result of it.
UNSEALED = frozenset({MANIFEST, "run.lock"})


def run_id(study: StudyFile, fingerprint: str) -> str:
    """Name of a run: the same study on the same bars always gets the same one."""
    meaning = hashlib.sha256(f"{study_digest(study)}:{fingerprint}".encode()).hexdigest()
    return f"{study.study.name}-{meaning[:10]}"


def numbered(folder: Path) -> list[Path]:
    """What `folder` holds under numbers of four digits or more, in order of number."""
    return sorted(folder.glob("[0-9]*"), key=lambda path: (len(path.name), path.name))


@dataclass(frozen=True)
class Run:
    """One run directory."""

    path: Path

    @property
    def id(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def complete(self) -> bool:
        """Whether the run has finished and was sealed by its manifest."""
        return (self.path / MANIFEST).is_file()

    @classmethod
    def create(
        cls,
        path: Path,
        study: StudyFile,
        bars: pl.DataFrame,
        *,
        origin: str | None,
        source: str | None = None,
    ) -> Run:
        """Start a run directory, or return the one that an earlier attempt left.

        `origin` is the study file as the user named it, None for a study made in Python;
        `source` says where the bars come from, None for `data.source`.
        """
        # Another attempt may be making it at this moment: whose it is, the lock decides.
        with contextlib.suppress(FileExistsError), artifacts.new_directory(path) as fresh:
            artifacts.write_text(fresh / "study.toml", _as_kept(study))
            bars.write_parquet(fresh / "bars.parquet")
            again = origin or f"runs/{path.name}/study.toml"
            told = {"command": f"windtunnel run {again}", "source": source or _shared(study)}
            artifacts.write_json(fresh / "origin.json", told)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open an existing run directory.

        Raises
        ------
        RunError
            There is no run at `path`.
        """
        if not (path / "study.toml").is_file():
            raise RunError(
                f"{str(path)!r} is not a run directory: it holds no study.toml",
                "Give a directory below runs/; `windtunnel runs` lists them",
            )
        return cls(path)

    @property
    def command(self) -> str:
        """What a colleague types to carry the same study out again."""
        return str(json.loads((self.path / "origin.json").read_text())["command"])

    @property
    def source(self) -> str:
        """Where the bars came from; empty where an older run does not say."""
        return str(json.loads((self.path / "origin.json").read_text()).get("source", ""))

    def study(self) -> StudyFile:
        """The study that this run carries out."""
        return load_study_file(self.path / "study.toml")

    def hold_meaning(self, fingerprint: str) -> None:
        """Refuse a study, or bars of this fingerprint, that the run did not begin with.

        Raises
        ------
        DataError
            The directory is not named after what it holds.
        """
        if run_id(self.study(), fingerprint) != self.id.split("~")[0]:
            raise DataError(
                f"run {self.id}: study.toml or bars.parquet is not what the run began with",
                "Restore them, or start anew with `windtunnel run --fresh`",
            )

    def take_settings(self, study: StudyFile) -> None:
        """Keep a study of the same meaning in place of that of an earlier attempt.

        They may differ in where and by whom trials are computed, and in the memory budget.
        """
        text, path = _as_kept(study), self.path / "study.toml"
        if path.read_text(encoding="utf-8") != text:
            artifacts.write_text(path, text)

    def set_aside(self) -> None:
        """Rename the directory, if there is one, to a name that is free.

        Raises
        ------
        RunError
            Another process works on it.
        """
        if not self.path.exists():
            return
        with self.locked():
            number = 1
            while (aside := self.path.with_name(f"{self.path.name}~{number}")).exists():
                number += 1
            self.path.rename(aside)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; the lock ends with the process, however it ends.

        Raises
        ------
        RunError
            Another process works on it, or has set it aside.
        """
        lock = self.path / "run.lock"
        with contextlib.ExitStack() as stack:
            file, held = None, False
            with contextlib.suppress(FileNotFoundError):
                file = stack.enter_context(lock.open("a"))
                held = _locked_soon(file)
            # What was locked may by now be the file of a directory that was set aside.
            if file is None or not is_at(file, lock):
                raise RunError(
                    f"run {self.id} has been set aside by another process",
                    "Repeat the command: it begins anew, or says who works on the run",
                )
            if not held:
                raise RunError(
                    f"run {self.id} is being worked on by another process",
                    "Wait for it to end, or stop it first; `windtunnel work` helps it",
                )
            for leftover in self.path.rglob(".*.tmp"):  # of an attempt that was killed
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()
            yield

    def is_led(self) -> bool:
        """Whether a process carries the run out at this moment."""
        try:
            with (self.path / "run.lock").open("a") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:  # it was set aside
            return False
        return False

    def hold_environment(self, environment: dict[str, str]) -> None:
        """Record what decides the bits of a result, or refuse to go on where it changed."""
        path = self.path / "environment.json"
        if not path.exists():
            artifacts.write_json(path, environment)
            return
        before = json.loads(path.read_text())
        changed = [
            f"{key} was {before.get(key)!r} and is {environment.get(key)!r}"
            for key in sorted(before.keys() | environment.keys())
            if before.get(key) != environment.get(key)
        ]
        if changed:
            raise RunError(
                f"run {self.id} was started in another environment: {'; '.join(changed)}",
                "Resume it where it began, or start it anew with `windtunnel run --fresh`",
            )

    def cohorts(self) -> list[tuple[pl.DataFrame, npt.NDArray[np.float64]]]:
        """Finished cohorts in order: their trial tables and equity curves (T, C)."""
        found = []
        for index, path in enumerate(numbered(self.path / "cohorts")):
            if path.name != f"{index:04d}":
                raise RunError(
                    f"run {self.id}: cohort {index} is missing, {path.name} is there",
                    "Restore the directory, or start anew with `windtunnel run --fresh`",
                )
            try:
                trials = pl.read_parquet(path / "trials.parquet")
                equity = np.load(path / "equity.npy", allow_pickle=False)
            except (OSError, ValueError, pl.exceptions.PolarsError) as error:
                raise RunError(
                    f"run {self.id}: cohort {index} cannot be read ({error})",
                    f"Delete {path.name} and later cohorts, then resume; they are computed again",
                ) from None
            found.append((trials, equity))
        return found

    def commit_cohort(
        self, index: int, trials: pl.DataFrame, equity: npt.NDArray[np.float64]
    ) -> None:
        """Keep a finished cohort: after this it is never computed again."""
        with artifacts.new_directory(self.path / "cohorts" / f"{index:04d}") as fresh:
            trials.write_parquet(fresh / "trials.parquet")
            np.save(fresh / "equity.npy", equity, allow_pickle=False)

    def write_table(self, name: str, table: pl.DataFrame) -> None:
        """Write a Parquet table whole."""
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        artifacts.write_bytes(self.path / name, buffer.getvalue())

    def write_compilation(self, figures: Mapping[str, int | float]) -> None:
        """Keep what the search compiled; of several attempts, the last that trained."""
        artifacts.write_json(self.path / COMPILATION, dict(figures))

    def compilation(self) -> dict[str, Any]:
        """Programs `compiled`, `read` from the cache, and `seconds`; empty where unknown."""
        path = self.path / COMPILATION
        found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return found

    def result(self) -> dict[str, Any]:
        """The figures and verdict of a complete run."""
        loaded: dict[str, Any] = json.loads((self.path / "result.json").read_text())
        return loaded

    def seal(self) -> None:
        """Mark the run complete: a manifest with the digest of every file."""
        artifacts.write_json(
            self.path / MANIFEST,
            {"schema": 1, "run": self.id, "files": self._digests()},
        )

    def verify(self) -> list[str]:
        """Names of files that are not what the manifest says; empty when all is well."""
        said = json.loads((self.path / MANIFEST).read_text())["files"]
        found = self._digests()
        return sorted(
            name for name in said.keys() | found.keys() if said.get(name) != found.get(name)
        )

    def _digests(self) -> dict[str, str]:
        return artifacts.digests(self.path, leave_out=UNSEALED)


def is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is the one that is at `path` now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _as_kept(study: StudyFile) -> str:
    """The study as its run keeps it: of the bars beside it, every default spelled out."""
    beside: dict[str, Any] = {"source": "bars.parquet", "columns": {}, "time_zone": None}
    return to_toml(study.model_copy(update={"data": study.data.model_copy(update=beside)}))


def _shared(study: StudyFile) -> str:
    """The source of the bars, without a folder of this machine: records are shared."""
    given = Path(study.data.source)
    return given.name if given.is_absolute() or given.parts[:1] == ("~",) else study.data.source


def _locked_soon(file: IO[str]) -> bool:
    """Lock a file, with patience for those who only look whether it is locked."""
    for _ in range(5):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.02)
    return False
