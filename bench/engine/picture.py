"""`python bench/engine/picture.py IN.json OUT.png`: the tables as one picture, on a log scale."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

TITLES = {
    "W1": "Entry and exit flags",
    "W4": "Flags with stops and targets",
    "W2": "Targets at every bar, exact rebalancing",
    "W3": "100 instruments that share their cash",
}
OURS, LOOP, PEER = "#0b6e4f", "#c08a2d", "#8a94a6"


def color(row: dict[str, Any]) -> str:
    if row["ours"]:
        return OURS
    return LOOP if row["name"].startswith("Numba loop") else PEER


def label(row: dict[str, Any]) -> str:
    return f"Windtunnel, {row['name']}" if row["ours"] else row["name"]


def draw(found: dict[str, Any]) -> go.Figure:
    works = [work for work in TITLES if work in found]
    counts = [len(found[work]["rows"]) for work in works]
    figure = make_subplots(
        rows=len(works),
        cols=1,
        shared_xaxes=True,
        row_heights=counts,
        vertical_spacing=0.05,
        subplot_titles=[f"<b>{TITLES[work]}</b>: {found[work]['size']}" for work in works],
    )
    for at, work in enumerate(works, start=1):
        rows = sorted(
            found[work]["rows"], key=lambda row: row["million_bar_configurations_a_second"]
        )
        rates = [row["million_bar_configurations_a_second"] for row in rows]
        figure.add_bar(
            x=rates,
            y=[label(row) for row in rows],
            orientation="h",
            marker_color=[color(row) for row in rows],
            text=[f" {rate:,.0f}" if rate >= 10 else f" {rate:.1f}" for rate in rates],
            textposition="outside",
            cliponaxis=False,
            row=at,
            col=1,
        )
    figure.update_xaxes(type="log", range=[-1.3, 3.7], gridcolor="#e6e8ec", showticklabels=False)
    figure.update_xaxes(
        title="million bar-configurations a second, metrics included (log scale)",
        showticklabels=True, tickvals=[0.1, 1, 10, 100, 1000], row=len(works), col=1,
    )  # fmt: skip
    figure.update_annotations(x=0, xanchor="left", font_size=14)
    versions = found[works[0]]["versions"]
    figure.add_annotation(
        text=", ".join(f"{name} {version}" for name, version in versions.items()),
        x=0, y=-0.09, xref="paper", yref="paper", xanchor="left", showarrow=False,
        font={"size": 10, "color": "#667"},
    )  # fmt: skip
    figure.update_layout(
        width=900, height=110 + 27 * sum(counts) + 40 * len(works), showlegend=False,
        template="plotly_white", margin={"l": 230, "r": 50, "t": 40, "b": 80}, bargap=0.25,
        font={"family": "Inter, Helvetica, Arial, sans-serif", "size": 12},
    )  # fmt: skip
    return figure


def main() -> None:
    source, target = map(Path, sys.argv[1:3])
    draw(json.loads(source.read_text(encoding="utf-8"))).write_image(target, scale=2)


if __name__ == "__main__":
    main()
