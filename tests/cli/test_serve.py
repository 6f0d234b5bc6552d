"""What `windtunnel serve` makes of its options."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from windtunnel.cli.app import app
from windtunnel.errors import ServiceError
from windtunnel.events import AliasMoved
from windtunnel.memory_bank import MemoryBank
from windtunnel.monitoring.canary_terms import Terms
from windtunnel.serving import server


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The settings with which the service would have been started; `names` of models beside.

    While it serves, `events` happen.
    """
    given = []

    def serve(_, name, __, *, settings, bus, **___):
        given.append(settings)
        ask.names.append(name)
        for event in ask.events:
            bus.emit(event)

    monkeypatch.setattr(server, "serve", serve)

    def ask(*options):
        done = CliRunner().invoke(app, ["serve", "--workspace", str(tmp_path), *options])
        if done.exception is not None:
            raise done.exception
        return given[-1]

    ask.names, ask.events = [], []
    return ask


def test_a_judge_is_asked_for_with_its_terms(asked):
    assert asked().judge is None
    assert asked("--judge").judge == Terms()
    options = {
        "late_seconds": 0.2,
        "error_margin": 0.03,
        "late_margin": 0.04,
        "disagreement": 0.3,
        "disagreement_margin": 0.05,
        "false_alarm": 0.02,
        "false_promotion": 0.005,
        "judges": 3,
        "fewest": 50,
        "most": 5000,
    }
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    assert asked("--judge", *words).judge == Terms(**options)
    assert asked("--judge", "--late", "0.2").judge == Terms(late_seconds=0.2)


def test_terms_without_a_judge_are_refused(asked):
    with pytest.raises(ServiceError, match="no judge is asked for"):
        asked("--judges", "3")


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--judges", "0", "must be at least 1, got 0"),
        ("--false-alarm", "2", "must lie in (0, 0.5], got 2.0"),
        ("--late-seconds", "nan", "must be positive, got nan"),
    ],
)
def test_terms_that_cannot_be_are_refused_by_the_name_of_their_option(
    option, value, rule, tmp_path
):
    for command in (
        ["serve", "--judge", "--workspace", str(tmp_path)],
        ["canary", "judge", "m", "--metrics", "http://127.0.0.1:1/metrics"],
    ):
        done = CliRunner().invoke(app, [*command, option, value], env={"COLUMNS": "200"})
        assert done.exit_code == 2, done.output
        assert option in done.output
        assert rule in done.output


def test_what_admin_verbs_and_the_judge_change_is_remembered(asked, tmp_path):
    bank = MemoryBank(tmp_path / "memory_bank")
    bank.initialise()
    asked.events = [
        AliasMoved("m", "champion", 2, 1, "over HTTP"),
        AliasMoved("m", "champion", 1, 2, "it was worse", rolled_back=True),
    ]
    asked()
    told = [path.read_text() for path in sorted((tmp_path / "memory_bank").rglob("*.md"))]
    assert any("m version 2 became champion" in page and "over HTTP" in page for page in told)
    assert any("was rolled back to version 1" in page for page in told)
    assert bank.verify() == []


def test_scores_may_be_asked_for_bit_by_bit(asked):
    assert not asked().exact
    assert asked("--exact").exact


def test_the_environment_names_a_model_where_the_command_does_not(asked, monkeypatch):
    for value in ("", "us_equities"):  # compose hands on what is not set as an empty text
        monkeypatch.setenv("WINDTUNNEL_MODEL", value)
        asked()
    asked("other")
    assert asked.names == [None, "us_equities", "other"]


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_cannot_be_is_refused(asked, port):
    with pytest.raises(SystemExit) as ended:
        asked("--port", port)
    assert ended.value.code == 2
