"""A tree-structured Parzen estimator (TPE) that draws a whole cohort at once.

Between two cohorts nothing is learned, so the two densities of TPE are fitted once a cohort
instead of once a trial. Each of its members has candidates of its own and takes the one with
the best ratio of the densities, in turn; what was taken joins the density of poor trials (the
constant liar), which drives the members apart. After 10,000 trials this asks for 64 in a
fraction of the time that fitting 64 times takes.

References
----------
J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl, "Algorithms for Hyper-Parameter Optimization",
NeurIPS 2011, section 4 and equation 6 (the expected improvement grows with the ratio).
D. Ginsbourger, R. Le Riche, L. Carraro, "Kriging is well-suited to parallelize optimization",
2010, section 4, for the constant liar.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from windtunnel.errors import TuningError
from windtunnel.tuning import parzen
from windtunnel.tuning.axes import Axis, axis
from windtunnel.tuning.observations import Observations, axes_of, coordinates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

Float64Array = npt.NDArray[np.float64]

STARTUP = 10
CANDIDATES = 24
BEST_SHARE, MOST_BEST = 0.1, 25
# So many of the others show where poor trials lie; a density of more takes long to no use.
MOST_OTHERS = 2000
# Of the unit interval: how far apart a cohort's members keep, falling with the observations.
# Wider ones keep a cohort from closing in on a smooth optimum.
LIAR_WIDTH = 0.02


class CohortTPESampler(BaseSampler):
    """Multivariate TPE for one objective, a cohort at a time.

    Parameters
    ----------
    cohort : int
        Trials drawn at once. A result told in between is used by the next cohort.
    seed : int
        With the number of the first trial it decides a cohort's draws: a study that is read
        back from a storage goes on as it would have gone on uninterrupted.
    space : mapping of str to BaseDistribution, optional
        All dimensions, where they are known beforehand; the first cohort is then a Latin
        hypercube. Without it a dimension is known once a trial has had it.
    active : callable, optional
        Takes the drawn values of a trial by name and says which of them the trial uses.
        Without it all are used. What a trial does not use decides nothing.
    startup, candidates : int
        Trials before the first densities, and candidates a trial.

    Notes
    -----
    An Optuna sampler like any other: `study.optimize`, `ask` and `tell`, several processes on
    one storage. A trial that failed is passed over; one that was pruned ranks behind all that
    were not, by the step that it reached and its last value.
    """

    def __init__(
        self,
        *,
        cohort: int = 64,
        seed: int = 0,
        space: Mapping[str, BaseDistribution] | None = None,
        active: Callable[[Mapping[str, Any]], Sequence[str]] | None = None,
        startup: int = STARTUP,
        candidates: int = CANDIDATES,
    ) -> None:
        if cohort < 1 or candidates < 1:
            raise TuningError(f"cohort, candidates: must be at least 1, got {cohort}, {candidates}")
        self._cohort = cohort
        self._seed = seed
        self._active = active
        self._startup = startup
        self._candidates = candidates
        self._ready: deque[dict[str, Any]] = deque()
        self._drawn_for: dict[str, BaseDistribution] = {}
        self._seen = Observations(space)

    def reseed_rng(self) -> None:
        """Nothing to do: draws follow from the seed and the number of the trial."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Every dimension that a finished trial had, conditional ones too."""
        del trial
        if not self._ready:
            self._read(study)
        return self._seen.space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next member of the cohort, which is drawn when there is none."""
        if not search_space:
            return {}
        if self._ready and self._drawn_for != search_space:
            self._ready.clear()
        if not self._ready:
            self._read(study)
            self._drawn_for = dict(search_space)
            self._ready.extend(self._draw(trial.number, search_space))
        return self._ready.popleft() if self._ready else {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a dimension at random that no finished trial had."""
        del study
        rng = np.random.default_rng(
            [self._seed, trial.number, *param_name.encode()]  # any order of asking, same draw
        )
        drawn = axis(param_distribution)
        u = rng.random()
        return drawn.value(u if drawn.continuous else min(int(u * drawn.levels), drawn.levels - 1))

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Draw anew after a result."""
        del study, trial, state, values
        self._ready.clear()

    def _read(self, study: Study) -> None:
        """Take in what was finished since."""
        if len(study.directions) != 1:
            raise TuningError(
                f"sampler: cohort_tpe maximises one objective, the study has "
                f"{len(study.directions)}",
                "Choose sampler nsga2, nsga3 or tpe for several",
            )
        self._seen.add(study.get_trials(deepcopy=False), study.direction)

    def _draw(self, first: int, space: dict[str, BaseDistribution]) -> list[dict[str, Any]]:
        names, axes = axes_of(space)
        rng = np.random.default_rng([self._seed, first])
        if len(self._seen) < self._startup:
            points = _latin(axes, rng, self._cohort)
        else:
            best = min(math.ceil(BEST_SHARE * len(self._seen)), MOST_BEST)
            good, poor = self._seen.split(space, best)
            asked = coordinates(space, [trial for trial in self._seen.running if trial.params])
            points = self._choose(names, axes, good, np.vstack([poor, asked]), rng)
        return [
            {name: each.value(x) for name, each, x in zip(names, axes, point, strict=True)}
            for point in points
        ]

    def _choose(
        self,
        names: Sequence[str],
        axes: Sequence[Axis],
        good: Float64Array,
        poor: Float64Array,
        rng: np.random.Generator,
    ) -> Float64Array:
        """Points (cohort, P), each the best of its own candidates when its turn comes."""
        shown = poor
        if len(poor) > MOST_OTHERS:
            shown = poor[np.linspace(0, len(poor) - 1, MOST_OTHERS).astype(np.intp)]
        best_ones, others = parzen.fit(axes, good), parzen.fit(axes, shown)
        drawn = best_ones.sample(rng, self._cohort * self._candidates)
        judged = self._without_inactive(names, axes, drawn)
        above = best_ones.log_density(judged)
        # Densities are scaled to the number of observations, so that a liar counts as one.
        below = others.log_density(judged) + math.log(len(poor) + 1)
        chosen = []
        for member in range(self._cohort):
            own = slice(member * self._candidates, (member + 1) * self._candidates)
            best = own.start + int(np.argmax(above[own] - below[own]))
            chosen.append(best)
            rest = slice(own.stop, None)
            liar = _log_liar(axes, judged[best], judged[rest], len(poor))
            below[rest] = np.logaddexp(below[rest], liar)
        points: Float64Array = drawn[chosen]
        return points

    def _without_inactive(
        self, names: Sequence[str], axes: Sequence[Axis], drawn: Float64Array
    ) -> Float64Array:
        """Coordinates with NaN where a candidate would not use them."""
        if self._active is None:
            return drawn
        judged = np.full_like(drawn, np.nan)
        place = {name: at for at, name in enumerate(names)}
        for row, point in enumerate(drawn):
            values = {name: each.value(x) for name, each, x in zip(names, axes, point, strict=True)}
            used = [place[name] for name in self._active(values)]
            judged[row, used] = point[used]
        return judged


def _log_liar(
    axes: Sequence[Axis], taken: Float64Array, points: Float64Array, observed: int
) -> Float64Array:
    """Log density that a taken point adds at others, as an observation that turned out poor."""
    width = LIAR_WIDTH * max(observed, 1) ** (-1.0 / (len(axes) + 4))
    density = np.zeros(len(points))
    for place, each in enumerate(axes):
        x, y = taken[place], points[:, place]
        if math.isnan(x):
            continue
        if each.continuous:
            kernel = -0.5 * ((y - x) / width) ** 2 - math.log(width * math.sqrt(2 * math.pi))
        else:
            share = 1.0 / (observed + 1)
            whole = 1.0 + share * each.levels
            kernel = np.where(y == x, math.log((share + 1.0) / whole), math.log(share / whole))
        density += np.where(np.isnan(y), 0.0, kernel)
    return density


def _latin(axes: Sequence[Axis], rng: np.random.Generator, count: int) -> Float64Array:
    """A Latin hypercube (count, P): every axis is covered evenly."""
    points = np.empty((count, len(axes)))
    for place, each in enumerate(axes):
        u = (rng.permutation(count) + rng.random(count)) / count
        points[:, place] = u if each.continuous else np.floor(u * each.levels)
    return points
