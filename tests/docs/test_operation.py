"""The pages on serving, deployment and tuning, run block by block in a project like a reader's.

A block with the comment `parsed only: why` before it is checked without being run.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import polars as pl
import pytest
from typer.testing import CliRunner

from windtunnel.cli.app import app
from windtunnel.deployment.manifest import MANIFEST, SEAL, seal
from windtunnel.deployment.registry import Registry
from windtunnel.experiments import Study

DOCS = Path(__file__).parents[2] / "docs"
NAME, RUN = "us_equities", "us_equities-57cd0b96bc"
_BLOCK = re.compile(
    r"(?:^<!-- parsed only: ([^\n]+) -->\n)?^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


SMALL = """
[study]
name = "us_equities"
seed = 1
trials = 6
cohort = 3

[data]
source = "sample:us_equities_1d"

[validation]
folds = 2
holdout_bars = 252

[training]
steps = 16
batch_size = 64

"""


class Block(NamedTuple):
    """Why it is not run, or nothing; its language; its text."""

    why: str
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Commands, without what is said of them."""
        found = [shlex.split(line, comments=True) for line in self.text.splitlines()]
        return [shlex.join(words) for words in found if words]


def blocks_of(page: str) -> list[Block]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Block(*found) for found in _BLOCK.findall(text)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study that the page on tuning shows a part of, and three more versions of its model.

    They are what it exported under a verdict that the gate lets through; the second one serves.
    """
    folder = tmp_path_factory.mktemp("prepared")
    block = blocks_of("tuning.md")[0]
    (folder / "study.toml").write_text(SMALL + block.text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        windtunnel("windtunnel run study.toml --quiet")
    (run,) = (folder / "runs").glob(f"{NAME}-*")
    run.rename(folder / "runs" / RUN)
    registry = Registry(folder / "registry", certify=lambda _: (True, "taken on trust"))
    for number in (2, 3, 4):
        bundle = folder / "bundles" / str(number)
        shutil.copytree(folder / "runs" / RUN / "bundle", bundle)
        manifest = json.loads((bundle / MANIFEST).read_bytes())
        evidence = {"level": "candidate", "holdout_read": True, "earlier_looks": 0}
        manifest |= {"verdict": f"candidate {number}", "evidence": evidence}
        written = json.dumps(manifest).encode()
        (bundle / MANIFEST).write_bytes(written)
        (bundle / SEAL).write_bytes(seal(written))
        assert registry.register(bundle, note="a study") == number
    registry.promote(NAME, 2, why="better")
    return folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(prepared, folder)
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "windtunnel").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m windtunnel "$@"\n')
    (commands / "windtunnel").chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    monkeypatch.chdir(folder)
    return folder


def windtunnel(line: str) -> str:
    """What a command prints; it must succeed."""
    program, *arguments = shlex.split(line)
    assert program == "windtunnel"
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (line, done.output, done.exception)
    return done.output


def test_deployment(project: Path) -> None:
    said: dict[str, str] = {}
    parsed = []
    for block in blocks_of("deployment.md"):
        assert block.language == "sh"
        for line in block.lines:
            if block.why:
                check_parses(line)
                parsed.append(line)
            else:
                said[line] = windtunnel(line)
    assert len(said) > 10
    assert [line.split()[:3] for line in parsed] == [["windtunnel", "canary", "judge"]]
    # What the page says of a line is what came about.
    assert (project / "anew" / "manifest.json").is_file()
    assert (project / "model.onnx").stat().st_size > 100
    moves = json.loads(windtunnel(f"windtunnel history {NAME} --json"))
    done = json.dumps(moves)
    for reason in (
        "too early",
        "better in every fold",
        "fills are late",
        "trained on wrong prices",
    ):
        assert reason in done
    # Version 1 was forced to serve, 4 displaced it, and the rollback went to the one before.
    assert Registry(project / "registry").state(NAME).champion == 1


def check_parses(line: str) -> None:
    """The command is there and takes these arguments: only its help is asked for."""
    program, *arguments = shlex.split(line)
    assert program == "windtunnel"
    done = CliRunner().invoke(app, [*arguments, "--help"])
    assert done.exit_code == 0, (line, done.output)
    words = [word for word in arguments if word.startswith("--")]
    assert all(word in re.sub(r"\s", "", done.output) for word in words), line


def serving(line: str, folder: Path) -> Iterator[httpx.Client]:
    """The service that a line starts, on a free port; it has to end well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*shlex.split(line), "--port", str(port)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            end = time.monotonic() + 300
            while True:
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < end, line
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
            yield client
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 0, said
    finally:
        process.kill()


def test_serving(project: Path) -> None:
    blocks = blocks_of("serving.md")
    shells = [block for block in blocks if block.language == "sh" and not block.why]
    bodies = [json.loads(block.text) for block in blocks if block.language == "json"]
    first, pinned = shells[0].lines
    for client in serving(first, project):
        assert client.get("/readyz").json() == {"status": "ready", "model": NAME, "version": 2}
        for body in bodies:
            if "outcomes" in body:
                told = client.post("/v1/outcomes", json=body)
                assert told.status_code == 200, told.text
                assert told.json()["unknown"] == len(body["outcomes"])
            else:
                # One bar, as the page shows it, is read and found too short a history.
                told = client.post("/v1/predict", json=body)
                assert told.status_code == 422
                assert "timestamps lie before the first decision" in told.json()["problem"]
        page = (DOCS / "serving.md").read_text(encoding="utf-8")
        documented = set(re.findall(r"`(?:GET|POST|WS) (/[^`]+)`", page))
        known = client.get("/openapi.json").json()["paths"].keys() | {"/", "/v1/stream"}
        assert {path for path in documented if "..." not in path} <= known
        assert "/v1/outcomes" in documented
    for client in serving(pinned, project):
        assert client.get("/readyz").json()["version"] == 3
    *draws, guarded = shells[1].text.strip().splitlines()
    subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(draws)], cwd=project, check=True)
    scopes = tomllib.loads((project / "tokens.toml").read_text())
    assert "ops" in json.dumps(scopes)
    for client in serving(guarded, project):
        assert client.post("/v1/predict", json=bodies[0]).status_code == 401
    (proxy,) = (block for block in blocks if block.language == "nginx")
    assert proxy.why
    assert proxy.text.count("{") == proxy.text.count("}")
    assert {block.language for block in blocks} == {"sh", "json", "nginx"}


def test_tuning(prepared: Path) -> None:
    """The study was carried out as the page says."""
    run = prepared / "runs" / RUN
    assert (run / "optuna.db").is_file()
    study = tomllib.loads((run / "study.toml").read_text(encoding="utf-8"))
    shown = tomllib.loads(blocks_of("tuning.md")[0].text)
    assert study["tuning"] | shown["tuning"] == study["tuning"]
    trials = pl.read_parquet(run / "trials.parquet")
    assert len(trials) == 6
    assert trials["objective"].is_null().sum() > 0  # pruned on the rungs


@pytest.mark.slow
def test_tuning_for_several_objectives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tomllib.loads(SMALL)
    first, shown = (tomllib.loads(block.text) for block in blocks_of("tuning.md"))
    monkeypatch.chdir(tmp_path)
    study = Study.from_dict(
        small | {"search": first["search"], "features": first["features"]} | shown
        | {"study": small["study"] | shown["study"]}
    )  # fmt: skip
    result = study.run()
    report = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Pareto" in report
