"""The judge of a canary: compares it with the champion until the evidence suffices.

Three things are compared, each as a share of requests: answers that failed, answers that came
later than the latency objective, and, where both versions answered the same request, decisions
that differ. For each there are two anytime-valid tests (`windtunnel.monitoring.betting`), so
that one may look as often as one likes:

*harm*, against "the canary is no worse": rejected, the canary is withdrawn. The error is split
over the criteria (Bonferroni), so that a canary that is no worse in any of them is ever
withdrawn with a chance of at most `false_alarm`.

*fitness*, against "the canary is worse by the margin or more": rejected for every criterion,
the canary is promoted. All have to reject, so none needs a correction: a canary that is worse
by the margin in any of them is ever promoted with a chance of at most `false_promotion`.

See Johari, Koomen, Pekelis and Walsh (2022), "Always valid inference: continuous monitoring of
A/B tests", Operations Research 70(3), for what peeking does to fixed-horizon tests, and Ramdas,
Grünwald, Vovk and Shafer (2023), "Game-theoretic statistics and safe anytime-valid inference",
Statistical Science 38(4), for the theory.
"""

from __future__ import annotations

import math
import threading
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.monitoring.betting import BettingProcess
from windtunnel.monitoring.canary_terms import Terms

Decision: TypeAlias = Literal["wait", "promote", "withdraw"]
Float64Array = npt.NDArray[np.float64]

SIDES = ("champion", "canary")


@dataclass(frozen=True)
class Ruling:
    """What the judge says now, why, and the figures behind it (JSON values)."""

    decision: Decision
    why: str
    figures: dict[str, float | int | str | None]


@dataclass
class Tally:
    """Answers of one side since the last look: how many, failed, late."""

    answers: int = 0
    failed: int = 0
    late: int = 0


@dataclass
class _Criterion:
    """The two tests of one share."""

    harm: BettingProcess
    fitness: BettingProcess

    @classmethod
    def at(cls, tolerated: float, margin: float) -> Self:
        # "worse by the margin or more": the mean of -d is at most -(tolerated + margin)
        return cls(BettingProcess(tolerated), BettingProcess(-(tolerated + margin)))

    def update(self, differences: Float64Array) -> None:
        self.harm.update(differences)
        self.fitness.update(-differences)


@dataclass
class CanaryJudge:
    """Takes note of answers, and rules on request.

    Counting is a few integer additions, for the path of a prediction, and may go on in other
    threads while `rule`, where testing happens, is at work in one. Answers between two calls
    of it count as exchangeable: their order is drawn anew, and each canary answer is set
    against as many champion answers as there are for one.

    Parameters
    ----------
    terms : Terms
    seed : int
        Of the order within a stretch of answers.
    """

    terms: Terms = field(default_factory=Terms)
    seed: int = 0

    def __post_init__(self) -> None:
        terms = self.terms
        self._counting = threading.Lock()
        self._since = {side: Tally() for side in SIDES}
        self._ever = {side: Tally() for side in SIDES}
        self._compared = self._differing = 0
        self._criteria = {
            "errors": _Criterion.at(0.0, terms.error_margin),
            "latency": _Criterion.at(0.0, terms.late_margin),
        }
        if terms.compare_decisions:
            self._criteria["decisions"] = _Criterion.at(
                terms.disagreement, terms.disagreement_margin
            )
        self._random = np.random.default_rng(self.seed)

    def answered(self, side: str, seconds: float) -> None:
        """A version answered; `side` is one of `SIDES`."""
        with self._counting:
            tally = self._since[side]
            tally.answers += 1
            tally.late += seconds > self.terms.late_seconds

    def failed(self, side: str) -> None:
        """A version failed to answer what the other one might have answered; counts as late."""
        with self._counting:
            tally = self._since[side]
            tally.answers += 1
            tally.failed += 1
            tally.late += 1

    def counted(self, side: str, tally: Tally) -> None:
        """Many answers at once, as from counters that were scraped.

        Raises
        ------
        MetricError
            A count is negative, or larger than the number of answers.
        """
        if not (0 <= tally.failed <= tally.answers and 0 <= tally.late <= tally.answers):
            raise MetricError(
                f"counts of the {side}: {tally} do not fit together",
                "Give the increase of counters that only grow",
            )
        with self._counting:
            since = self._since[side]
            since.answers += tally.answers
            since.failed += tally.failed
            since.late += tally.late

    def compared(self, requests: int, differing: int) -> None:
        """Both sides answered so many requests, and on `differing` of them decided differently.

        Ignored unless the terms compare decisions.

        Raises
        ------
        MetricError
            More differ than there are.
        """
        if not 0 <= differing <= requests:
            raise MetricError(
                f"comparisons: {differing} of {requests} requests cannot differ",
                "Give the increase of counters that only grow",
            )
        if self.terms.compare_decisions:
            with self._counting:
                self._compared += requests
                self._differing += differing

    def rule(self) -> Ruling:
        """Test what has come in since the last call, and say what to do."""
        self._digest()
        terms, requests = self.terms, self._ever["canary"].answers
        alarm = len(self._criteria) * terms.judges / terms.false_alarm
        harmful = [name for name, each in self._criteria.items() if each.harm.highest >= alarm]
        if harmful:
            return self._ruling("withdraw", f"the canary is worse in {_listed(harmful)}")
        passed = terms.judges / terms.false_promotion
        open_ = [name for name, each in self._criteria.items() if each.fitness.highest < passed]
        if not open_ and requests >= terms.fewest:
            return self._ruling("promote", "the canary is no worse than the margins allow")
        if requests >= terms.most:
            waiting = f"{_listed(open_)} undecided" if open_ else "undecided"
            return self._ruling("withdraw", f"{waiting} after {requests} requests")
        needed = f"{_listed(open_)} undecided" if open_ else f"{terms.fewest} requests are asked"
        return self._ruling("wait", f"{needed} after {requests} requests")

    def to_record(self) -> dict[str, Any]:
        """Everything needed to go on after a restart; answers since the last look are lost."""
        return {
            "terms": asdict(self.terms),
            "ever": {side: asdict(tally) for side, tally in self._ever.items()},
            "criteria": {
                name: {"harm": each.harm.to_record(), "fitness": each.fitness.to_record()}
                for name, each in self._criteria.items()
            },
        }

    @classmethod
    def from_record(cls, record: dict[str, Any], *, seed: int = 0) -> Self:
        """Go on from what `to_record` gave: a restart must not begin the test anew."""
        judge = cls(Terms(**record["terms"]), seed)
        judge._ever = {side: Tally(**record["ever"][side]) for side in SIDES}
        for name, each in record["criteria"].items():
            judge._criteria[name] = _Criterion(
                BettingProcess.from_record(each["harm"]),
                BettingProcess.from_record(each["fitness"]),
            )
        return judge

    def _digest(self) -> None:
        with self._counting:  # held for this alone: testing takes long
            since = self._since
            champion, canary = (since[side] for side in SIDES)
            blocks = min(champion.answers, canary.answers)
            if blocks:  # else they wait: one side alone says nothing
                self._since = {side: Tally() for side in SIDES}
            compared, differing = self._compared, self._differing
            self._compared = self._differing = 0
        if blocks:
            for name, share in (("errors", "failed"), ("latency", "late")):
                means = [
                    self._block_means(tally.answers, getattr(tally, share), blocks)
                    for tally in (champion, canary)
                ]
                self._criteria[name].update(means[1] - means[0])
            for side, tally in since.items():
                ever = self._ever[side]
                ever.answers += tally.answers
                ever.failed += tally.failed
                ever.late += tally.late
        if compared:
            outcomes = np.arange(compared) < differing
            self._criteria["decisions"].update(self._random.permutation(outcomes * 1.0))

    def _block_means(self, answers: int, marked: int, blocks: int) -> Float64Array:
        """Means over nearly equal blocks of `answers` outcomes in random order, `marked` of 1."""
        sizes = np.full(blocks, answers // blocks)
        sizes[: answers % blocks] += 1
        drawn = self._random.multivariate_hypergeometric(sizes, marked, method="marginals")
        means: Float64Array = drawn / sizes
        return means

    def _ruling(self, decision: Decision, why: str) -> Ruling:
        figures: dict[str, float | int | str | None] = {}
        for side in SIDES:
            tally = self._ever[side]
            figures |= {f"{side}_{name}": count for name, count in asdict(tally).items()}
        for name, each in self._criteria.items():
            mean = each.harm.mean
            figures |= {
                f"{name}_difference": None if math.isnan(mean) else mean,
                f"{name}_evidence_of_harm": each.harm.highest,
                f"{name}_evidence_of_fitness": each.fitness.highest,
            }
        figures |= {
            "false_alarm": self.terms.false_alarm,
            "false_promotion": self.terms.false_promotion,
        }
        return Ruling(decision, f"{why[0].upper()}{why[1:]}", figures)


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
