"""A complete run in MLflow's own store, read back by MLflow's own client."""

from __future__ import annotations

import pytest

from windtunnel.errors import RunError
from windtunnel.runs import Run
from windtunnel.tracking import track

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's own


@pytest.fixture
def client_of(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)  # artifacts go below the current folder
    return lambda uri: mlflow.MlflowClient(tracking_uri=uri)


def test_a_run_is_logged_once(finished, client_of, tmp_path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    run = Run(finished.run)
    made = track(run, uri)
    assert track(run, uri) == made
    client = client_of(uri)
    kept = client.get_run(made)
    figures = run.result()
    for name, value in figures["champion"]["params"].items():
        assert kept.data.params[f"champion.{name}"] == str(value)
    # The study as it was carried out, its defaults included; what was searched is logged above.
    study = run.study()
    assert kept.data.params["study.seed"] == str(study.study.seed)
    assert kept.data.params["validation.folds"] == str(study.validation.folds)
    assert kept.data.params["training.steps"] == str(study.training.steps)
    assert kept.data.params["tuning.sampler"] == "cohort_tpe"
    assert kept.data.params["costs.fee_bps"] == str(study.costs.fee_bps)
    assert kept.data.metrics["objective"] == pytest.approx(figures["champion"]["objective"])
    assert kept.data.tags["verdict"] == figures["verdict"]["headline"]
    assert len(client.get_metric_history(made, "best_objective")) >= 1
    names = {file.path for file in client.list_artifacts(made)}
    assert names == {"report.html", "trials.parquet", "study.toml"}


def test_a_store_that_cannot_be_written_is_named(finished, client_of, tmp_path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RunError, match=r"tuning.mlflow: 'sqlite:///.*' cannot be written"):
        track(Run(finished.run), f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")
