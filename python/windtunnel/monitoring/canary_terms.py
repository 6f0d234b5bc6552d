"""What is asked of a canary before it is promoted, and the defaults of all who ask."""

from __future__ import annotations

import math
from dataclasses import dataclass

from windtunnel.errors import MetricError


@dataclass(frozen=True)
class Terms:
    """What the judge asks, decided before it looks.

    Attributes
    ----------
    late_seconds : float
        An answer that takes longer is late.
    error_margin, late_margin : float
        Excess of the canary's share over the champion's that must be ruled out before it is
        promoted.
    disagreement : float
        Share of differing decisions that is tolerated; a canary is meant to differ somewhat.
    disagreement_margin : float
        What is ruled out before promotion is `disagreement` + this.
    compare_decisions : bool
        Whether decisions are compared: needs a canary in shadow mode.
    false_alarm, false_promotion : float
        The two error rates of `windtunnel.monitoring.canary_judge`, over the whole life of the
        canary and all looks.
    judges : int
        Independent judges of the same canary, as one in each of several processes; both error
        rates are divided by it, since any of them may act.
    fewest : int
        Requests that the canary must have answered before it is promoted.
    most : int
        Requests after which an undecided canary is withdrawn.
    """

    late_seconds: float = 0.05
    error_margin: float = 0.01
    late_margin: float = 0.02
    disagreement: float = 0.2
    disagreement_margin: float = 0.1
    compare_decisions: bool = False
    false_alarm: float = 0.01
    false_promotion: float = 0.01
    judges: int = 1
    fewest: int = 500
    most: int = 1_000_000

    def __post_init__(self) -> None:
        for name in ("error_margin", "late_margin", "disagreement_margin"):
            self._check(name, 0.0 < getattr(self, name) < 1.0, "lie in (0, 1)")
        for name in ("false_alarm", "false_promotion"):
            self._check(name, 0.0 < getattr(self, name) <= 0.5, "lie in (0, 0.5]")
        together = self.disagreement + self.disagreement_margin
        self._check("disagreement", self.disagreement >= 0.0 and together < 1.0, "lie in [0, 1)")
        late = self.late_seconds
        self._check("late_seconds", math.isfinite(late) and late > 0, "be positive")
        self._check("judges", self.judges >= 1, "be at least 1")
        self._check("most", 1 <= self.fewest <= self.most, "be at least `fewest`, which is >= 1")

    def _check(self, name: str, fine: bool, rule: str) -> None:
        if not fine:
            raise MetricError(
                f"terms.{name}: must {rule}, got {getattr(self, name)!r}",
                "See windtunnel.monitoring.canary_terms.Terms",
            )
