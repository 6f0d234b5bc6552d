"""What is served is what was studied: the holdout's bars over HTTP give its decisions."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

Finished = Any

# Scores of the exported program and of the study's population program differ by rounding
# alone; the bundle's own replay holds to the same bound.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def registry(finished: Finished, windtunnel: Any, tmp_path_factory: Any) -> Path:
    """The run's registry, in which its version serves although the study found no edge."""
    folder = tmp_path_factory.mktemp("served")
    registry = shutil.copytree(finished.workspace / "registry", folder / "registry")
    command = ("promote", "small", "1", "--registry", registry, "--force", "--reason", "a test")
    done = windtunnel(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    return registry


@pytest.fixture(scope="module")
def address(finished: Finished, registry: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "windtunnel", "serve", "--registry", registry, "--port", str(port)],
        cwd=finished.workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
    else:
        process.kill()
        raise AssertionError(f"the service never became ready: {process.communicate()[0]}")
    yield url
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        loaded: dict[str, Any] = json.load(answer)
        return loaded


def columns(bars: pl.DataFrame) -> dict[str, list[Any]]:
    return bars.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_dict(
        as_series=False
    )


def test_served_equals_studied(finished: Finished, address: str) -> None:
    holdout = pl.read_parquet(finished.run / "holdout.parquet")
    first = holdout["timestamp"].min()
    bars = pl.read_parquet(finished.run / "bars.parquet")
    days = bars["timestamp"].unique().sort()
    needed = days[int(days.search_sorted(first)) - 60]
    answer = post(
        f"{address}/v1/predict",
        {
            "bars": columns(bars.filter(pl.col("timestamp") >= needed)),
            "since": first.isoformat(),
        },
    )
    served = pl.DataFrame(answer["decisions"], infer_schema_length=None).with_columns(
        pl.col("timestamp").str.to_datetime(time_zone="UTC", time_unit="us")
    )
    # An instrument without a bar gets no decision, in words: both are null.
    served = served.filter(pl.col("exposure").is_not_null())
    joined = holdout.join(served, on=["timestamp", "symbol"], how="full", suffix="_served")
    assert len(joined) == len(holdout) == len(served)
    assert joined["score"].is_null().to_list() == joined["score_served"].is_null().to_list()
    both = joined.drop_nulls("score")
    gap = np.abs(both["score"].to_numpy() - both["score_served"].to_numpy())
    assert gap.max() <= TOLERANCE
    # A decision may differ only after a score within rounding of a threshold.
    near = pl.any_horizontal(
        (pl.col("score").abs() - threshold).abs() <= TOLERANCE
        for threshold in (0.0, *finished.champion_thresholds)
    )
    judged = joined.sort("timestamp").with_columns(
        doubtful=near.fill_null(value=False).cum_max().over("symbol")
    )
    differ = judged.filter(pl.col("exposure") != pl.col("exposure_served"))
    assert differ["doubtful"].all()
    assert len(differ) <= 0.01 * len(judged)


def test_a_day_at_a_time_gives_the_same_decisions(finished: Finished, address: str) -> None:
    holdout = pl.read_parquet(finished.run / "holdout.parquet")
    bars = pl.read_parquet(finished.run / "bars.parquet")
    days = bars["timestamp"].unique().sort()
    begin = int(days.search_sorted(holdout["timestamp"].min()))
    state = None
    for day in range(begin, begin + 12):
        window = bars.filter(pl.col("timestamp").is_between(days[day - 40], days[day]))
        body: dict[str, Any] = {"bars": columns(window)}
        if state is not None:
            body["state"] = state
        answer = post(f"{address}/v1/predict", body)
        state = answer["state"]
        studied = holdout.filter(pl.col("timestamp") == days[day]).sort("symbol")
        served = pl.DataFrame(answer["decisions"], infer_schema_length=None).sort("symbol")
        assert served["symbol"].to_list() == studied["symbol"].to_list()
        assert served["exposure"].to_list() == studied["exposure"].to_list()


def test_response_names_the_version(finished: Finished, address: str) -> None:
    with urllib.request.urlopen(f"{address}/v1/models", timeout=10) as answer:
        assert "small" in answer.read().decode()


def test_service_leaves_no_trace_of_training_libraries(finished: Finished) -> None:
    code = (
        "import sys; import windtunnel.serving.app; "
        "print([n for n in ('optuna', 'flax', 'optax', 'plotly', 'windtunnel.trainers') "
        "if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"


def test_a_study_without_an_edge_serves_only_when_somebody_says_why(
    finished: Finished, registry: Path, windtunnel: Any
) -> None:
    assert finished.figures["verdict"]["level"] == "no_edge"
    done = windtunnel("serve", cwd=finished.workspace)
    assert done.returncode == 7
    told = " ".join(done.stderr.split())  # lines are broken to fit
    assert "no alias 'champion'" in told
    assert "only with --force and a reason" in told
    untouched = json.loads(windtunnel("history", "small", "--json", cwd=finished.workspace).stdout)
    assert [entry["action"] for entry in untouched] == ["registered"]
    log = windtunnel("history", "small", "--json", "--registry", registry, cwd=finished.workspace)
    forced = json.loads(log.stdout)[-1]
    assert (forced["action"], forced["why"]) == ("promoted", "a test")
    assert "verdict" in forced["forced"]


def test_workspace_without_models_is_told(windtunnel: Any, tmp_path: Path) -> None:
    done = windtunnel("serve", cwd=tmp_path)
    assert done.returncode == 7
    assert "Finish a study first" in done.stderr
