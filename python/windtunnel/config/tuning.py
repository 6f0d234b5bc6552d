"""How the search goes about it: sampler, pruner, where trials are kept, who computes them."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from windtunnel.config.section import Section

Objective: TypeAlias = Literal["sharpe", "deflated_sharpe", "sortino", "calmar", "total_return"]
FurtherObjective: TypeAlias = Literal[
    "sharpe",
    "deflated_sharpe",
    "sortino",
    "calmar",
    "total_return",
    "max_drawdown",
    "turnover",
    "volatility",
]
# Further objectives of which less is better.
MINIMISED = ("max_drawdown", "turnover", "volatility")
# A Gaussian process is fitted to all trials, at a cost that grows with their cube: beyond so many
# the search would stand still for minutes at every cohort.
MOST_TRIALS_OF_GP = 1000
# What decides where and by whom trials are computed, never what comes out.
WITHOUT_INFLUENCE = ("storage", "executor", "workers", "ray_address", "mlflow")


class TuningSection(Section):
    """How configurations are chosen, stopped early, stored and shared out."""

    sampler: Literal["cohort_tpe", "tpe", "random", "qmc", "gp", "cmaes", "nsga2", "nsga3"] = Field(
        default="cohort_tpe",
        description="Who chooses configurations. 'cohort_tpe' draws a whole cohort from one pair "
        "of densities; 'tpe' is Optuna's, multivariate with a constant liar; all but 'cohort_tpe' "
        "and 'cmaes' take several objectives; 'gp' and 'cmaes' need `windtunnel[samplers]`. 'gp' "
        f"takes seconds a trial, and {MOST_TRIALS_OF_GP} trials at most; 'tpe' becomes slow beyond "
        "2000.",
    )
    also: tuple[FurtherObjective, ...] = Field(
        default=(),
        strict=False,
        max_length=3,
        description="Further objectives beside study.objective, of which the report shows the "
        "Pareto front; less is better of 'max_drawdown', 'turnover' and 'volatility'. The "
        "champion is chosen by study.objective.",
    )
    pruner: Literal["none", "halving", "asha", "hyperband", "median", "percentile", "patient"] = (
        Field(
            default="none",
            description="Who stops configurations early. 'halving' keeps the best of each part, "
            "'asha' those among the best of all that ever reached the rung, 'hyperband' is "
            "halving that begins later in every other cohort; 'median', 'percentile' and "
            "'patient' are Optuna's.",
        )
    )
    rungs: int = Field(
        default=3, ge=1, le=12, description="Looks at a configuration before its last step."
    )
    reduction: int = Field(
        default=2,
        ge=2,
        le=16,
        description="Steps grow by this factor from rung to rung, and one configuration in so "
        "many survives one.",
    )
    percentile: float = Field(
        default=25.0,
        gt=0,
        lt=100,
        description="With pruner 'percentile': the share, in percent, that survives a rung.",
    )
    parts: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Parts of a cohort that workers share out; each is pruned by itself.",
    )
    storage: str = Field(
        default="journal",
        pattern=r"^(memory|journal|sqlite|postgresql://\S+)$",
        description="Where Optuna's tools see the trials: 'journal' or 'sqlite', a file in the "
        "run directory; 'postgresql://user@host/database'; 'memory', nowhere.",
    )
    executor: Literal["local", "ray"] = Field(
        default="local", description="Who trains the parts of a cohort."
    )
    workers: int = Field(
        default=2, ge=1, le=4096, description="Workers of executor 'ray', one task each."
    )
    ray_address: str | None = Field(
        default=None,
        description="Cluster of executor 'ray', for example 'auto' or 'ray://host:10001'; a "
        "local one is started when absent.",
    )
    mlflow: str | None = Field(
        default=None,
        description="Tracking URI to which parameters, metrics and the report are logged, for "
        "example 'sqlite:///mlflow.db'; needs `windtunnel[mlflow]`.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.also and self.pruner != "none":
            raise ValueError("also: several objectives cannot be pruned; set pruner to 'none'")
        if len(set(self.also)) < len(self.also):
            raise ValueError(f"also: names an objective twice, {list(self.also)}")
        _, at, _ = (account := self.storage.removeprefix("postgresql://")).partition("@")
        if account != self.storage and at and ":" in account.split("@")[0]:
            raise ValueError(
                "storage: holds a password, which would be written into the run; give it by "
                "PGPASSWORD or a password file"
            )
        return self
