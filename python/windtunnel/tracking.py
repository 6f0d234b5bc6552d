"""A complete run in MLflow, for those who keep their experiments there."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import polars as pl

from windtunnel.errors import RunError, first_line

if TYPE_CHECKING:
    from windtunnel.runs import Run

# MLflow refuses longer values.
LONGEST = 500


def track(run: Run, uri: str) -> str:
    """Log parameters, metrics, report and trial table of a complete run; return MLflow's id.

    A run that was logged before is not logged again: it is found by its name.

    Raises
    ------
    RunError
        MLflow is not installed, or the tracking store cannot be written.
    """
    try:
        from mlflow import MlflowClient  # noqa: PLC0415 - an extra
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - an extra
    except ImportError:
        raise RunError(
            "tuning.mlflow: MLflow is not installed",
            "Install it with `pip install 'windtunnel[mlflow]'`",
        ) from None
    study, figures = run.study(), run.result()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its stores, which are none of ours
            client = MlflowClient(tracking_uri=uri)
            name = study.study.name
            known = client.get_experiment_by_name(name)
            experiment = known.experiment_id if known else client.create_experiment(name)
            there = client.search_runs([experiment], f"tags.mlflow.runName = '{run.id}'")
            if there:
                return str(there[0].info.run_id)
            made = client.create_run(experiment, run_name=run.id).info.run_id
            for key, value in _flat(study.model_dump(mode="json", exclude={"search"})).items():
                client.log_param(made, key, str(value)[:LONGEST])
            for key, value in figures["champion"]["params"].items():
                client.log_param(made, f"champion.{key}", value)
            for key, value in _metrics(figures, run).items():
                client.log_metric(made, key, value)
            _log_search(client, made, run)
            client.set_tag(made, "verdict", figures["verdict"]["headline"])
            for file in ("report.html", "trials.parquet", "study.toml"):
                client.log_artifact(made, str(run.path / file))
            client.set_terminated(made)
    except (MlflowException, OSError) as error:
        raise RunError(
            f"tuning.mlflow: {uri!r} cannot be written ({first_line(error)})",
            "The run itself is complete; mend the tracking store and run it again to log it",
        ) from error
    return str(made)


def _log_search(client: Any, made: str, run: Run) -> None:
    """The best objective so far, cohort after cohort."""
    best = -math.inf
    for index, (table, _) in enumerate(run.cohorts()):
        best = max([best, *table["objective"].drop_nulls().to_list()])
        if math.isfinite(best):
            client.log_metric(made, "best_objective", best, step=index)


def _metrics(figures: dict[str, Any], run: Run) -> dict[str, float]:
    """The champion's metrics, and the figures of luck."""
    number = figures["champion"]["number"]
    trials = pl.read_parquet(run.path / "trials.parquet")
    row = trials.row(by_predicate=pl.col("number") == number, named=True)
    left_out = {"number", "cohort", *run.study().search}
    found = {name: value for name, value in row.items() if name not in left_out}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }


def _flat(tables: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{table}.{field}": value
        for table, fields in tables.items()
        for field, value in fields.items()
        if value is not None
    }
