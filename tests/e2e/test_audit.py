"""The audits read the champion of a real run as the run recorded it."""

from __future__ import annotations

import json

import typer
from typer.testing import CliRunner

from windtunnel.artifacts import digests
from windtunnel.cli.audit import audit


def test_champion_of_a_real_run_is_audited(finished):
    app = typer.Typer()
    app.command()(audit)
    before = digests(finished.workspace)
    arguments = [str(finished.run), "--only", "delay", "--only", "costs", "--json"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert told["run"] == finished.figures["run"]
    recorded = {row["name"]: row["sharpe"] for row in finished.figures["stress"]}
    figures = {each["name"]: each["figures"] for each in told["audits"]}
    assert figures["delay"]["sharpe"] == recorded["costs x 1"]
    assert figures["delay"]["sharpe_stressed"] == recorded["one bar later"]
    assert figures["costs"]["sharpe_stressed"] == recorded["costs x 2"]
    assert digests(finished.workspace) == before
