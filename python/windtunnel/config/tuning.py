"""How the search goes about it: sampler, pruner, where trials are kept, who computes them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from windtunnel.config.section import Section

# What decides where and by whom trials are computed, never what comes out.
WITHOUT_INFLUENCE = ("storage", "executor", "workers", "ray_address", "mlflow")


class TuningSection(Section):
    """How configurations are chosen, stopped early, stored and shared out."""

    sampler: Literal["cohort_tpe", "tpe", "random", "qmc", "gp", "cmaes", "nsga2", "nsga3"] = Field(
        default="cohort_tpe",
        description="Who chooses configurations. 'cohort_tpe' draws a whole cohort from one pair "
        "of densities; 'tpe' is Optuna's, multivariate with a constant liar; 'nsga2', 'nsga3' and "
        "'tpe' take several objectives; 'gp' and 'cmaes' need `windtunnel[samplers]`.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        return self
