"""Dimensions of the search space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from windtunnel.config.section import Section

# What a dimension may take.
Value: TypeAlias = float | int | str | bool
Params: TypeAlias = Mapping[str, Value]


class Conditional(Section):
    """A dimension that some configurations may do without."""

    when: dict[str, Annotated[tuple[Value, ...], Field(strict=False)]] | None = Field(
        default=None,
        description="Searched only where other dimensions take one of these values, for example "
        '{ "model.family" = ["mlp"] }; elsewhere the configuration keeps the study\'s own value.',
    )


class FloatRange(Conditional):
    """A real-valued search dimension."""

    low: float = Field(description="Smallest value, included.")
    high: float = Field(description="Largest value, included.")
    log: bool = Field(default=False, description="Search on a logarithmic scale.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_ends(self.low, self.high, log=self.log)
        return self


class IntRange(Conditional):
    """A search dimension of whole numbers."""

    integer: Literal[True] = Field(description="Marks a range of whole numbers.")
    low: int = Field(description="Smallest value, included.")
    high: int = Field(description="Largest value, included if a step leads to it.")
    step: int = Field(default=1, ge=1, description="Distance between values; 1 where log.")
    log: bool = Field(default=False, description="Search on a logarithmic scale.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_ends(self.low, self.high, log=self.log)
        if self.log and self.step != 1:
            raise ValueError(f"log needs step 1, got {self.step}")
        if self.low + self.step > self.high:
            raise ValueError(f"step ({self.step}) leaves one value between low and high")
        return self

    @property
    def last(self) -> int:
        """Largest value that is taken."""
        return self.low + (self.high - self.low) // self.step * self.step


class Choice(Conditional):
    """A search dimension with named values."""

    choices: tuple[Value, ...] = Field(
        strict=False, min_length=2, description="The values to choose from."
    )

    @field_validator("choices", mode="after")
    @classmethod
    def _alike(cls, choices: tuple[Value, ...]) -> tuple[Value, ...]:
        kinds = {isinstance(value, (str, bool)) and type(value) for value in choices}
        if len(kinds) > 1:
            raise ValueError(f"choices {list(choices)} are of several types")
        if any(isinstance(value, float) for value in choices):
            return tuple(float(value) for value in choices)
        return choices


def _check_ends(low: float, high: float, *, log: bool) -> None:
    if low >= high:
        raise ValueError(f"low ({low:g}) must be below high ({high:g})")
    if log and low <= 0:
        raise ValueError(f"log needs low above zero, got {low:g}")


def _dimension_kind(raw: Any) -> str:
    """Tell the kinds apart, so that an error speaks of the one that was meant."""
    given = raw if isinstance(raw, dict) else getattr(raw, "__dict__", {})
    if "choices" in given:
        return "choice"
    return "whole" if given.get("integer") else "range"


Dimension = FloatRange | IntRange | Choice
TaggedDimension = Annotated[
    Annotated[FloatRange, Tag("range")]
    | Annotated[IntRange, Tag("whole")]
    | Annotated[Choice, Tag("choice")],
    Discriminator(_dimension_kind),
]


def is_active(dimension: Dimension, params: Mapping[str, Value | None]) -> bool:
    """Whether a configuration of `params` has the dimension."""
    return all(params.get(name) in values for name, values in (dimension.when or {}).items())


def parents_first(search: Mapping[str, Dimension]) -> list[str]:
    """Names in alphabetical order, but each after those that its `when` names.

    Raises
    ------
    ValueError
        A `when` names no dimension of the search, a value that it cannot take, or itself.
    """
    order: list[str] = []

    def visit(name: str, below: tuple[str, ...]) -> None:
        if name in order:
            return
        if name in below:
            raise ValueError(f"search.{name}: when leads back to itself")
        for parent, values in (search[name].when or {}).items():
            _check_parent(search, name, parent, values)
            visit(parent, (*below, name))
        order.append(name)

    for name in sorted(search):
        visit(name, ())
    return order


def _check_parent(
    search: Mapping[str, Dimension], name: str, parent: str, values: tuple[Value, ...]
) -> None:
    if parent not in search:
        raise ValueError(f"search.{name}: when names {parent!r}, which is not searched")
    above = search[parent]
    if not isinstance(above, Choice):
        raise ValueError(  # noqa: TRY004 - a rule of the study file
            f"search.{name}: when names {parent!r}, which is no choice"
        )
    strange = [value for value in values if value not in above.choices]
    if strange or not values:
        raise ValueError(
            f"search.{name}: when wants {parent} in {list(values)}, its choices are "
            f"{list(above.choices)}"
        )
