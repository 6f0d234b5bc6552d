"""One history, and the same history with other futures: what differs before the cut."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from windtunnel.audits import walk
from windtunnel.audits.comparison import (
    Comparison,
    aligned,
    aligned_ends,
    aligned_panel,
    at_bar,
    moment,
)
from windtunnel.audits.futures import FUTURES
from windtunnel.features.compute import FeatureTensor
from windtunnel.labels import Labels

if TYPE_CHECKING:
    import polars as pl

    from windtunnel.audits.case import Case
    from windtunnel.audits.result import Cell
    from windtunnel.course import Course
    from windtunnel.data.panel import Panel
    from windtunnel.protocols import CohortFit

SERIES = ("open", "high", "low", "close", "volume", "tradable")


class Examination:
    """Compares a history with itself under other futures.

    Parameters
    ----------
    case : Case
        Study, folds and pipeline.
    bars : polars.DataFrame
        The history.
    name : str
        What the rows of evidence call it.

    Attributes
    ----------
    found : list of rows
        Every difference, the earliest step of the pipeline first within a cut.
    compared : Counter
        Values compared, by step.
    moved : bool
        Whether any feature after a cut took notice of the other future.
    """

    def __init__(self, case: Case, bars: pl.DataFrame, name: str) -> None:
        self.case = case
        self.bars = bars
        self.name = name
        subject, study = case.subject, case.study
        self.reference = walk.prepare(subject, study, subject.panel(bars), case.plan)
        self.found: list[dict[str, Cell]] = []
        self.compared: Counter[str] = Counter()
        self.moved = False
        self._fits: dict[bytes, CohortFit] = {}

    @property
    def trainings(self) -> int:
        """How often the folds were trained."""
        return len(self._fits)

    @property
    def failure(self) -> str | None:
        """Why the folds of the history as it is cannot be trained, if they cannot."""
        return self._fit(self.reference).failures.get(0)

    def look_at_data(self, cuts: tuple[int, ...]) -> None:
        """Compare panel, features, labels and training rows."""
        for cut, future, panel in self._others(cuts):
            comparison = Comparison()
            self._compare_data(comparison, cut, self._course(panel), panel)
            self._note(comparison, cut, future)

    def look_at_models(self, cuts: tuple[int, ...]) -> None:
        """Train on the other futures, up to the first that differs, and compare what follows.

        Scalers and weights of every fold that has begun, scores, exposures, equity.
        """
        for cut, future, panel in self._others(cuts):
            comparison = Comparison()
            self._compare_models(comparison, cut, self._course(panel))
            self._note(comparison, cut, future)
            if self.found:
                return

    def _others(self, cuts: tuple[int, ...]) -> Iterator[tuple[int, str, Panel]]:
        for cut in cuts:
            last = self.case.stamps[cut]
            for turn, (name, other) in enumerate(FUTURES.items()):
                rng = np.random.default_rng([self.case.study.study.seed, cut, turn])
                yield cut, name, self.case.subject.panel(other(self.bars, last, rng))

    def _course(self, panel: Panel) -> Course:
        """What the pipeline makes of other bars, laid out on the bars of the reference.

        A future that was cut off is laid out with missing bars in its place, so that the
        folds are the same ranges and the trainer's program is compiled once.
        """
        subject, study, own = self.case.subject, self.case.study, self.reference.panel
        tensor = subject.features(panel, study.features.use)
        labels = subject.labels(panel, study.label)
        return walk.assemble(
            subject,
            study,
            aligned_panel(panel, own),
            FeatureTensor(
                aligned(tensor.values, panel, own, fill=np.nan), tensor.names, tensor.warmup
            ),
            Labels(
                aligned(labels.values, panel, own, fill=np.nan),
                aligned_ends(labels.end, panel, own),
                labels.kind,
                labels.horizon,
                aligned(labels.returns, panel, own, fill=np.nan),
            ),
            self.case.plan,
        )

    def _compare_data(self, hold: Comparison, cut: int, other: Course, panel: Panel) -> None:
        own, seen = self.reference, slice(cut + 1)
        hold.same(
            "timestamps",
            own.panel.timestamps[seen].astype(np.int64),
            panel.timestamps[seen].astype(np.int64),
            lambda index: f"the timestamp of bar {index[0]}",
        )
        for name in SERIES:
            before, after = getattr(own.panel, name)[seen], getattr(other.panel, name)[seen]
            hold.same("panel", before, after, at_bar(own.panel, name))
        for f, name in enumerate(own.features.names):
            before, after = (course.features.values[seen, :, f] for course in (own, other))
            hold.same("features", before, after, at_bar(own.panel, name))
        # Another value, not a missing one: a feature that is gone has not looked at anything.
        one, two = (course.features.values[cut + 1 :] for course in (own, other))
        self.moved |= bool(np.any((one != two) & np.isfinite(one) & np.isfinite(two)))
        where = _ended(own, cut) | _ended(other, cut)
        for what, before, after in (
            ("the label", own.labels.values, other.labels.values),
            ("the label's end", own.labels.end, other.labels.end),
        ):
            hold.same("labels", before, after, at_bar(own.panel, what), where=where)
        for k in self._begun(cut):
            place = at_bar(own.panel, f"fold {k}'s use of the row")
            hold.same("training rows", own.task.train[k], other.task.train[k], place)

    def _compare_models(self, hold: Comparison, cut: int, other: Course) -> None:
        own, subject = self.reference, self.case.subject
        before, after = self._fit(own), self._fit(other)
        for k in self._begun(cut):
            weights, others = _weights(before, k), _weights(after, k)
            for path, values in weights.items():
                hold.same("scalers and weights", values, others[path], _inside(path, k))
        first = own.plan.out_of_sample[0]
        seen = slice(max(cut + 1 - first, 0))
        scores, exposures, equity = [], [], []
        for course, fit in ((own, before), (other, after)):
            column = np.ascontiguousarray(fit.scores[:, :, 0])
            scores.append(column[seen])
            exposures.append(walk.expose(subject, course, column, walk.OWN)[seen])
            traded = walk.trade(subject, course, fit.scores, [walk.OWN])
            equity.append(traded.equity[seen, 0])
        for step, what, (one, two) in (
            ("scores", "the score", scores),
            ("exposures", "the target exposure", exposures),
            ("equity", "equity", equity),
        ):
            hold.same(step, one, two, at_bar(own.panel, what, offset=first))

    def _begun(self, cut: int) -> Iterator[int]:
        """Folds whose model is in use, or about to be, once bar `cut` is known."""
        return (k for k, fold in enumerate(self.case.plan.folds) if fold.validation[0] <= cut + 1)

    def _fit(self, course: Course) -> CohortFit:
        """Train, unless the very same task was trained before."""
        digest = hashlib.sha256()
        for part in (course.task.features, course.task.labels, course.task.train):
            digest.update(np.ascontiguousarray(part).tobytes())
        key = digest.digest()
        if key not in self._fits:
            self._fits[key] = walk.fit(self.case.subject, course, [walk.OWN], keep_models=True)
        return self._fits[key]

    def _note(self, comparison: Comparison, cut: int, future: str) -> None:
        self.compared += comparison.compared
        self.found += [
            {
                "bars": self.name,
                "cut": moment(self.reference.panel.timestamps[cut]),
                "future": future,
                "step": difference.step,
                "place": difference.place,
                "before": difference.before,
                "after": difference.after,
                "changed": difference.count,
            }
            for difference in comparison.differences
        ]


def _ended(course: Course, cut: int) -> npt.NDArray[np.bool_]:
    """Labels whose window has ended by bar `cut`."""
    return np.asarray((course.labels.end >= 0) & (course.labels.end <= cut))


def _weights(fit: CohortFit, fold: int) -> dict[str, npt.NDArray[Any]]:
    """Everything that was fitted for one fold, by name; nothing where models are not kept."""
    if fit.models is None:
        return {}
    fitted = fit.models[0].parameters(fold)
    named = {"mean": "the scaler's mean", "scale": "the scaler's scale"}
    return {named[name]: fitted[name] for name in named} | {
        f"weight {path}": values for path, values in _leaves(fitted["network"])
    }


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if isinstance(tree, Mapping):
        for name, branch in tree.items():
            yield from _leaves(branch, f"{path}.{name}".lstrip("."))
    else:
        yield path, np.asarray(tree)


def _inside(path: str, fold: int) -> Any:
    return lambda index: f"{path}{list(index)} of fold {fold}"
