"""The study file's table `[training]`: how each configuration is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from windtunnel.config.section import Section


class TrainingSection(Section):
    """How each configuration is trained. Fields marked searchable may be varied by [search]."""

    trainer: Literal["supervised", "rl"] = Field(
        default="supervised",
        description="'supervised' learns the label; 'rl' learns to trade, from the account's own "
        "return after costs, and takes its settings from [rl], and `seeds`, `device` and "
        "`memory_budget_mib` from here.",
    )
    steps: int = Field(default=300, ge=1, le=1_000_000, description="Optimiser steps.")
    batch_size: int = Field(default=256, ge=1, le=65_536, description="Rows a step.")
    stretch_bars: int = Field(
        default=32,
        ge=2,
        le=4096,
        description="Consecutive bars that the 'sharpe' head sees in one piece; a step takes as "
        "many pieces as give `batch_size` rows.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="What matrix products are trained in; weights and scores are float32 in any "
        "case. On a CPU bfloat16 is slower.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where to train; 'auto' takes what JAX prefers."
    )
    memory_budget_mib: int | None = Field(
        default=None,
        ge=256,
        description="MiB that the process may take; half of what is free when absent. It decides "
        "how much is trained at once, never a result.",
    )
    seeds: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Models trained from different initial weights; the score is their mean. "
        "Those of 'lightgbm' begin from none and differ by `dropout` alone: without it they are "
        "one.",
    )
    learning_rate: float = Field(
        default=3e-3, gt=0, le=10, description="Peak step size of AdamW. Searchable."
    )
    weight_decay: float = Field(
        default=1e-4, ge=0, le=10, description="Decoupled weight decay. Searchable."
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Share of hidden units dropped. Searchable."
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share by which direction labels are drawn towards one half. Searchable.",
    )
