"""The project's ledger: every trial ever made, whatever became of its run.

A study's best trial looks the better the more were tried. The ledger remembers trials of
all runs, also of those whose directories were deleted, so that a study tried again with
another seed has its statistics deflated by both attempts.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel.append_only import AppendOnlyFile
from windtunnel.span import Span, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    from windtunnel.config.search import Value
    from windtunnel.span import Moment

FORMAT = 1


@dataclass(frozen=True, slots=True)
class LedgerTrial:
    """One trial as the ledger keeps it.

    Attributes
    ----------
    number : int
        Within its study, from 0.
    params : dict of str to float, int, str or bool
        Of the dimensions that the trial has.
    state : str
        "complete", "failed" or "pruned".
    sharpe : float or None
        Annualised Sharpe ratio, out of sample and after costs; None where it is not defined.
    """

    number: int
    params: dict[str, Value]
    state: str
    sharpe: float | None


@dataclass(frozen=True, slots=True)
class LedgerCohort:
    """A cohort of trials and what they were tried on.

    Attributes
    ----------
    run_id, study, study_digest, data_fingerprint : str
    span : Span
        The bars on which the trials were judged.
    cohort : int
        Place of the cohort within its run, from 0.
    trials : tuple of LedgerTrial
    bars : int or None
        How many bars the trials were judged on.
    periods_per_year : float or None
        What their Sharpe ratios were annualised with. Both are None of older lines.
    """

    run_id: str
    study: str
    study_digest: str
    data_fingerprint: str
    span: Span
    cohort: int
    trials: tuple[LedgerTrial, ...]
    bars: int | None = None
    periods_per_year: float | None = None

    @property
    def by_calendar(self) -> float:
        """Factor from a Sharpe ratio as recorded to one annualised by the calendar.

        A study says how many bars a year has, and may be wrong or corrected later; how many there
        were is a fact. Older lines are taken at their word.
        """
        if self.bars is None or self.periods_per_year is None:
            return 1.0
        known = self.span.bars_a_year(self.bars)
        return math.sqrt(known / self.periods_per_year) if math.isfinite(known) else 1.0


@dataclass(frozen=True)
class PastTrials:
    """Trials found in the ledger, each with the cohort that it belongs to."""

    trials: tuple[tuple[LedgerCohort, LedgerTrial], ...]

    @property
    def count(self) -> int:
        """Number of trials, failed and pruned ones included."""
        return len(self.trials)

    @property
    def sharpes(self) -> npt.NDArray[np.float64]:
        """Sharpe ratios of the trials that have one, in ledger order, (n,) float64.

        Annualised by the calendar, so that studies with other bars, or with another idea of how
        many make a year, are comparable.
        """
        found = [
            trial.sharpe * cohort.by_calendar
            for cohort, trial in self.trials
            if trial.sharpe is not None
        ]
        return np.array(found, dtype=np.float64)

    @property
    def runs(self) -> tuple[str, ...]:
        """Runs that the trials come from, in the order in which they were first recorded."""
        return tuple(dict.fromkeys(cohort.run_id for cohort, _ in self.trials))

    @property
    def by_run(self) -> tuple[str, ...]:
        """How many trials each run made, in words."""
        counts = Counter(cohort.run_id for cohort, _ in self.trials)
        return tuple(
            f"{count} {'trial' if count == 1 else 'trials'} of run {run}"
            for run, count in counts.items()
        )

    def without_repeats(self) -> PastTrials:
        """Leave out exact repeats, which give chance no further opportunity.

        A repeat is a trial of the same study file (seed included) on the same bars, with the
        same number, parameters and result: the same work done again, as when a colleague
        reproduces a run.
        """
        kept: dict[tuple[object, ...], tuple[LedgerCohort, LedgerTrial]] = {}
        for cohort, trial in self.trials:
            key = (
                cohort.study_digest,
                cohort.data_fingerprint,
                trial.number,
                tuple(sorted(trial.params.items())),
                trial.state,
                trial.sharpe,
            )
            kept.setdefault(key, (cohort, trial))
        return PastTrials(tuple(kept.values()))


class Ledger:
    """The append-only file in which a project's trials are kept.

    Parameters
    ----------
    path : Path
        Usually ``runs/ledger.jsonl``; need not exist yet. Several processes may add to it.
    """

    def __init__(self, path: Path) -> None:
        self._file = AppendOnlyFile(path, "project ledger")
        # By run: how far the file was read for its lines, and what these mean.
        self._read: dict[str, tuple[int, set[str]]] = {}

    def append(self, cohort: LedgerCohort) -> bool:
        """Add a cohort, unless the very same one is there already.

        A resumed run may therefore add its cohorts again without counting them twice. A
        cohort of the same run with other trials or results is added: these were tried too.

        Returns
        -------
        bool
            Whether a line was added. On return it is on the disk.
        """
        record = _record(cohort)
        with self._file.exclusive() as held:
            # A long search adds a line a cohort: what was read for the last is not read again.
            before, known = self._read.get(cohort.run_id, (0, set()))
            end, new = held.since(before, json.dumps(cohort.run_id).encode())
            known = known if end >= before else set()  # it was cut short, and read anew
            known.update(map(_meaning, new))
            self._read[cohort.run_id] = end, known
            if _meaning(record) in known:
                return False
            held.append(record)
        return True

    def cohorts(self) -> list[LedgerCohort]:
        """Read all cohorts, in the order in which they were recorded.

        Raises
        ------
        RunError
            A line cannot be read; the message names it. An unfinished last line only warns.
        """
        cohorts = []
        for number, record in enumerate(self._file.read(), start=1):
            try:
                cohorts.append(_cohort(record))
            except (KeyError, TypeError, ValueError) as error:
                raise self._file.damaged(
                    number, f"is not a cohort ({type(error).__name__}: {error})"
                ) from None
        return cohorts

    def trials_on(
        self,
        symbols: Iterable[str],
        start: Moment,
        end: Moment,
        *,
        leave_out: str | None = None,
    ) -> PastTrials:
        """Find all trials ever made on bars that overlap with these.

        Parameters
        ----------
        symbols : iterable of str
        start, end : datetime, datetime64 or ISO 8601 str
            First and last bar, both included.
        leave_out : str, optional
            Run whose trials are not wanted, for example the one that asks.

        Raises
        ------
        DataError
            The symbols or the range make no sense.
        RunError
            The ledger is damaged.
        """
        wanted = Span.of(symbols, start, end)
        return PastTrials(
            tuple(
                (cohort, trial)
                for cohort in self.cohorts()
                if cohort.run_id != leave_out and cohort.span.overlaps(wanted)
                for trial in cohort.trials
            )
        )

    def summary(self) -> list[dict[str, str | int | float | None]]:
        """Summarise the ledger, a row a run, in the order in which runs were first recorded.

        Columns: run, study, first and last day of the bars, instruments, trials, failed, and
        the best annualised Sharpe ratio (None when no trial has one).
        """
        runs: dict[str, list[LedgerCohort]] = {}
        for cohort in self.cohorts():
            runs.setdefault(cohort.run_id, []).append(cohort)
        rows: list[dict[str, str | int | float | None]] = []
        for run, cohorts in runs.items():
            trials = [trial for cohort in cohorts for trial in cohort.trials]
            sharpes = [trial.sharpe for trial in trials if trial.sharpe is not None]
            rows.append(
                {
                    "run": run,
                    "study": cohorts[0].study,
                    "start": min(cohort.span.start for cohort in cohorts)[:10],
                    "end": max(cohort.span.end for cohort in cohorts)[:10],
                    "instruments": len({name for each in cohorts for name in each.span.symbols}),
                    "trials": len(trials),
                    "failed": sum(trial.state == "failed" for trial in trials),
                    "best_sharpe": max(sharpes, default=None),
                }
            )
        return rows


def _record(cohort: LedgerCohort) -> dict[str, Any]:
    judged = {"bars": cohort.bars, "periods_per_year": cohort.periods_per_year}
    return {
        "run": cohort.run_id,
        "cohort": cohort.cohort,
        "format": FORMAT,
        "recorded": utc_text(datetime.now(UTC)),
        "study": cohort.study,
        "study_digest": cohort.study_digest,
        "data_fingerprint": cohort.data_fingerprint,
        "symbols": list(cohort.span.symbols),
        "start": cohort.span.start,
        "end": cohort.span.end,
        **{name: value for name, value in judged.items() if value is not None},
        "trials": [
            {
                "number": int(trial.number),
                "params": {name: _plain(value) for name, value in trial.params.items()},
                "state": trial.state,
                "sharpe": _finite(trial.sharpe),
            }
            for trial in cohort.trials
        ],
    }


def _meaning(record: dict[str, Any]) -> str:
    """A digest of a record, whenever it was made."""
    meaning = json.dumps({**record, "recorded": ""}, sort_keys=True)
    return hashlib.sha256(meaning.encode()).hexdigest()


def _cohort(record: dict[str, Any]) -> LedgerCohort:
    if record["format"] != FORMAT:
        raise ValueError(f"format {record['format']!r} is not {FORMAT}")
    return LedgerCohort(
        run_id=str(record["run"]),
        study=str(record["study"]),
        study_digest=str(record["study_digest"]),
        data_fingerprint=str(record["data_fingerprint"]),
        span=Span(tuple(record["symbols"]), str(record["start"]), str(record["end"])),
        cohort=int(record["cohort"]),
        trials=tuple(
            LedgerTrial(
                number=int(trial["number"]),
                params=dict(trial["params"]),
                state=str(trial["state"]),
                sharpe=None if trial["sharpe"] is None else float(trial["sharpe"]),
            )
            for trial in record["trials"]
        ),
        bars=record.get("bars"),
        periods_per_year=record.get("periods_per_year"),
    )


def _plain(value: Value) -> Value:
    """Unwrap NumPy's scalars, which JSON does not know."""
    return value if isinstance(value, (str, bool, int)) else float(value)


def _finite(value: float | None) -> float | None:
    """Return a plain float, or None for what is not defined: JSON knows no NaN."""
    return float(value) if value is not None and math.isfinite(value) else None
