"""Dimensions of the search space."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from windtunnel.config.section import Section


class FloatRange(Section):
    """A real-valued search dimension."""

    low: float = Field(description="Smallest value, included.")
    high: float = Field(description="Largest value, included.")
    log: bool = Field(default=False, description="Search on a logarithmic scale.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs low above zero, got {self.low:g}")
        return self


class Choice(Section):
    """A search dimension with named values."""

    choices: tuple[float, ...] = Field(
        strict=False, min_length=2, description="The values to choose from."
    )


def _dimension_kind(raw: Any) -> str:
    """Tell a range from a choice, so that an error speaks of the one that was meant."""
    given = raw if isinstance(raw, dict) else getattr(raw, "__dict__", {})
    return "choice" if "choices" in given else "range"


Dimension = FloatRange | Choice
TaggedDimension = Annotated[
    Annotated[FloatRange, Tag("range")] | Annotated[Choice, Tag("choice")],
    Discriminator(_dimension_kind),
]
