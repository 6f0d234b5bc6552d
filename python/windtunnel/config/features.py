"""The study file's table `[features]`: what the model sees, and what a search may switch off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from windtunnel.config.search import Choice, Dimension
from windtunnel.config.section import Section


class FeaturesSection(Section):
    """Which causal features the model sees."""

    use: tuple[str, ...] = Field(
        default=(
            "return_1",
            "return_5",
            "return_20",
            "return_60",
            "volatility_20",
            "volatility_ratio_20",
            "rsi_14",
            "zscore_20",
            "drawdown_60",
            "range_20",
            "volume_zscore_20",
            "rank_return_20",
        ),
        strict=False,
        min_length=1,
        max_length=512,
        description="Names from the feature catalogue, '<kind>_<window>', window in bars; "
        "`windtunnel features` lists the kinds.",
    )

    groups: dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")],
        Annotated[tuple[str, ...], Field(strict=False, min_length=1)],
    ] = Field(
        default_factory=dict,
        description="Groups of names from `use` that [search] may switch off and on together, as "
        "'features.<group>'. Each kind of feature that `use` names is a group as well: "
        "'features.return' is all of 'return_1', 'return_5', ...",
    )

    @property
    def switches(self) -> dict[str, tuple[str, ...]]:
        """What a search may switch: names of dimensions, and the features that each stands for."""
        kinds: dict[str, list[str]] = {}
        for name in self.use:
            kinds.setdefault(name.rpartition("_")[0], []).append(name)
        return {f"features.{kind}": tuple(names) for kind, names in kinds.items()} | {
            f"features.{group}": names for group, names in self.groups.items()
        }

    def seen(self, params: Mapping[str, Any]) -> tuple[bool, ...]:
        """Whether a configuration sees each feature of `use`: no group that holds it is off.

        A switch that it lacks by a dimension's `when` is on.
        """
        off = {
            name
            for switch, names in self.switches.items()
            if not params.get(switch, True)
            for name in names
        }
        return tuple(name not in off for name in self.use)

    @model_validator(mode="after")
    def _groups_of_used(self) -> Self:
        for group, names in self.groups.items():
            strange = [name for name in names if name not in self.use]
            if strange:
                raise ValueError(f"groups.{group}: names {strange}, which `use` does not")
            if len(set(names)) < len(names):
                raise ValueError(f"groups.{group}: names a feature twice, {list(names)}")
            if any(name.rpartition("_")[0] == group for name in self.use):
                raise ValueError(f"groups.{group}: is a kind of feature; give another name")
        return self

    @model_validator(mode="after")
    def _unique(self) -> Self:
        twice = sorted({name for name in self.use if self.use.count(name) > 1})
        if twice:
            raise ValueError(f"names {twice} twice; each feature may be used once")
        return self


def switch_problem(features: FeaturesSection, search: Mapping[str, Dimension]) -> str | None:
    """What is wrong with the switches of a search, None where all is well.

    A switch is a choice of true and false. One feature at least has none: a configuration that
    sees nothing learns nothing, and would be a trial for nothing.
    """
    switched = [name for name in search if name in features.switches]
    for name in switched:
        dimension = search[name]
        values = dimension.choices if isinstance(dimension, Choice) else ()
        if not all(isinstance(each, bool) for each in values) or set(values) != {True, False}:
            return f"search.{name}: is a switch; give it choices = [true, false]"
    if switched and not any(features.seen(dict.fromkeys(switched, False))):
        return (
            f"search: {', '.join(sorted(switched))} may switch every feature off at once; leave a "
            "feature of features.use without a switch"
        )
    return None
