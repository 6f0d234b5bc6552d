"""From the tables of a study file to the network, actions and rules of its policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel.errors import StudyFileError
from windtunnel.trainers.rl.actions import Actions, Continuous, Levels
from windtunnel.trainers.rl.environment import Rules
from windtunnel.trainers.rl.networks import ActorCritic
from windtunnel.trainers.rl.rollout import Stage

if TYPE_CHECKING:
    from windtunnel.config.rl import RLSection
    from windtunnel.config.study import ModelSection
    from windtunnel.trainers.rl.account import Terms


def make_stage(model: ModelSection, rl: RLSection, terms: Terms, *, long_only: bool) -> Stage:
    """Network, actions and rules, as the study file has them.

    Raises
    ------
    StudyFileError
        The model family cannot be trained by trading.
    """
    if model.family not in {"mlp", "linear"}:
        raise StudyFileError(
            f"model.family: a policy that learns by trading is 'mlp' or 'linear', got "
            f"{model.family!r}",
            "Give one of the two, and rl.memory for a recurrent policy",
        )
    hidden = () if model.family == "linear" else model.layers
    actions = make_actions(rl, long_only=long_only)
    rules = Rules(terms, rl.reward, rl.sharpe_rate)
    return Stage(ActorCritic(actions.width, hidden, rl.memory), actions, rules)


def make_actions(rl: RLSection, *, long_only: bool) -> Actions:
    """The decisions that a study's `[rl]` and direction allow."""
    low = 0.0 if long_only else -1.0
    if rl.actions == "continuous":
        return Continuous(low)
    return Levels(rl.levels or ((0.0, 1.0) if long_only else (-1.0, 0.0, 1.0)))
