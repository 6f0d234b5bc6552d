"""The study file's table `[model]`: family, size, head and reach of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from windtunnel.config.section import Section

# What the quantile head predicts; the one in the middle is the score.
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

# What configurations of one study may differ in at the price of a program for each shape.
MODEL_SEARCHABLE = ("family", "width", "depth", "window")


class ModelSection(Section):
    """Shape of the network and what it is trained for."""

    family: str = Field(
        default="mlp",
        description="A registered model family: 'linear', 'mlp', 'gru', 'tcn', 'transformer', "
        "'lightgbm' (extra), or one of your own.",
    )
    hidden: tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None = Field(
        default=None,
        strict=False,
        max_length=16,
        description="Widths of the layers of an 'mlp'; `depth` layers of `width` when absent.",
    )
    width: int = Field(default=32, ge=1, le=4096, description="Hidden units of a layer.")
    depth: int = Field(
        default=2,
        ge=1,
        le=16,
        description="Layers or blocks. A 'tcn' has as many as its window needs; 'linear' none.",
    )
    residual: bool = Field(
        default=False,
        description="Whether layers of an 'mlp' add to what they are given, where widths agree.",
    )
    window: int = Field(
        default=16,
        ge=1,
        le=1024,
        description="Bars up to and including the decision's that a 'gru', 'tcn' or "
        "'transformer' sees; other families see the decision's bar alone.",
    )
    attention_heads: int = Field(
        default=2, ge=1, le=64, description="Heads of a 'transformer'; they divide `width`."
    )
    head: Literal["auto", "direction", "regression", "quantile", "sharpe"] = Field(
        default="auto",
        description="What the score is trained as: a probability ('direction'), a size "
        "('regression'), the median of five quantiles ('quantile'), or the exposure itself, by "
        "its Sharpe ratio after costs ('sharpe'; in [-1, 1], in [0, 1] with policy.direction = "
        "'long_only'). 'auto' follows label.kind.",
    )
    scope: Literal["instrument", "cross_section"] = Field(
        default="instrument",
        description="'cross_section' scores instruments relative to the others at the same bar; "
        "'instrument' scores each by itself.",
    )

    def vary(self, params: Mapping[str, Any]) -> ModelSection:
        """The model of a configuration: this one with its values of `MODEL_SEARCHABLE`.

        Keys of `params` are dotted ('model.width'); others are ignored, and None means this
        section's own. A width or depth takes the place of `hidden`.
        """
        own = {name: params.get(f"model.{name}") for name in MODEL_SEARCHABLE}
        given = {name: value for name, value in own.items() if value is not None}
        if {"width", "depth"} & given.keys():
            given["hidden"] = None
        return type(self).model_validate({**self.model_dump(), **given})

    @property
    def layers(self) -> tuple[int, ...]:
        """Widths of the layers of a perceptron."""
        return (self.width,) * self.depth if self.hidden is None else self.hidden

    @property
    def outputs(self) -> int:
        """Numbers that the network gives for each row."""
        return len(QUANTILES) if self.head == "quantile" else 1
