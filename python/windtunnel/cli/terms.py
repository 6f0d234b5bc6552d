"""Options of a judge of canaries, one meaning wherever one is asked for."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import typer

from windtunnel.errors import MetricError
from windtunnel.monitoring.canary_terms import Terms

LateSeconds: TypeAlias = Annotated[
    float,
    typer.Option("--late-seconds", "--late", help="An answer that takes longer is late."),
]
ErrorMargin: TypeAlias = Annotated[
    float, typer.Option(help="Excess share of failures to rule out before promoting.")
]
LateMargin: TypeAlias = Annotated[
    float, typer.Option(help="Excess share of late answers to rule out before promoting.")
]
Disagreement: TypeAlias = Annotated[
    float, typer.Option(help="Share of differing decisions that a shadow may have.")
]
DisagreementMargin: TypeAlias = Annotated[
    float, typer.Option(help="Excess over it to rule out before promoting.")
]
FalseAlarm: TypeAlias = Annotated[
    float, typer.Option(help="Chance of withdrawing a canary that is no worse, ever.")
]
FalsePromotion: TypeAlias = Annotated[
    float, typer.Option(help="Chance of promoting one that is worse by a margin, ever.")
]
Judges: TypeAlias = Annotated[
    int, typer.Option(help="Services that judge this canary, each by itself.")
]
Fewest: TypeAlias = Annotated[
    int, typer.Option(help="Least number of canary requests before a decision.")
]
Most: TypeAlias = Annotated[int, typer.Option(help="Give up after so many canary requests.")]


def agreed(**options: Any) -> Terms:
    """The terms that were asked for; one that cannot be is an error of usage, by its option."""
    try:
        return Terms(**options)
    except MetricError as error:
        field, _, rule = error.problem.removeprefix("terms.").partition(": ")
        option = f"--{field.replace('_', '-')}"
        raise typer.BadParameter(rule, param_hint=option) from None
