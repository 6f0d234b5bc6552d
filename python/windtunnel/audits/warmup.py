"""The warm-up audit: a history that begins later must agree once it has warmed up.

A value that never forgets its first bar differs with every length of history, and the
service holds a short one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.audits.comparison import Comparison, aligned, at_bar, moment
from windtunnel.audits.registry import register
from windtunnel.audits.result import AuditResult, Row, not_made
from windtunnel.labels import VOLATILITY_BARS

if TYPE_CHECKING:
    from windtunnel.audits.case import Case
    from windtunnel.data.panel import Float32Array, Panel
    from windtunnel.features.compute import FeatureTensor

STARTS = 5
SHOWN = 12


@register("warmup", "Does a history that begins later agree after the declared warm-up?")
def warmup(case: Case) -> AuditResult:
    """Begin the history at five consecutive later bars and compare features and labels.

    After the declared warm-up every feature must be the same bit for bit. Before that it may
    be missing, but one that is there must be the same too: a window that is not full has no
    value. Labels have the warm-up of the volatility that scales them.
    """
    panel, tensor, labels = _known(case, 0)
    bars, declared = panel.bars, tensor.warmup
    starts = tuple(range(bars // 3, bars // 3 + STARTS))
    rest = bars - starts[-1]
    if rest <= max(declared, VOLATILITY_BARS):
        return not_made(
            "warmup",
            f"of {bars} bars before the holdout a later start leaves {rest}, and the declared "
            f"warm-up is {declared}",
        )
    comparison = Comparison()
    found: list[Row] = []
    for start in starts:
        late_panel, late, late_labels = _known(case, start)
        before = len(comparison.differences)
        for f, name in enumerate(tensor.names):
            _compare(
                comparison,
                panel,
                name,
                tensor.values[:, :, f],
                aligned(late.values[:, :, f], late_panel, panel, fill=np.nan),
                start + declared,
            )
        laid_out = aligned(late_labels, late_panel, panel, fill=np.nan)
        _compare(comparison, panel, "the label", labels, laid_out, start + VOLATILITY_BARS)
        found += [
            {
                "start": moment(panel.timestamps[start]),
                "place": difference.place,
                "whole_history": difference.before,
                "later_start": difference.after,
                "changed": difference.count,
            }
            for difference in comparison.differences[before:]
        ]
    compared = comparison.compared.total()
    figures = {
        "starts": len(starts),
        "declared_warmup": declared,
        "values_compared": compared,
        "values_changed": sum(difference.count for difference in comparison.differences),
    }
    begin = moment(panel.timestamps[starts[0]])
    if found:
        first = found[0]
        sentence = (
            f"The declared warm-up of {declared} bars is not enough: {first['place']} is "
            f"{first['whole_history']} with the whole history and {first['later_start']} with one "
            f"that begins at {first['start']}; {figures['values_changed']:,} values differ in all."
        )
        return AuditResult("warmup", False, sentence, figures, tuple(found[:SHOWN]))
    sentence = (
        f"Histories that begin at {len(starts)} consecutive bars from {begin} on agree with the "
        f"whole one bit for bit after the declared warm-up of {declared} bars "
        f"({compared:,} values)."
    )
    rows: tuple[Row, ...] = tuple(
        {"step": step, "values_compared": count, "changed": 0}
        for step, count in comparison.compared.items()
    )
    return AuditResult("warmup", True, sentence, figures, rows)


def _known(case: Case, start: int) -> tuple[Panel, FeatureTensor, Float32Array]:
    subject, study = case.subject, case.study
    panel = subject.panel(case.after(start))
    labels = subject.labels(panel, study.label)
    return panel, subject.features(panel, study.features.use), labels.values


def _compare(
    comparison: Comparison,
    panel: Panel,
    name: str,
    whole: Float32Array,
    late: Float32Array,
    warm: int,
) -> None:
    """Hold `late` to `whole`: all of it from bar `warm` on, before that where it is defined."""
    held = ~np.isnan(late)
    held[warm:] = True
    step = "labels" if name == "the label" else "features"
    comparison.same(step, whole, late, at_bar(panel, name), where=held)
