"""Sections that a user added: called here, turned into text, table or picture."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from windtunnel import extend
from windtunnel.errors import ReportError
from windtunnel.reports.details import OwnSection
from windtunnel.reports.drawing import axis, layout

# Colours of a user's traces, in the page's names.
COLOURS = ("champion", "benchmark", "luck", "shade4", "cash", "dots")
# Plotly Express writes its default colours into the traces, where they no longer look chosen.
DEFAULTS = ("#636efa", "#EF553B", "#00cc96", "#ab63fa", "#FFA15A", "#19d3f3")


def own_sections(found: Any) -> tuple[tuple[OwnSection, ...], tuple[str, ...]]:
    """Call every added section with the findings; returns them and what went wrong.

    A section that raises, or returns something else than text, a Polars data frame or a
    Plotly figure, is left out and becomes a sentence.
    """
    sections, problems = [], []
    for each in extend.registered("section"):
        try:
            sections.append(_section(each.name, each.function(found)))
        except Exception as error:  # noqa: BLE001 - whatever a user's function does
            problems.append(extend.failure(each, error))
    return tuple(sections), tuple(problems)


def _section(title: str, made: Any) -> OwnSection:
    if isinstance(made, str):
        return OwnSection(title=title, text=made)
    if isinstance(made, pl.DataFrame):
        return OwnSection(title=title, table=made)
    if callable(getattr(made, "to_json", None)) and hasattr(made, "layout"):
        text = str(made.to_json())
        for default, colour in zip(DEFAULTS, COLOURS, strict=True):
            text = text.replace(f'"{default}"', f'"{colour}"')
        return OwnSection(title=title, figure=_themed(json.loads(text)))
    raise ReportError(
        f"must return text, a Polars data frame or a Plotly figure, got {type(made).__name__}"
    )


def _themed(figure: dict[str, Any]) -> dict[str, Any]:
    """A Plotly figure in the page's look; what its author set stays."""
    look = layout(xaxis=axis(), yaxis=axis(), colorway=list(COLOURS), showlegend=True)
    look["font"]["color"] = "text"
    given = {name: value for name, value in figure.get("layout", {}).items() if name != "template"}
    width = {"autosize": True, "font": {"size": 12, "color": "text"} | given.pop("font", {})}
    clear = {"paper_bgcolor": "clear", "plot_bgcolor": "clear"}
    return {
        "data": figure["data"],
        "layout": clear | given | width | {"template": {"layout": look}},
    }
