"""Whether a service objective is kept, and how fast its allowance of bad requests is used up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from windtunnel.errors import MonitoringError

HOUR = 3600.0


@dataclass(frozen=True)
class BurnWindow:
    """One pair of windows: an alert needs both of them to burn faster than `rate`.

    The long window makes the alert certain, the short one ends it soon after the trouble
    ends. Beyer et al., The Site Reliability Workbook (2018), chapter 5, table 5-8.

    Attributes
    ----------
    long, short : float
        Seconds.
    rate : float
        Multiple of the speed at which the allowance would last exactly the objective's period.
    severity : str
    """

    long: float
    short: float
    rate: float
    severity: str


# 2 % of a month's allowance in an hour, 5 % in six hours, 10 % in three days.
MONTHLY = (
    BurnWindow(HOUR, HOUR / 12, 14.4, "critical"),
    BurnWindow(6 * HOUR, HOUR / 2, 6.0, "critical"),
    BurnWindow(72 * HOUR, 6 * HOUR, 1.0, "warning"),
)


@dataclass(frozen=True)
class Objective:
    """A promise about requests: `target` of them are good.

    Attributes
    ----------
    name : str
    target : float
        Share, between 0 and 1; 1 - target is the allowance.
    seconds : float
        A prediction answered within it is good. A refusal never counts.
    windows : tuple of BurnWindow
    fewest : int
        Requests in the long window below which nothing is said: one slow request of two is
        no emergency.
    """

    name: str
    target: float
    seconds: float
    windows: tuple[BurnWindow, ...] = MONTHLY
    fewest: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise MonitoringError(
                f"objective {self.name!r}: target must be between 0 and 1, got {self.target}",
                "A target of 1 leaves no allowance to burn; 0.99 is usual",
            )
        if self.seconds <= 0:
            raise MonitoringError(
                f"objective {self.name!r}: seconds must be above zero, got {self.seconds}",
                "Give the longest time of a good prediction",
            )


@dataclass(frozen=True)
class Burn:
    """How fast one pair of windows burns; an alert when both exceed the window's rate."""

    window: BurnWindow
    long: float
    short: float
    requests: int

    @property
    def alert(self) -> bool:
        """Whether both windows burn too fast."""
        return self.long > self.window.rate and self.short > self.window.rate


class BurnMeter:
    """Counts good and bad requests of one objective in steps of time.

    Memory does not grow with requests: one pair of counts a step, as far back as the longest
    window. Not safe to use from several threads.

    Parameters
    ----------
    objective : Objective
    step : float
        Seconds of a step; windows are exact to one step.
    """

    def __init__(self, objective: Objective, step: float = 30.0) -> None:
        self.objective = objective
        self._step = step
        self._longest = max(window.long for window in objective.windows)
        self._steps: deque[list[int]] = deque()  # [step number, good, bad], oldest first

    def add(self, seconds: float, now: float) -> None:
        """Count a request that took `seconds` and ended at `now`, seconds of any clock."""
        number, steps = int(now // self._step), self._steps
        if not steps or steps[-1][0] < number:
            steps.append([number, 0, 0])
            oldest = number - int(self._longest // self._step) - 1
            while steps[0][0] < oldest:
                steps.popleft()
        steps[-1][1 if seconds <= self.objective.seconds else 2] += 1

    def burns(self, now: float) -> tuple[Burn, ...]:
        """The burn rates of all pairs of windows at `now`.

        The rate of a window is its share of bad requests over the allowance; 0 without
        requests.
        """
        found = []
        for window in self.objective.windows:
            good, bad = self._within(now, window.long)
            long = self._rate(good, bad)
            short = self._rate(*self._within(now, window.short))
            few = good + bad < self.objective.fewest
            found.append(Burn(window, 0.0 if few else long, 0.0 if few else short, good + bad))
        return tuple(found)

    def _within(self, now: float, seconds: float) -> tuple[int, int]:
        first = (now - seconds) / self._step
        kept = [entry for entry in self._steps if entry[0] + 1 > first]
        return sum(entry[1] for entry in kept), sum(entry[2] for entry in kept)

    def _rate(self, good: int, bad: int) -> float:
        return bad / (good + bad) / (1.0 - self.objective.target) if bad else 0.0
