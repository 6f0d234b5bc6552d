"""The leak audit: another future must leave everything before it as it was, bit for bit.

The cuts are five consecutive bars at the edge of the last fold. Consecutive, because what is
resampled by the week leaks on four days and hides on the fifth; at the edge, because there a
training label that reaches into the validation slice shows. A second pass looks at the same
bars with a hole punched at each cut, because gaps are filled from behind only where there
are gaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel.audits.comparison import moment
from windtunnel.audits.examination import Examination
from windtunnel.audits.futures import FUTURES, with_holes
from windtunnel.audits.registry import register
from windtunnel.audits.result import AuditResult, Row, not_made

if TYPE_CHECKING:
    from windtunnel.audits.case import Case

CUTS = 5
SHOWN = 12


@register("leak", "Does anything known at a bar change when the bars after it change?")
def leak(case: Case) -> AuditResult:
    """Perturb the future at five consecutive bars and compare what was known before.

    Examined in the order in which each feeds the next: the panel with its tradable mask,
    features, labels that end before the cut, training rows; then, if these hold, the fitted
    scaler and network of every fold that begins before the cut, scores, exposures, equity.
    What feeds on a step that leaks is not examined.
    """
    edge = case.plan.folds[-1].validation[0]
    cuts = tuple(range(edge - 1, edge - 1 + CUTS))
    holes = with_holes(case.known, [case.stamps[cut] for cut in cuts])
    examined = (Examination(case, case.known, "as given"), Examination(case, holes, "with gaps"))
    for part in examined:
        part.look_at_data(cuts)
    whole = examined[0]
    if not any(part.found for part in examined):
        if not all(part.moved for part in examined):
            return not_made(
                "leak",
                "no feature took notice when prices changed, not even after the change, so that "
                "an unchanged past proves nothing",
            )
        if whole.failure:
            return not_made("leak", f"the study's own parameters do not train ({whole.failure})")
        whole.look_at_models(cuts)
    return _answer(examined, cuts)


def _answer(examined: tuple[Examination, ...], cuts: tuple[int, ...]) -> AuditResult:
    found = [row for part in examined for row in part.found]
    compared = sum((part.compared for part in examined[1:]), start=examined[0].compared)
    figures = {
        "cuts": len(cuts),
        "futures": len(FUTURES),
        "values_compared": compared.total(),
        "values_changed": sum(int(row["changed"] or 0) for row in found),
        "trainings": examined[0].trainings,
    }
    if found:
        worst = found[0]
        sentence = (
            f"The pipeline knows the future: when the bars after {worst['cut']} were "
            f"{worst['future']}, {worst['place']} went from {worst['before']} to "
            f"{worst['after']}. {figures['values_changed']:,} values before a cut changed in all."
        )
        return AuditResult("leak", False, sentence, figures, tuple(found[:SHOWN]))
    begin = moment(examined[0].reference.panel.timestamps[cuts[0]])
    sentence = (
        f"The bars after each of {len(cuts)} consecutive bars from {begin} on were changed, cut "
        f"off and blanked: all {compared.total():,} prices, features, labels, scalers, weights, "
        "scores, exposures and equities before that moment stayed the same bit for bit."
    )
    rows: tuple[Row, ...] = tuple(
        {"step": step, "values_compared": count, "changed": 0} for step, count in compared.items()
    )
    return AuditResult("leak", True, sentence, figures, rows)
