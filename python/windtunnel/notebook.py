"""How a finished study shows itself in a notebook: a few figures and the equity curve."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from windtunnel import splits
from windtunnel.runs import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plotly.graph_objects import Figure

_SHOWN = {
    "total_return": ("Return", "{:.1%}"),
    "sharpe": ("Sharpe", "{:.2f}"),
    "max_drawdown": ("Drawdown", "{:.1%}"),
}


def figure(run: Run, figures: Mapping[str, Any]) -> Figure:
    """The champion's equity over the validation slices, after costs, as a Plotly figure."""
    from plotly import graph_objects  # noqa: PLC0415 - half a second

    equity = _champion_equity(run, int(figures["champion"]["number"]))
    study = run.study()
    stamps = (
        pl.scan_parquet(run.path / "bars.parquet")
        .select(pl.col("timestamp").unique().sort())
        .collect()["timestamp"]
    )
    first, stop = splits.walk_forward(len(stamps), study.validation).out_of_sample
    curve = graph_objects.Scatter(
        x=stamps[first:stop].to_list(),
        y=equity / study.execution.initial_cash,
        name="champion",
    )
    drawn = graph_objects.Figure(curve)
    drawn.update_layout(
        title=f"{study.study.name}: {figures['verdict']['headline']}",
        yaxis_title="equity, start = 1",
        height=360,
        margin={"l": 56, "r": 16, "t": 48, "b": 36},
    )
    return drawn


def html(run: Run, figures: Mapping[str, Any]) -> str:
    """The verdict, and the champion beside buy and hold, as a small table."""
    slices = {"validation": figures}
    if figures["holdout"]["opened"]:
        slices["holdout"] = figures["holdout"]
    heads = "".join(f"<th>{title}</th>" for title, _ in _SHOWN.values())
    rows = []
    for name, part in slices.items():
        for who, key in (("champion", "metrics"), ("buy and hold", "benchmark")):
            cells = "".join(
                f"<td>{_written(part[key].get(metric), form)}</td>"
                for metric, (_, form) in _SHOWN.items()
            )
            rows.append(f"<tr><td>{name}</td><td>{who}</td>{cells}</tr>")
    sentences = "".join(f"<li>{escape(each)}</li>" for each in figures["verdict"]["sentences"])
    return (
        f"<h4>{escape(run.id)}: {escape(figures['verdict']['headline'])}</h4>"
        f"<table><tr><th>slice</th><th></th>{heads}</tr>{''.join(rows)}</table>"
        f"<ul>{sentences}</ul>"
    )


def _written(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _champion_equity(run: Run, number: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    for trials, equity in run.cohorts():
        at = np.flatnonzero(trials["number"].to_numpy() == number)
        if len(at):
            return np.asarray(equity[:, int(at[0])])
    raise LookupError(f"run {run.id} holds no trial {number}")  # pragma: no cover - sealed runs do
