"""The commands that decide which version serves."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from windtunnel.cli.app import app
from windtunnel.deployment.registry import Registry
from windtunnel.errors import PromotionRefusedError, RegistryError
from windtunnel.memory_bank import MemoryBank

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
    for number, bundle in enumerate(bundles, start=1):
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
    assert "nothing is on record" in run.invoke(app, ["history", "other"]).stdout
