"""The study file: every field, its unit, its default and its rule.

A study file is TOML; each table is one model below. `windtunnel schema` prints the JSON
Schema that these models define.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from windtunnel.config.costs import CostsSection, ExecutionSection
from windtunnel.config.features import FeaturesSection, switch_problem
from windtunnel.config.model import MODEL_SEARCHABLE, ModelSection
from windtunnel.config.policy import POLICY_SEARCHABLE, THRESHOLDED, PolicySection
from windtunnel.config.rl import RL_SEARCHABLE, RLSection, policy_problem
from windtunnel.config.search import (
    Choice,
    Dimension,
    FloatRange,
    IntRange,
    TaggedDimension,
    parents_first,
)
from windtunnel.config.section import Section
from windtunnel.config.training import TrainingSection
from windtunnel.config.tuning import MOST_TRIALS_OF_GP, Objective, TuningSection

__all__ = [
    "SEARCHABLE",
    "AuditSection",
    "Choice",
    "CostsSection",
    "DataSection",
    "Dimension",
    "ExecutionSection",
    "FeaturesSection",
    "FloatRange",
    "IntRange",
    "LabelSection",
    "ModelSection",
    "PolicySection",
    "RLSection",
    "Section",
    "StudyFile",
    "StudySection",
    "TrainingSection",
    "TuningSection",
    "ValidationSection",
]

# What a search may vary without changing an array shape: one compiled program serves all.
TRAINING_SEARCHABLE = ("learning_rate", "weight_decay", "dropout", "label_smoothing")
# What changes shapes as well, at the price of a program for each.
SEARCHABLE = (
    *(f"training.{name}" for name in TRAINING_SEARCHABLE),
    *(f"policy.{name}" for name in POLICY_SEARCHABLE),
    *(f"model.{name}" for name in MODEL_SEARCHABLE),
    # A program for all, but labels and rows of its own for each.
    "label.horizon",
)
# With trainer = "rl" the policy decides the exposure itself, without thresholds.
SEARCHABLE_RL = (*(f"rl.{name}" for name in RL_SEARCHABLE), "policy.leverage")


class StudySection(Section):
    """What is studied, how many trials are tried and what makes one better."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="Name of the study and of the registered model: lower-case letters, digits, "
        "'_' and '-'.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**31,
        description="Seed of everything random: sampler, initial weights, minibatches, dropout.",
    )
    trials: int = Field(
        default=256, ge=1, le=1_000_000, description="Configurations to try, in all."
    )
    cohort: int = Field(
        default=64,
        ge=1,
        le=65_536,
        description="Configurations asked for, trained and told together. Part of the study's "
        "meaning: the sampler learns between cohorts.",
    )
    objective: Objective = Field(
        default="sharpe",
        description="Metric of the out-of-sample equity after costs that is maximised. "
        "'deflated_sharpe' is the probability that the true Sharpe ratio exceeds what the "
        "luckiest of `trials` worthless trials would show.",
    )


class DataSection(Section):
    """Where the bars come from and what they mean."""

    source: str = Field(
        description="A Parquet or CSV file (path relative to the study file), or "
        "'sample:us_equities_1d' for the bundled daily prices. 'frame' when a DataFrame is "
        "given from Python.",
    )
    symbols: tuple[str, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        description="Instruments to keep; all of them when absent.",
    )
    start: str | None = Field(
        default=None, description="First timestamp to keep, ISO 8601; naive means UTC."
    )
    end: str | None = Field(
        default=None, description="Last timestamp to keep, ISO 8601; naive means UTC."
    )
    time_zone: str | None = Field(
        default=None,
        description="IANA zone of naive timestamps, for example 'UTC' or 'America/New_York'. "
        "Needed when the timestamps carry no zone.",
    )
    columns: dict[Literal["timestamp", "symbol", "open", "high", "low", "close", "volume"], str] = (
        Field(
            default_factory=dict,
            description="Names of the columns in the source where they differ from ours.",
        )
    )
    periods_per_year: float = Field(
        default=252.0, ge=1, le=31_622_400, description="Bars a year, for annualised figures."
    )
    max_missing: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Largest share of bars that an instrument may lack between its first and "
        "last bar before the quality gate stops the study.",
    )


class LabelSection(Section):
    """What the model learns to predict."""

    kind: Literal["direction", "forward_return"] = Field(
        default="direction",
        description="'direction': is the forward return above zero (classification); "
        "'forward_return': its size in units of trailing volatility (regression).",
    )
    horizon: int = Field(
        default=5,
        ge=1,
        le=10_000,
        description="Bars between the fill (open of the next bar) and the open at which the "
        "forward return ends. A longer horizon purges more training rows at each fold's edge.",
    )


class ValidationSection(Section):
    """How time is cut into folds and the sealed holdout."""

    scheme: Literal["anchored", "rolling"] = Field(
        default="anchored",
        description="'anchored' trains on everything before the fold, 'rolling' on the last "
        "`train_bars`.",
    )
    folds: int = Field(default=5, ge=1, le=100, description="Walk-forward folds.")
    train_bars: int = Field(
        default=756,
        ge=20,
        description="Bars before the first validation slice (anchored), or of every training "
        "slice (rolling).",
    )
    embargo_bars: int = Field(
        default=5,
        ge=0,
        description="Bars left empty between the end of the last training label and the first "
        "validation bar. Zero lets serial correlation leak over the edge.",
    )
    holdout_bars: int = Field(
        default=504,
        ge=20,
        description="Bars at the end that no trial ever sees; read once, by the champion.",
    )
    path_groups: int = Field(
        default=6,
        ge=2,
        le=16,
        description="Stretches into which combinatorial cross-validation of the champion cuts the "
        "development bars.",
    )
    path_tested: int = Field(
        default=2,
        ge=1,
        le=8,
        description="How many of them each of its models is tested on; 2 of 6 give 15 models and "
        "5 paths.",
    )
    min_train_rows: int = Field(
        default=200, ge=10, description="Fewest labelled rows a fold may train on."
    )

    @model_validator(mode="after")
    def _some_groups_train(self) -> Self:
        if self.path_tested >= self.path_groups:
            raise ValueError(
                f"path_tested ({self.path_tested}) must be below path_groups ({self.path_groups})"
            )
        return self


class AuditSection(Section):
    """Attempts to refute the study that are part of carrying it out."""

    make: tuple[
        Literal["leak", "warmup", "fills", "noise", "oracle", "delay", "costs", "seeds", "starts"],
        ...,
    ] = Field(
        default=(),
        strict=False,
        description="Audits to make before the verdict; one that fails refutes the study. 'leak', "
        "'warmup' and 'fills' take about as long as a cohort, the others longer; `windtunnel "
        "audit` makes any of them later.",
    )


class StudyFile(Section):
    """A whole study."""

    study: StudySection
    data: DataSection
    features: FeaturesSection = FeaturesSection()
    label: LabelSection = LabelSection()
    validation: ValidationSection = ValidationSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    rl: RLSection = RLSection()
    policy: PolicySection = PolicySection()
    costs: CostsSection = CostsSection()
    execution: ExecutionSection = ExecutionSection()
    audit: AuditSection = AuditSection()
    tuning: TuningSection = TuningSection()
    search: dict[str, TaggedDimension] = Field(
        description="What to search: dotted names of searchable fields, each a range "
        "{low, high, log}, {integer = true, low, high} or {choices}. Searchable: "
        + ", ".join(SEARCHABLE)
        + '; with trainer = "rl": '
        + ", ".join(SEARCHABLE_RL)
        + ". With either, 'features.<group>' with the choices true and false switches a group of "
        "features.",
    )

    @model_validator(mode="after")
    def _head_fits_label(self) -> Self:
        """A head learns from one kind of label, but for 'sharpe', which needs none."""
        wanted = {"direction": "direction", "regression": "forward_return"}
        wanted["quantile"] = "forward_return"
        kind = wanted.get(self.model.head, self.label.kind)
        if kind != self.label.kind:
            raise ValueError(
                f"model.head: {self.model.head!r} learns from label.kind = {kind!r}, got "
                f"{self.label.kind!r}"
            )
        return self

    def weighs(self, name: str) -> bool:
        """Whether a metric is one of the study's objectives."""
        return name in {self.study.objective, *self.tuning.also}

    @property
    def proportional(self) -> bool:
        """Whether a score is the exposure itself, so that no thresholds stand between them."""
        return self.training.trainer == "rl" or self.model.head == "sharpe"

    @model_validator(mode="after")
    def _searchable(self) -> Self:
        if not self.search:
            raise ValueError("search: is empty; give at least one dimension")
        learns, chosen = self.training.trainer == "rl", ""
        searchable = SEARCHABLE_RL if learns else SEARCHABLE
        if learns:
            chosen = ' with trainer = "rl"'
        elif self.proportional:
            searchable = tuple(n for n in SEARCHABLE if n not in THRESHOLDED)
            chosen = " with head = 'sharpe'"
        for name in self.search:
            if name not in (*searchable, *self.features.switches):
                raise ValueError(
                    f"search.{name}: cannot be searched{chosen}; choose from "
                    f"{', '.join((*searchable, *self.features.switches))}"
                )
        problem = switch_problem(self.features, self.search)
        if problem:
            raise ValueError(problem)
        parents_first(self.search)
        return self

    @model_validator(mode="after")
    def _volatility_can_be_aimed_at(self) -> Self:
        policy = self.policy
        if policy.volatility_target is None:
            if "policy.volatility_target" in self.search:
                raise ValueError(
                    "search.policy.volatility_target: policy.volatility_target is not set; give "
                    "the one to use where nothing is searched, as in audits"
                )
            return self
        if self.proportional:
            raise ValueError(
                "policy.volatility_target: sizes positions that thresholds open; with trainer = "
                "\"rl\" or head = 'sharpe' the score is the exposure itself. Leave it out"
            )
        if policy.volatility_bars > self.validation.train_bars:
            raise ValueError(
                f"policy.volatility_bars: {policy.volatility_bars} returns are more than the "
                f"validation.train_bars = {self.validation.train_bars} before the first decision"
            )
        return self

    @model_validator(mode="after")
    def _objectives_differ(self) -> Self:
        if self.study.objective in self.tuning.also:
            raise ValueError(
                f"tuning.also: names study.objective, {self.study.objective!r}, a second time"
            )
        return self

    @model_validator(mode="after")
    def _sampler_keeps_up(self) -> Self:
        if self.tuning.sampler == "gp" and self.study.trials > MOST_TRIALS_OF_GP:
            raise ValueError(
                f"tuning.sampler: 'gp' takes at most {MOST_TRIALS_OF_GP} trials, study.trials is "
                f"{self.study.trials}: it is fitted to all of them, and beyond that would stand "
                "still for minutes at every cohort. Choose 'cohort_tpe', or fewer trials"
            )
        return self

    @model_validator(mode="after")
    def _a_policy_can_be_taught(self) -> Self:
        problem = policy_problem(self.model, self.training)
        if self.training.trainer == "rl" and problem:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _levels_follow_direction(self) -> Self:
        levels = self.rl.levels or ()
        if self.policy.direction == "long_only" and min(levels, default=0.0) < 0:
            raise ValueError(
                f"rl.levels: long_only has no level below 0, got {list(levels)}; set "
                "policy.direction to 'long_short' or leave the level out"
            )
        return self
