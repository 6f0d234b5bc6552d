"""The counters that services export, as what came in between two scrapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from windtunnel.deployment.state import State
from windtunnel.monitoring.canary_judge import SIDES

Counts: TypeAlias = Mapping[tuple[str, ...], float]


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

    def since(self, source: str, exposition: str, state: State) -> dict[str, tuple[int, int, int]]:
        """Increase of the counters of one service.

        Parameters
        ----------
        source : str
            Which service; the first exposition of each is where counting starts. A counter
            that shrinks belongs to a service that started anew.
        exposition : str
            In the text format of Prometheus.
        state : State

        Returns
        -------
        dict
            (answers, failed, late) for ``champion`` and ``canary``, and (requests, differing,
            0) for ``compared``.
        """
        now = dict(self._counters(exposition))
        before = self._before.get(source)
        self._before[source] = now
        if before is None or state.canary is None:
            return {}
        canary = str(state.canary.version)
        found = {}
        for side, version in ((SIDES[0], str(state.champion)), (SIDES[1], canary)):
            count, failed, in_time = (
                _grown(before, now, (kind, version)) for kind in ("answered", "failed", "in_time")
            )
            answers = count + failed
            found[side] = (answers, failed, max(0, answers - in_time))
        pair = (str(state.champion), canary)
        different = _grown(before, now, ("different", *pair))
        found["compared"] = (different + _grown(before, now, ("same", *pair)), different, 0)
        return found

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


def _grown(before: Counts, now: Counts, key: tuple[str, ...]) -> int:
    first, last = before.get(key, 0.0), now.get(key, 0.0)
    return int(last - first if last >= first else last)
