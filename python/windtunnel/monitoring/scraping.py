"""The counters that services export, as what came in between two scrapes."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from windtunnel.deployment.state import State
from windtunnel.monitoring.canary_judge import SIDES, Tally

Counts: TypeAlias = Mapping[tuple[str, ...], float]


@dataclass(frozen=True)
class Increase:
    """What came in: a tally a side, and the requests compared and found differing."""

    tallies: dict[str, Tally]
    compared: int
    differing: int


@dataclass
class Scraper:
    """Turns the counters of services' ``/metrics`` into what came in since the last scrape.

    Parameters
    ----------
    name : str
        Model.
    late_seconds : float
        Rounded up to a bound of the service's histogram.
    """

    name: str
    late_seconds: float
    _before: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)

    def since(self, source: str, exposition: str, state: State) -> Increase:
        """Increase of the counters of one service.

        Parameters
        ----------
        source : str
            Which service; the first exposition of each is where counting starts. A counter
            that shrinks belongs to a service that started anew.
        exposition : str
            In the text format of Prometheus.
        state : State
        """
        now = dict(self._counters(exposition))
        before = self._before.get(source)
        self._before[source] = now
        if before is None or state.canary is None:
            return Increase({}, 0, 0)
        versions = str(state.champion), str(state.canary.version)
        if state.canary.mode == "shadow":
            return self._of_shadow(before, now, versions)
        tallies = {}
        for side, version in zip(SIDES, versions, strict=True):
            count, failed, in_time = (
                int(_grown(before, now, (kind, version)))
                for kind in ("answered", "failed", "in_time")
            )
            answers = count + failed
            tallies[side] = Tally(answers, failed, max(0, answers - in_time))
        return Increase(tallies, 0, 0)

    def _of_shadow(self, before: Counts, now: Counts, versions: tuple[str, str]) -> Increase:
        """Requests that both answered; how long the shadow took is no client's time."""
        same, different, failed = (
            _grown(before, now, (outcome, *versions)) for outcome in ("same", "different", "failed")
        )
        compared, lost = round(same + different), round(failed)
        # Shares of a request make no whole number: what is over counts with its chance.
        differing = min(compared, int(different + random.random()))  # noqa: S311 - no secret
        tallies = {
            SIDES[0]: Tally(compared + lost),
            SIDES[1]: Tally(compared + lost, lost, lost),
        }
        return Increase(tallies, compared, differing)

    def _counters(self, exposition: str) -> Iterable[tuple[tuple[str, ...], float]]:
        in_time: dict[str, tuple[float, float]] = {}
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                labels = sample.labels
                if labels.get("model") != self.name:
                    continue
                if sample.name == "windtunnel_prediction_seconds_count":
                    yield ("answered", labels["version"]), sample.value
                elif sample.name == "windtunnel_prediction_failures_total":
                    yield ("failed", labels["version"]), sample.value
                elif sample.name == "windtunnel_comparisons_total":
                    pair = (labels["champion"], labels["canary"])
                    yield (labels["outcome"], *pair), sample.value
                elif sample.name == "windtunnel_prediction_seconds_bucket":
                    bound = float(labels["le"])
                    least, _ = in_time.get(labels["version"], (float("inf"), 0.0))
                    if self.late_seconds <= bound <= least:
                        in_time[labels["version"]] = (bound, sample.value)
        for version, (_, count) in in_time.items():
            yield ("in_time", version), count


def _grown(before: Counts, now: Counts, key: tuple[str, ...]) -> float:
    first, last = before.get(key, 0.0), now.get(key, 0.0)
    return last - first if last >= first else last
