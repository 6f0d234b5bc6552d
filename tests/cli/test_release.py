"""The commands that decide which version serves."""

from __future__ import annotations

import http.server
import importlib.util
import json
import shutil
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from windtunnel.cli.app import app
from windtunnel.deployment.registry import Registry
from windtunnel.errors import BundleError, PromotionRefusedError, RegistryError
from windtunnel.events import PredictionFailed, PredictionServed
from windtunnel.memory_bank import MemoryBank
from windtunnel.monitoring.prometheus import PrometheusObserver

EXAMPLE = Path(__file__).parents[1] / "deployment" / "bundle_example.py"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("bundle_example", EXAMPLE)
    maker = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = maker
    spec.loader.exec_module(maker)
    directory = tmp_path_factory.mktemp("bundles")
    example = maker.make_example()
    return [
        maker.export_example(example, directory / "1"),
        maker.export_example(example, directory / "2", trial=42),
        maker.export_example(example, directory / "3", trial=43, evidence=None),
        maker.export_example(
            example,
            directory / "4",
            account=maker.ACCOUNT.model_copy(update={"initial_cash": 1.0}),
        ),
    ]


def windtunnel(*arguments):
    """Run a command; what it printed, as JSON, or the error that it ended with."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_from_registration_to_rollback(bundles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    MemoryBank("memory_bank").initialise()
    finished = tmp_path / "run"  # which holds its bundle
    shutil.copytree(bundles[0], finished / "bundle")
    for number, bundle in enumerate([finished, *bundles[1:3]], start=1):
        told = windtunnel("register", bundle, "--reason", "tried")
        assert told == {"model": "example", "version": number}
    first = windtunnel("promote", "example", 1, "--reason", "the first", "--who", "ada")
    assert (first["champion"], first["generation"]) == (1, 1)
    trial = windtunnel("canary", "start", "example", 2, "--weight", 0.1, "--shadow", "--sticky")
    assert trial["canary"] | {"salt": ""} == {
        "version": 2, "weight": 0.1, "mode": "shadow", "sticky": True, "salt": "",
    }  # fmt: skip
    assert windtunnel("canary", "weight", "example", 0.5)["canary"]["mode"] == "shadow"
    assert windtunnel("canary", "weight", "example", 0.5, "--live")["canary"]["mode"] == "live"
    assert windtunnel("promote", "example")["aliases"] == {"champion": 2, "previous": 1}
    assert windtunnel("rollback", "example", "--reason", "late")["aliases"] == {"champion": 1}
    windtunnel("canary", "start", "example", 2)
    assert windtunnel("canary", "stop", "example")["canary"] is None
    assert windtunnel("retire", "example", 2, "--reason", "late")["retired"] == [2]
    with pytest.raises(PromotionRefusedError, match="does not say"):
        windtunnel("promote", "example", 3)
    forced = windtunnel("promote", "example", 3, "--force", "--reason", "a drill")
    assert forced["champion"] == 3
    with pytest.raises(RegistryError, match="is of generation 10, expected 3"):
        windtunnel("rollback", "example", "--generation", 3)
    log = windtunnel("history", "example")
    assert [entry["action"] for entry in log[3:]] == [
        "promoted",
        "canary_started",
        "canary_weighed",
        "canary_weighed",
        "promoted",
        "rolled_back",
        "canary_started",
        "canary_stopped",
        "retired",
        "promoted",
    ]
    assert log[-1]["forced"] == ["verdict", "holdout"]
    assert [row["aliases"] for row in windtunnel("models")] == ["previous", "", "champion"]
    assert MemoryBank("memory_bank").verify() == []
    pages = [path.name for path in Path("memory_bank").rglob("*.md")]
    assert sum("became-champion" in name for name in pages) == 3
    assert sum("rolled-back" in name for name in pages) == 1


def test_the_registry_may_lie_elsewhere(bundles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINDTUNNEL_REGISTRY", str(tmp_path / "elsewhere"))
    windtunnel("register", bundles[0])
    assert Registry(tmp_path / "elsewhere").names() == ("example",)
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_people_get_sentences(bundles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    assert run.invoke(app, ["register", str(bundles[0])]).stdout == "example version 1\n"
    done = run.invoke(app, ["promote", "example", "1", "--reason", "go"])
    assert done.stdout == "example: champion 1; generation 1\n"
    assert "promoted" in run.invoke(app, ["history", "example"]).stdout
    with pytest.raises(RegistryError, match="no model 'other'"):
        windtunnel("history", "other")


@pytest.fixture
def metrics_of():
    """Serves the metrics of a service that answers 200 requests between two scrapes."""
    servers = []

    def serve(failing):
        exporter = PrometheusObserver()

        class Metrics(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                for i in range(200):
                    version = 2 if i % 5 == 0 else 1
                    failed = version == 2 and i % 10 < 10 * failing
                    event = PredictionServed("example", version, 1, 0.001)
                    exporter(PredictionFailed("example", version) if failed else event)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(exporter.exposition())

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/metrics"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("failing", "code", "champion"), [(0.0, 0, 2), (0.5, 14, 1)])
def test_canary_is_judged_from_outside(
    bundles, tmp_path, monkeypatch, metrics_of, failing, code, champion
):
    monkeypatch.chdir(tmp_path)
    for bundle in bundles[:2]:
        windtunnel("register", bundle)
    windtunnel("promote", "example", 1)
    windtunnel("canary", "start", "example", 2, "--weight", 0.2)
    command = ["canary", "judge", "example", "--metrics", metrics_of(failing), "--every", "0.01"]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == code, done.output
    told = json.loads(done.stdout)
    assert told["aliases"]["champion"] == champion
    assert told["ruling"]["decision"] == ("promote" if champion == 2 else "withdraw")
    with pytest.raises(RegistryError, match="has no canary to judge"):
        windtunnel(*command)


def test_a_canary_that_somebody_else_decides_is_decided(bundles, tmp_path, monkeypatch, metrics_of):
    monkeypatch.chdir(tmp_path)
    for bundle in bundles[:2]:
        windtunnel("register", bundle)
    windtunnel("promote", "example", 1)
    command = ["canary", "judge", "example", "--metrics", metrics_of(0.0), "--every", "1"]

    def judged(end):
        """The judge's exit code when `end` decides while it waits for the second look."""
        windtunnel("canary", "start", "example", 2, "--weight", 0.2)
        with monkeypatch.context() as patch:
            patch.setattr("time.sleep", lambda _: end())
            return CliRunner().invoke(app, [*command, "--fewest", "900000"]).exit_code

    registry = Registry("registry")
    assert judged(lambda: registry.stop_canary("example", why="a person's")) == 14
    assert judged(lambda: registry.promote("example", 2, why="a service's judge")) == 0
    assert registry.state("example").champion == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--metrics", "localhost:8000/metrics"),
        ("--metrics", "/metrics"),
        ("--metrics", "file:///etc/passwd"),
        ("--metrics", "http:///metrics"),
        ("--metrics", "http://localhost:port/metrics"),
        ("--every", "0"),
        ("--every", "-1"),
        ("--every", "nan"),
        ("--every", "inf"),
    ],
)
def test_what_no_look_can_be_made_with_is_refused(option, value):
    command = ["canary", "judge", "example", "--metrics", "http://127.0.0.1:1/metrics"]
    done = CliRunner().invoke(app, [*command, option, value], env={"COLUMNS": "200"})
    assert done.exit_code == 2, done.output
    assert option in done.output
    assert value in done.output


def test_bundles_are_inspected_verified_and_exported(bundles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = windtunnel("bundle", "inspect", bundles[0])
    assert (told["name"], told["trial"], len(told["digest"])) == ("example", 41, 64)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "bundle").symlink_to(bundles[0])
    told = windtunnel("bundle", "verify", "run")
    assert told["decisions"]["ok"]
    assert told["equity"]["bars"] == 80
    text = CliRunner().invoke(app, ["bundle", "inspect", str(bundles[0])]).stdout
    assert "SHA-256" in text
    with pytest.raises(BundleError, match=r"does not replay: .* Equity differs on 80 of 80"):
        windtunnel("bundle", "verify", bundles[3])
    kept = Path(__file__).parents[1] / "data" / "bundles" / "2026-11-25"
    done = CliRunner().invoke(app, ["export", str(kept), "no/such/again"])
    assert isinstance(done.exception, BundleError)
    assert "'no/such' is not a directory" in str(done.exception)
    done = CliRunner().invoke(app, ["export", str(kept), "again"])
    assert "exposures are equal" in done.stdout
    assert windtunnel("bundle", "verify", "again")["decisions"]["ok"]
