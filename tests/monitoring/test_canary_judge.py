"""The judge withdraws bad canaries, promotes good ones, and errs as seldom as it says."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.monitoring.canary_judge import CanaryJudge, Tally
from windtunnel.monitoring.canary_terms import Terms

LEVEL = 0.05
TERMS = Terms(
    error_margin=0.03, late_margin=0.05, false_alarm=LEVEL, false_promotion=LEVEL, most=3000
)
GOOD = {"failed": 0.01, "late": 0.02}


def trial(seed, *, champion=GOOD, canary=GOOD, terms=TERMS, differing=None, every=(180, 20)):
    """Run a canary until the judge decides, looking after every hundred requests."""
    random = np.random.default_rng(seed)
    judge = CanaryJudge(terms, seed)
    while True:
        for side, rates, count in zip(
            ("champion", "canary"), (champion, canary), every, strict=True
        ):
            failed = random.binomial(count, rates["failed"])
            late = failed + random.binomial(count - failed, rates["late"])
            judge.counted(side, Tally(count, failed, late))
        if differing is not None:
            judge.compared(every[1], int(random.binomial(every[1], differing)))
        ruling = judge.rule()
        if ruling.decision != "wait":
            return ruling


def share(decision, count=120, **world):
    return sum(trial(seed, **world).decision == decision for seed in range(count)) / count


def bound(level, count=120):
    """The stated rate, and two standard errors of so many simulated canaries."""
    return level + 2 * math.sqrt(level * (1 - level) / count)


def test_a_canary_that_is_no_worse_is_withdrawn_as_seldom_as_stated():
    # With margins this small nothing can be promoted before the last look, so that the
    # judge looks 150 times at each canary.
    terms = replace(TERMS, error_margin=0.001, late_margin=0.001)
    rulings = [trial(seed, terms=terms) for seed in range(120)]
    alarms = sum("worse" in ruling.why for ruling in rulings)
    assert alarms / 120 <= bound(LEVEL)
    assert sum("undecided" in ruling.why for ruling in rulings) > 100


@pytest.mark.parametrize(
    "worse",
    [
        {"failed": GOOD["failed"] + TERMS.error_margin, "late": GOOD["late"]},
        {"failed": GOOD["failed"], "late": GOOD["late"] + TERMS.late_margin + 0.001},
    ],
    ids=["errors", "latency"],
)
def test_a_canary_that_is_worse_by_the_margin_is_promoted_as_seldom_as_stated(worse):
    assert share("promote", canary=worse) <= bound(LEVEL)


def test_good_canaries_are_promoted_and_bad_ones_withdrawn():
    assert share("promote", 40) > 0.9
    assert share("withdraw", 40, canary={"failed": 0.15, "late": 0.02}) > 0.95
    assert share("withdraw", 40, canary={"failed": 0.01, "late": 0.25}) > 0.95
    quick = [trial(seed, canary={"failed": 0.5, "late": 0.0}) for seed in range(20)]
    assert max(ruling.figures["canary_answers"] for ruling in quick) <= 200


def test_decisions_are_compared_with_what_is_tolerated():
    terms = replace(TERMS, compare_decisions=True, disagreement=0.2, disagreement_margin=0.1)
    assert share("promote", 20, terms=terms, differing=0.1) > 0.9
    ruling = trial(1, terms=terms, differing=0.6)
    assert (ruling.decision, ruling.why) == ("withdraw", "The canary is worse in decisions")
    assert share("promote", 100, terms=terms, differing=0.3) <= bound(LEVEL, 100)
    assert (
        share("withdraw", 100, terms=replace(terms, disagreement_margin=0.001), differing=0.2) > 0
    )
    judge = CanaryJudge(TERMS)
    judge.compared(1, 1)
    assert "decisions_difference" not in judge.rule().figures


def test_an_outage_that_both_share_is_not_the_canarys_fault():
    random = np.random.default_rng(0)
    judge = CanaryJudge(TERMS)
    for minute in range(100):
        rate = 0.9 if 40 <= minute < 50 else 0.01
        for side, count in (("champion", 90), ("canary", 10)):
            failed = int(random.binomial(count, rate))
            judge.counted(side, Tally(count, failed, failed))
        assert judge.rule().decision != "withdraw"


def test_counting_one_by_one_equals_counting_at_once():
    one, many = CanaryJudge(TERMS, seed=3), CanaryJudge(TERMS, seed=3)
    for side in ("champion", "canary"):
        for i in range(200):
            if i % 20 == 0:
                one.failed(side)
            else:
                one.answered(side, 0.1 if i % 10 == 1 else 0.001)
        many.counted(side, Tally(200, 10, 30))
    assert one.rule() == many.rule()
    assert one.rule().figures["canary_late"] == 30


def test_one_side_alone_says_nothing():
    judge = CanaryJudge(TERMS)
    for _ in range(1000):
        judge.failed("canary")
    ruling = judge.rule()
    assert (ruling.decision, ruling.figures["canary_answers"]) == ("wait", 0)
    judge.counted("champion", Tally(1000, 0, 0))
    assert judge.rule().decision == "withdraw"


def test_several_judges_ask_for_more():
    def evidence(judges):
        judge = CanaryJudge(replace(TERMS, judges=judges, fewest=1))
        for step in range(1, 1000):
            judge.counted("champion", Tally(10))
            judge.counted("canary", Tally(10))
            if judge.rule().decision == "promote":
                return step
        return None

    assert evidence(1) < evidence(20)


def test_goes_on_after_a_restart():
    judge = CanaryJudge(TERMS, seed=1)
    for _ in range(20):
        judge.counted("champion", Tally(90, 1, 2))
        judge.counted("canary", Tally(10, 0, 1))
        judge.rule()
    again = CanaryJudge.from_record(json.loads(json.dumps(judge.to_record())), seed=1)
    assert again.terms == judge.terms
    assert again.rule() == judge.rule()


def test_figures_are_json_and_state_the_error_rates():
    figures = CanaryJudge(TERMS).rule().figures
    json.dumps(figures, allow_nan=False)
    assert figures["errors_difference"] is None
    assert (figures["false_alarm"], figures["false_promotion"]) == (LEVEL, LEVEL)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("error_margin", 0.0),
        ("late_margin", 1.0),
        ("disagreement_margin", float("nan")),
        ("false_alarm", 0.0),
        ("false_promotion", 0.9),
        ("disagreement", 0.95),
        ("late_seconds", float("inf")),
        ("late_seconds", 0.0),
        ("judges", 0),
        ("most", 10),
    ],
)
def test_terms_that_mean_nothing_are_refused(name, value):
    with pytest.raises(MetricError, match=rf"terms\.{name}: must"):
        Terms(**{name: value})


def test_counts_that_do_not_fit_are_refused():
    judge = CanaryJudge(TERMS)
    for tally in (Tally(1, 2, 0), Tally(1, 0, 2), Tally(-1, -1, -1)):
        with pytest.raises(MetricError, match="do not fit together"):
            judge.counted("canary", tally)
    with pytest.raises(MetricError, match="3 of 2 requests cannot differ"):
        judge.compared(2, 3)
