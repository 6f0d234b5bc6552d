"""What is deployed fits together: workflows, image, compose, Prometheus, Grafana, Kubernetes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

from windtunnel.events import (  # noqa: E402 - after the skip
    AlertRaised,
    PredictionFailed,
    PredictionRefused,
    PredictionServed,
    ShadowAnswered,
)
from windtunnel.monitoring.prometheus import PrometheusObserver  # noqa: E402 - the same


@pytest.fixture(scope="module")
def exported() -> set[str]:
    """Names of all samples and labels that a service exports."""
    observer = PrometheusObserver()
    for event in (
        PredictionServed("m", 1, 1, 0.001),
        PredictionFailed("m", 1),
        PredictionRefused("m", "shape"),
        ShadowAnswered("m", 1, 2, 5, 0.2, 0.001, 0.001, failed=False),
        AlertRaised("r", "page", "m", "w", "2026-01-01T00:00:00Z", 1.0, 0.5, "a"),
    ):
        observer(event)
    return set(re.findall(r"^(windtunnel_\w+)", observer.exposition().decode(), re.MULTILINE))


def recorded(root: Path) -> set[str]:
    rules = yaml.safe_load((root / "deploy/prometheus/rules.yml").read_text("utf-8"))
    return {
        rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule
    }


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bwindtunnel[_:][\w:]+", text))


def test_rules_use_metrics_that_exist(root: Path, exported: set[str]) -> None:
    rules = yaml.safe_load((root / "deploy/prometheus/rules.yml").read_text("utf-8"))
    used = {
        name
        for group in rules["groups"]
        for rule in group["rules"]
        for name in names_in(rule["expr"])
    }
    assert len(used) >= 5
    # Series of objectives and of observers behind a queue appear only with those.
    assert used - exported - recorded(root) == set()


def test_dashboard_uses_metrics_that_exist(root: Path, exported: set[str]) -> None:
    dashboard = json.loads((root / "deploy/grafana/dashboards/windtunnel.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) >= 8
    source = (root / "python/windtunnel/monitoring/prometheus.py").read_text("utf-8")
    declared = set(re.findall(r'"(windtunnel_\w+)"', source))
    declared |= {f"{name}_total" for name in declared}
    used = set().union(*map(names_in, expressions))
    assert used - exported - declared - recorded(root) == set()
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
    uids = {t["datasource"]["uid"] for panel in dashboard["panels"] for t in panel["targets"]}
    provisioned = yaml.safe_load(
        (root / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text("utf-8")
    )
    assert uids == {entry["uid"] for entry in provisioned["datasources"]}


def test_the_bound_of_lateness_is_one_of_the_histogram(root: Path) -> None:
    from windtunnel.monitoring.latency import BUCKETS

    text = (root / "deploy/prometheus/rules.yml").read_text("utf-8")
    bounds = {float(bound) for bound in re.findall(r'le="([\d.]+)"', text)}
    assert bounds
    assert bounds <= set(BUCKETS)


def test_promtool_accepts_config_and_rules(root: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    for command in (
        ["check", "config", "deploy/prometheus/prometheus.yml"],
        ["test", "rules", "deploy/prometheus/rules_test.yml"],
    ):
        done = subprocess.run(
            ["promtool", *command], cwd=root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def manifests(root: Path) -> dict[str, Any]:
    text = (root / "deploy/kubernetes/service.yaml").read_text("utf-8")
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_kubernetes_and_compose_run_the_image_as_it_is(root: Path) -> None:
    dockerfile = (root / "Dockerfile").read_text("utf-8")
    kinds = manifests(root)
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (port,) = [entry["containerPort"] for entry in container["ports"]]
    assert f"EXPOSE {port}" in dockerfile
    assert f"USER {pod['securityContext']['runAsUser']}" in dockerfile
    assert container["args"][-1] == str(port)
    compose = yaml.safe_load((root / "compose.yaml").read_text("utf-8"))
    service = compose["services"]["windtunnel"]
    assert service["command"] == container["args"]
    scrape = yaml.safe_load((root / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    assert scrape["scrape_configs"][0]["static_configs"][0]["targets"] == [f"windtunnel:{port}"]
    selector = kinds["Service"]["spec"]["selector"]
    assert selector == kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]


def test_kubernetes_paths_are_those_of_the_service(root: Path) -> None:
    text = (root / "python/windtunnel/serving/app.py").read_text("utf-8")
    (container,) = manifests(root)["Deployment"]["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert f'"{container[probe]["httpGet"]["path"]}"' in text


def test_every_mounted_file_exists(root: Path) -> None:
    compose = yaml.safe_load((root / "compose.yaml").read_text("utf-8"))
    mounted = [
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./") and not volume.startswith("./registry")
    ]
    assert len(mounted) == 3
    assert [path for path in mounted if not (root / path).exists()] == []


def test_scripts_that_workflows_call_exist(root: Path) -> None:
    called = {
        name
        for path in (root / ".github" / "workflows").glob("*.yml")
        for name in re.findall(r"scripts/([\w.]+)", path.read_text("utf-8"))
    }
    assert {"smoke_bundle.py", "deploy_canary.sh"} <= called
    assert {name for name in called if not (root / "scripts" / name).is_file()} == set()


def steps_of_deployment(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The steps that begin and, when the run is cancelled, end a canary."""
    workflow = yaml.safe_load((root / ".github/workflows/deploy.yml").read_text("utf-8"))
    steps = {step.get("name"): step for step in workflow["jobs"]["deploy"]["steps"]}
    return steps["Canary, until it is judged"], steps["Stop the canary of a cancelled run"]


def test_the_workflow_hands_on_what_the_script_asks_for(root: Path) -> None:
    script = (root / "scripts" / "deploy_canary.sh").read_text("utf-8")
    asked = set(re.findall(r"\$\{([A-Z_]+)", script))
    assert {"JUDGE_SECONDS", "JUDGE_ARGS", "REASON"} <= asked
    step, _ = steps_of_deployment(root)
    assert asked <= set(re.findall(r"--env (\w+)", step["run"]))
    assert asked <= {*step["env"], "WINDTUNNEL_REGISTRY"}


@pytest.mark.parametrize("begun", [True, False])
def test_a_cancelled_run_stops_its_own_canary(root: Path, tmp_path: Path, begun: bool) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "$@" >"$RUNNER_TEMP/called"\n')
    docker.chmod(0o755)
    if begun:
        (tmp_path / "canary").mkdir()
        (tmp_path / "canary" / "generation").write_text("7\n")
    _, step = steps_of_deployment(root)
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "RUNNER_TEMP": str(tmp_path), "MODEL": "m"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    called = tmp_path / "called"
    assert called.exists() == begun
    if begun:
        assert "canary stop m --generation 7 --who deployment" in called.read_text()
