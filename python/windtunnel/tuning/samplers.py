"""Optuna samplers by the names that a study file gives them, made for one cohort."""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from windtunnel.errors import TuningError
from windtunnel.tuning.cohort_cmaes import CohortCmaEsSampler, Evolution
from windtunnel.tuning.cohort_genetic import (
    CohortNSGAIIISampler,
    CohortNSGAIISampler,
    Generations,
)
from windtunnel.tuning.cohort_qmc import CohortQMCSampler, SobolSequence
from windtunnel.tuning.cohort_tpe import CohortTPESampler

# Beyond so many trials a cohort of 64 waits more than a second for Optuna's own TPE.
MANY_FOR_TPE = 2000

Active = Callable[[Mapping[str, Any]], Sequence[str]]


# Makes the sampler of the cohort whose first trial has this number.
SamplerAt = Callable[[int], BaseSampler]


@dataclass(frozen=True)
class Setting:
    """The study for which samplers are made.

    Attributes
    ----------
    seed : int
        The study's seed.
    cohort : int
        Size of a full cohort.
    space : mapping of str to BaseDistribution
        Every dimension, conditional ones too.
    active : callable or None
        Says which dimensions a configuration has; None where every one has all.
    """

    seed: int
    cohort: int
    space: Mapping[str, BaseDistribution]
    active: Active | None

    def seed_at(self, first: int) -> int:
        """A seed for one cohort alone."""
        return cohort_seed(self.seed, first)


@dataclass(frozen=True)
class Kind:
    """What there is to know of a sampler before it is made.

    Attributes
    ----------
    start : callable
        Makes the samplers of a study, which may share what they remember.
    remembers : bool
        Whether it keeps notes of its own beside the trials. A study is then rebuilt by asking
        anew for all that was asked before, instead of by reading it.
    several : bool
        Whether it takes several objectives.
    needs : tuple of str
        Modules of the `samplers` extra.
    """

    start: Callable[[Setting], SamplerAt]
    remembers: bool = False
    several: bool = False
    needs: tuple[str, ...] = ()


def cohort_seed(seed: int, first: int) -> int:
    """Seed of the cohort whose first trial is number `first`.

    The number stands for the cohort's place in the study: unlike a count of cohorts it is
    known from a flat history.
    """
    key = hashlib.sha256(f"{seed}:{first}".encode()).digest()
    return int.from_bytes(key[:4], "little")


def _cohort_tpe(of: Setting) -> SamplerAt:
    sampler = CohortTPESampler(seed=of.seed, cohort=of.cohort, space=of.space, active=of.active)
    return lambda _first: sampler  # its draws follow from the number of the trial


def _tpe(of: Setting) -> SamplerAt:
    return lambda first: TPESampler(
        seed=of.seed_at(first), multivariate=True, group=True, constant_liar=True
    )


def _random(of: Setting) -> SamplerAt:
    return lambda first: RandomSampler(seed=of.seed_at(first))


def _qmc(of: Setting) -> SamplerAt:
    sequence = SobolSequence(of.seed)
    return lambda first: CohortQMCSampler(sequence, seed=of.seed_at(first))


def _gp(of: Setting) -> SamplerAt:
    return lambda first: GPSampler(seed=of.seed_at(first), warn_independent_sampling=False)


def _cmaes(of: Setting) -> SamplerAt:
    evolution, popsize = Evolution(), max(of.cohort, 4)
    return lambda first: CohortCmaEsSampler(evolution, seed=of.seed_at(first), popsize=popsize)


def _genetic(
    sampler: type[CohortNSGAIISampler | CohortNSGAIIISampler],
) -> Callable[[Setting], SamplerAt]:
    def start(of: Setting) -> SamplerAt:
        generations = Generations(max(of.cohort, 4))
        return lambda first: sampler(generations, seed=of.seed_at(first))

    return start


KINDS: dict[str, Kind] = {
    "cohort_tpe": Kind(_cohort_tpe),
    "tpe": Kind(_tpe, several=True),
    "random": Kind(_random, several=True),
    "qmc": Kind(_qmc, remembers=True, several=True),
    "gp": Kind(_gp, several=True, needs=("torch", "scipy")),
    "cmaes": Kind(_cmaes, remembers=True, needs=("cmaes",)),
    "nsga2": Kind(_genetic(CohortNSGAIISampler), remembers=True, several=True),
    "nsga3": Kind(_genetic(CohortNSGAIIISampler), remembers=True, several=True),
}


def kind_of(name: str, *, objectives: int = 1) -> Kind:
    """Look a sampler up.

    Raises
    ------
    TuningError
        It is unknown, takes one objective only, or a library that it needs is missing.
    """
    kind = KINDS.get(name)
    if kind is None:
        raise TuningError(
            f"tuning.sampler: {name!r} is unknown", f"Choose from {', '.join(sorted(KINDS))}"
        )
    if objectives > 1 and not kind.several:
        fitting = ", ".join(sorted(name for name, each in KINDS.items() if each.several))
        raise TuningError(
            f"tuning.sampler: {name!r} takes one objective, the study has {objectives}",
            f"Choose from {fitting}",
        )
    missing = [module for module in kind.needs if importlib.util.find_spec(module) is None]
    if missing:
        raise TuningError(
            f"tuning.sampler: {name!r} needs {' and '.join(missing)}, which is not installed",
            "Install it with `pip install 'windtunnel[samplers]'`",
        )
    return kind


def concern(name: str, trials: int) -> str | None:
    """What a user should know who gives so many trials to a sampler, None where nothing."""
    if name != "tpe" or trials <= MANY_FOR_TPE:
        return None
    return (
        f"tuning.sampler 'tpe' fits its densities to all trials for each that it draws: of {trials}"
        " trials the last cohorts will wait seconds for it, with 10,000 some 5 s a cohort of 64. "
        "'cohort_tpe' takes 0.02 s and finds as much"
    )


def start(kind: Kind, of: Setting) -> SamplerAt:
    """Begin a study: samplers are made for one cohort after the other, in order."""
    at = kind.start(of)

    def without_warnings(first: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return at(first)

    return without_warnings
