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
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from windtunnel.errors import TuningError
from windtunnel.tuning.cohort_tpe import CohortTPESampler

Active = Callable[[Mapping[str, Any]], Sequence[str]]


@dataclass(frozen=True)
class Setting:
    """For which cohort a sampler is made.

    Attributes
    ----------
    seed, first : int
        The study's seed, and the number of the cohort's first trial.
    cohort : int
        Size of a full cohort.
    space : mapping of str to BaseDistribution
        Every dimension, conditional ones too.
    active : callable or None
        Says which dimensions a configuration has; None where every one has all.
    """

    seed: int
    first: int
    cohort: int
    space: Mapping[str, BaseDistribution]
    active: Active | None

    @property
    def own_seed(self) -> int:
        """A seed for this cohort alone."""
        return cohort_seed(self.seed, self.first)


@dataclass(frozen=True)
class Kind:
    """What there is to know of a sampler before it is made.

    Attributes
    ----------
    make : callable
    remembers : bool
        Whether it keeps notes of its own beside the trials. A study is then rebuilt by asking
        anew for all that was asked before, instead of by reading it.
    several : bool
        Whether it takes several objectives.
    needs : tuple of str
        Modules of the `samplers` extra.
    """

    make: Callable[[Setting], BaseSampler]
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


def _cohort_tpe(of: Setting) -> BaseSampler:
    return CohortTPESampler(seed=of.seed, cohort=of.cohort, space=of.space, active=of.active)


def _tpe(of: Setting) -> BaseSampler:
    return TPESampler(
        seed=of.own_seed,
        multivariate=True,
        group=True,
        constant_liar=True,
    )


def _qmc(of: Setting) -> BaseSampler:
    # One sequence through the whole study: its seed must not change.
    return QMCSampler(
        seed=of.seed,
        scramble=True,
        independent_sampler=RandomSampler(seed=of.own_seed),
        warn_asynchronous_seeding=False,
        warn_independent_sampling=False,
    )


def _cmaes(of: Setting) -> BaseSampler:
    return CmaEsSampler(
        seed=of.own_seed, popsize=max(of.cohort, 4), warn_independent_sampling=False
    )


def _genetic(sampler: type[NSGAIISampler | NSGAIIISampler]) -> Callable[[Setting], BaseSampler]:
    return lambda of: sampler(seed=of.own_seed, population_size=max(of.cohort, 4))


KINDS: dict[str, Kind] = {
    "cohort_tpe": Kind(_cohort_tpe),
    "tpe": Kind(_tpe, several=True),
    "random": Kind(lambda of: RandomSampler(seed=of.own_seed), several=True),
    "qmc": Kind(_qmc, remembers=True, several=True),
    "gp": Kind(
        lambda of: GPSampler(seed=of.own_seed, warn_independent_sampling=False),
        several=True,
        needs=("torch", "scipy"),
    ),
    "cmaes": Kind(_cmaes, remembers=True, needs=("cmaes",)),
    "nsga2": Kind(_genetic(NSGAIISampler), remembers=True, several=True),
    "nsga3": Kind(_genetic(NSGAIIISampler), remembers=True, several=True),
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


def make(kind: Kind, of: Setting) -> BaseSampler:
    """Make a sampler for a cohort."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return kind.make(of)
