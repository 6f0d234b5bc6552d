"""A trained policy as a step from one bar to the next, with a state of plain arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from windtunnel.config.rl import RLSection
from windtunnel.config.study import ModelSection
from windtunnel.trainers.rl.account import Account, Terms
from windtunnel.trainers.rl.decision import Decider, decide
from windtunnel.trainers.rl.environment import Scale, read_bar
from windtunnel.trainers.rl.rollout import Stage
from windtunnel.trainers.rl.stage import make_stage

if TYPE_CHECKING:
    from windtunnel.config import StudyFile

State = dict[str, jax.Array]


def state_shapes(stage: Stage, instruments: int, seeds: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what a policy carries from bar to bar, float32."""
    alone = {"cash": (), "closed": (), "equity": ()}
    shapes: dict[str, tuple[int, ...]] = {
        name: alone.get(name, (instruments,)) for name in (*Account._fields, "pending")
    }
    if stage.module.memory:
        shapes["carry"] = (seeds, instruments, stage.module.memory)
    return shapes


def session_step(
    stage: Stage, leverage: float, seeds: int
) -> Callable[[Any, State, jax.Array], tuple[State, jax.Array, jax.Array]]:
    """The step of one fold's policy, an ensemble of its seeds.

    `params` are those of `FittedModel.parameters`: network (policy and volatility), mean, scale
    and mask. Returns the state after the bar, the levels (N,) and their margins (N,).
    """

    def step(params: Any, state: State, row: jax.Array) -> tuple[State, jax.Array, jax.Array]:
        bar = read_bar(row)
        scale = Scale(
            params["mean"],
            (1 / params["scale"]) * params["mask"],
            params["network"]["volatility"][0],
        )
        account = Account(*(state[name] for name in Account._fields))
        empty = jnp.zeros((seeds, len(row), 0), jnp.float32)
        before = Decider(
            account._replace(tradable=account.tradable > 0, closed=account.closed > 0),
            state["pending"],
            state.get("carry", empty),
            jnp.full(seeds, 1 / seeds, jnp.float32),
        )
        after, level, margin = decide(
            stage, params["network"]["policy"], scale, jnp.float32(leverage), before, bar
        )
        found = {
            name: getattr(after.account, name).astype(jnp.float32) for name in Account._fields
        } | {"pending": after.pending}
        if stage.module.memory:
            found["carry"] = after.carry
        return found, level, margin

    return step


@dataclass(frozen=True)
class PolicyProgram:
    """What a bundle holds of a policy: its step, its state, and how to make both again."""

    step: Callable[[Any, State, jax.Array], tuple[State, jax.Array, jax.Array]]
    shapes: dict[str, tuple[int, ...]]
    volume_unit: float | None
    specification: dict[str, Any]


def policy_program(specification: Mapping[str, Any], instruments: int) -> PolicyProgram:
    """The program of a specification, as `specify` writes it."""
    terms = dict(specification["terms"])
    terms["participation"] = math.inf if terms["participation"] is None else terms["participation"]
    rl = RLSection.model_validate(specification["rl"])
    model = ModelSection(family=specification["family"], hidden=tuple(specification["hidden"]))
    stage = make_stage(model, rl, Terms(**terms), long_only=specification["long_only"])
    seeds = int(specification["seeds"])
    return PolicyProgram(
        session_step(stage, float(specification["leverage"]), seeds),
        state_shapes(stage, instruments, seeds),
        stage.rules.terms.volume_unit,
        dict(specification),
    )


def specify(study: StudyFile, terms: Terms, leverage: float) -> dict[str, Any]:
    """All that a policy's program follows from, beside its parameters, as plain values."""
    plain = asdict(terms)
    plain["participation"] = None if math.isinf(terms.participation) else terms.participation
    return {
        "trainer": "rl",
        "family": study.model.family,
        "hidden": list(study.model.layers),
        "rl": study.rl.model_dump(mode="json"),
        "terms": plain,
        "long_only": study.policy.direction == "long_only",
        "leverage": leverage,
        "seeds": study.training.seeds,
    }
