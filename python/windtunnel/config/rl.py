"""How a policy learns to trade: the `[rl]` table of the study file."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from windtunnel.config.section import Section

if TYPE_CHECKING:
    from windtunnel.config.model import ModelSection
    from windtunnel.config.training import TrainingSection

# What a search may vary without changing an array shape.
RL_SEARCHABLE = (
    "learning_rate",
    "weight_decay",
    "discount",
    "gae_lambda",
    "clip",
    "entropy",
    "value",
    "noise",
    "turnover_penalty",
    "drawdown_penalty",
)


class RLSection(Section):
    """How a policy learns to trade, with trainer = "rl"; [policy] direction and leverage bound it.

    Fields marked searchable may be varied by [search].
    """

    algorithm: Literal["ppo", "evolution"] = Field(
        default="ppo",
        description="'ppo': proximal policy optimisation; 'evolution': evolution strategies, for "
        "small policies.",
    )
    actions: Literal["levels", "continuous"] = Field(
        default="levels", description="Whether exposures come in levels or in any size."
    )
    levels: tuple[Annotated[float, Field(ge=-1, le=1)], ...] | None = Field(
        default=None,
        strict=False,
        min_length=2,
        max_length=32,
        description="Fractions of an instrument's largest exposure, ascending; absent, 0 and 1, "
        "and -1 when long_short.",
    )
    memory: int = Field(
        default=0,
        ge=0,
        le=512,
        description="Units of the recurrent cell before the network; 0: none.",
    )
    environments: int = Field(
        default=32, ge=2, le=4096, description="Accounts that trade side by side in training."
    )
    rollout_bars: int = Field(
        default=32, ge=2, le=4096, description="Bars that each trades between two updates."
    )
    episode_rollouts: int = Field(
        default=4,
        ge=1,
        le=1024,
        description="Rollouts after which an account begins anew, 'ppo' only: with 'evolution' it "
        "does so at every update.",
    )
    updates: int = Field(default=150, ge=1, le=1_000_000, description="Updates of the policy.")
    epochs: int = Field(default=4, ge=1, le=100, description="Passes over a rollout an update.")
    minibatches: int = Field(
        default=4, ge=1, le=1024, description="Parts of a pass; divides `environments`."
    )
    reward: Literal["return", "differential_sharpe"] = Field(
        default="return",
        description="'return': the account's return of a bar after costs; 'differential_sharpe': "
        "what the bar adds to an exponential Sharpe ratio.",
    )
    sharpe_rate: float = Field(
        default=0.01, gt=0, lt=1, description="Weight of one bar in that Sharpe ratio."
    )
    learning_rate: float = Field(
        default=1e-3, gt=0, le=10, description="Peak step size of AdamW. Searchable."
    )
    weight_decay: float = Field(
        default=0.0, ge=0, le=10, description="Decoupled weight decay. Searchable."
    )
    discount: float = Field(
        default=0.95, ge=0, lt=1, description="Worth of a reward one bar later. Searchable."
    )
    gae_lambda: float = Field(
        default=0.95, ge=0, le=1, description="Decay of advantage estimates. Searchable."
    )
    clip: float = Field(
        default=0.2, gt=0, lt=1, description="Largest change of a probability ratio. Searchable."
    )
    entropy: float = Field(
        default=0.05,
        ge=0,
        le=10,
        description="Weight of the entropy bonus at the start; it falls to 0. Searchable.",
    )
    value: float = Field(
        default=0.5, ge=0, le=10, description="Weight of the value loss. Searchable."
    )
    noise: float = Field(
        default=0.1,
        gt=0,
        le=10,
        description="Deviation of the candidates' parameters, 'evolution' only. Searchable.",
    )
    turnover_penalty: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Taken off the reward, a fraction of the traded value. Searchable.",
    )
    drawdown_penalty: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="Taken off the reward, a multiple of what a bar adds to the drawdown. "
        "Searchable.",
    )

    supervised_trials: int = Field(
        default=32,
        ge=1,
        le=100_000,
        description="Configurations of supervised learning, of which the best by the champion's "
        "rule is set beside the policy. They count as trials.",
    )

    @property
    def episode_bars(self) -> int:
        """Bars from an account's beginning to the next in training."""
        rollouts = self.episode_rollouts if self.algorithm == "ppo" else 1
        return self.rollout_bars * rollouts

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.environments % self.minibatches:
            raise ValueError(
                f"environments ({self.environments}) must be a multiple of minibatches "
                f"({self.minibatches})"
            )
        if self.levels is not None and any(low >= high for low, high in pairwise(self.levels)):
            raise ValueError(f"levels must ascend, got {list(self.levels)}")
        return self


def policy_problem(model: ModelSection, training: TrainingSection) -> str:
    """What of a study's network and training a policy that learns by trading cannot have."""
    limits = (
        ("model.residual", model.residual, False, "has plain layers"),
        ("model.scope", model.scope, "instrument", "decides for each instrument by itself"),
        ("training.precision", training.precision, "float32", "is trained in float32"),
    )
    for name, given, known, rule in limits:
        if given != known:
            return (
                f'{name}: with trainer = "rl" a policy {rule}, got {given!r}. Leave it out, for '
                "the supervised champion beside the policy as well"
            )
    return ""
