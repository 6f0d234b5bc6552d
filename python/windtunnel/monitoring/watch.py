"""Everything that is watched of one version of one model, bar by bar."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from windtunnel.monitoring.alerts.condition import Condition, subject_of
from windtunnel.monitoring.bars import BarWatch, as_moment, usual_length, usual_patience
from windtunnel.monitoring.decay.account import EquityWatch, SlippageWatch
from windtunnel.monitoring.decay.skill import SkillWatch
from windtunnel.monitoring.drift.changes import ChangeWatch, stream_kind
from windtunnel.monitoring.drift.detector import DriftCheck, DriftDetector
from windtunnel.monitoring.drift.promise import how_often
from windtunnel.monitoring.drift.reference import build_reference
from windtunnel.monitoring.settings import MonitorFile

if TYPE_CHECKING:
    from windtunnel.deployment.bundle import Bundle

Float64Array = npt.NDArray[np.float64]

SCORE = "score"  # watched for drift as the features are
_KEPT_SCORES = 5000  # bars whose outcomes may still come


class ModelWatch:
    """Drift, changes, skill, calibration, account, fills and bars of one version.

    Fed with what the model saw and said, in the order of bars. The conditions it returns are
    for an `AlertManager`.

    Parameters
    ----------
    bundle : Bundle
    version : int
    settings : MonitorFile

    Attributes
    ----------
    unkept : str
        Why drift may alarm more often than `drift.false_alarm_bars` says; empty if it does not.
    """

    def __init__(self, bundle: Bundle, version: int, settings: MonitorFile) -> None:
        manifest = bundle.manifest
        self.subject = subject_of(manifest.name, version)
        self._symbols = frozenset(manifest.symbols)
        self._settings = settings
        rows = bundle.reference().to_numpy()
        scores = bundle.score(rows)
        names = (*manifest.features, SCORE)
        number = bundle.reference_bars()
        reference = build_reference(
            np.column_stack([rows, scores]), names, number, seed=settings.drift.seed
        )
        self.detector = DriftDetector(reference, settings.drift.settings())
        self.unkept = reference.unkept
        kind_of_stream = stream_kind(settings.streams.kind)
        known = np.isfinite(rows).all(axis=1) & np.isfinite(scores)
        self.changes = (
            ChangeWatch(
                self.subject,
                rows[known],
                scores[known],
                number[known],
                kind=kind_of_stream,
                false_alarm_bars=settings.streams.false_alarm_bars,
                seed=settings.drift.seed,
            )
            if kind_of_stream is not None and number is not None
            else None
        )
        window = bundle.replay_window()
        moments = [as_moment(stamp) for stamp in window.panel.timestamps]
        self.bars = BarWatch(
            manifest.name,
            self.subject,
            manifest.symbols,
            length=usual_length(moments),
            stale_after=settings.bars.stale_after or usual_patience(moments),
            missing_after=settings.bars.missing_after,
        )
        kind = manifest.label.kind
        self.skill = (
            SkillWatch(
                self.subject,
                kind=kind,
                horizon=manifest.label.horizon,
                reference_scores=scores,
                floor=settings.decay.ic_floor,
                alpha=settings.decay.alpha,
            )
            if kind in ("direction", "forward_return")
            else None
        )
        self.account = EquityWatch(
            self.subject,
            tolerance=settings.decay.equity_tolerance_bps / 1e4,
            alpha=settings.decay.alpha,
            fewest=settings.decay.fewest,
        )
        assumed = settings.decay.assumed_bps
        if assumed is None and manifest.account is not None:
            assumed = 1e4 * manifest.account.costs.get("half_spread", 0.0)
        self.fills = (
            SlippageWatch(
                self.subject,
                assumed_bps=assumed,
                alpha=settings.decay.alpha,
                fewest=settings.decay.fewest,
            )
            if assumed is not None
            else None
        )
        self.checks: list[tuple[datetime, DriftCheck]] = []
        self._window: deque[Float64Array] = deque(maxlen=settings.drift.window)
        self._since_check = 0
        self._sizes: deque[tuple[datetime, float]] = deque(maxlen=500)
        self._scores: dict[datetime, dict[str, float]] = {}
        self._open: dict[str, Float64Array] | None = None  # of the last bar, until it is judged

        self._early: datetime | None = None  # the bar last passed over as ahead of time

    def bar(
        self,
        at: datetime,
        symbols: tuple[str, ...],
        rows: npt.NDArray[np.floating],
        scores: npt.NDArray[np.floating],
        *,
        now: datetime | None = None,
    ) -> list[Condition]:
        """Take note of one bar: the instruments that have it, their features (n, F), scores (n,).

        They may come in parts: a bar is judged once all instruments have it, or when a later
        one begins. What a service is asked about a bar or an instrument of it again, and bars
        before the last one, are passed over; with `now`, so is a bar that lies ahead of it.
        """
        found: list[Condition] = []
        last = self.bars.last
        if last is None or at > last:
            if now is not None:
                found = [self.bars.early(at, now)]
                if found[0].breached:
                    again, self._early = at == self._early, at
                    return [] if again else found
            found += self.close()
            self.bars.begin(at)
            self._open, self._scores[at] = {}, {}
            if len(self._scores) > _KEPT_SCORES:
                del self._scores[next(iter(self._scores))]
        elif at < last or self._open is None:
            return []
        values = np.column_stack([rows, scores]).astype(np.float64)
        said = self._scores.get(at, {})  # none once its outcomes were told
        for symbol, row in zip(symbols, values, strict=True):
            if symbol not in self._open:
                self._open[symbol] = row
                said[symbol] = float(row[-1])
        return found + self.close() if self._open.keys() >= self._symbols else found

    def close(self) -> list[Condition]:
        """Judge the bar that has begun by what has come of it; no more of it will."""
        at, rows, self._open = self.bars.last, self._open, None
        if at is None or rows is None:
            return []
        self.bars.bar(at, rows)
        found = self.bars.missing(at)
        known = [row for row in rows.values() if np.isfinite(row).all()]
        if known:
            values = np.stack(known)
            found += self._drift(at, values)
            if self.changes is not None:
                found += self.changes.bar(at, values[:, :-1], values[:, -1])
        return found

    def outcomes(self, at: datetime, outcomes: Mapping[str, float]) -> list[Condition]:
        """Take note of what became of the decisions of bar `at`, by instrument, in order."""
        said = self._scores.pop(at, None)
        if said is None or self.skill is None:
            return []
        both = [symbol for symbol in said if symbol in outcomes]
        if not both:
            return []
        self.skill.add(
            at,
            np.array([said[symbol] for symbol in both]),
            np.array([outcomes[symbol] for symbol in both], np.float64),
        )
        return self.skill.conditions(self.bars.last or at)

    def returns(self, at: datetime, live: float, backtest: float) -> list[Condition]:
        """Take note of the account's return over a bar, and of the backtest's on the same bar."""
        self.account.add(at, live, backtest)
        return [self.account.condition(at)]

    def fill(self, at: datetime, side: int, price: float, expected_price: float) -> list[Condition]:
        """Take note of a fill beside the price that the backtest's rule gives.

        Nothing is said where neither the bundle nor the monitor file says what was assumed.
        """
        if self.fills is None:
            return []
        self.fills.add(at, side, price, expected_price)
        return [self.fills.condition(at)]

    def tick(self, now: datetime) -> list[Condition]:
        """What time alone has to say: whether bars are overdue."""
        stale = self.bars.stale(now)
        return [] if stale is None else [stale]

    def _drift(self, at: datetime, values: Float64Array) -> list[Condition]:
        self._window.append(values)
        self._since_check += 1
        section = self._settings.drift
        if len(self._window) < section.window or self._since_check < section.stride:
            return []
        self._since_check = 0
        sizes = [len(part) for part in self._window]
        bars = np.repeat(np.arange(len(sizes)), sizes)
        check = self.detector.check(np.concatenate(self._window), bars)
        self.checks.append((at, check))
        before = tuple(self._sizes)
        self._sizes.append((at, check.size))
        named = ", ".join(check.features[:5])
        more = f" and {len(check.features) - 5} more" if len(check.features) > 5 else ""
        which = (
            f"by themselves {named}{more}"
            if check.features
            else "no feature by itself, but how they hang together"
        )
        return [
            Condition(
                signal="drift",
                subject=self.subject,
                at=at,
                breached=check.drifted,
                value=check.size,
                threshold=check.threshold,
                what=f"the last {section.window} bars are not like the training rows: {which} "
                f"(most in {check.leading}); this size is passed without drift "
                f"{how_often(section.false_alarm_bars, self.unkept)}",
                advice="Look at the features named: a feed that changed is mended, a market that "
                "changed calls for `windtunnel retrain`",
                history=before,
            )
        ]
