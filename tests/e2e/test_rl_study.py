"""A study whose policies learn by trading, from bars to a model that is asked bar by bar."""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from websockets.sync.client import connect

from windtunnel import experiments
from windtunnel.assessor import assessor_for
from windtunnel.config import StudyFile, parse_study
from windtunnel.course import prepare
from windtunnel.data.align import to_panel
from windtunnel.data.samples import sample_path
from windtunnel.delivery import export_again
from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.registry import Registry
from windtunnel.deployment.replay import replay
from windtunnel.deployment.session import pack, unpack
from windtunnel.errors import BundleError, SearchSpaceError
from windtunnel.events import EventBus
from windtunnel.experiments import Study, resume
from windtunnel.judgement import choose_champion
from windtunnel.ledger import Ledger
from windtunnel.runs import Run, run_id
from windtunnel.serving.answer import answer_bars, read_state
from windtunnel.serving.handover import hand_over
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.refusal import Refusal
from windtunnel.supervised_rival import rival_study, supervised_rival
from windtunnel.trainers.bucket_trainer import BucketTrainer

RAW = {
    "study": {"name": "policy", "seed": 5, "trials": 8, "cohort": 4},
    "tuning": {"pruner": "halving", "rungs": 1},
    "data": {"source": "frame", "symbols": ["AAPL", "IBM", "MSFT"], "end": "2001-06-30"},
    "features": {"use": ["return_1", "return_5", "volatility_20"]},
    "validation": {"folds": 2, "holdout_bars": 60, "train_bars": 200, "embargo_bars": 2},
    "model": {"hidden": [8]},
    "training": {"trainer": "rl", "seeds": 2, "steps": 20},
    "rl": {
        "updates": 4, "environments": 8, "rollout_bars": 12, "minibatches": 2, "epochs": 2,
        "memory": 4, "actions": "continuous", "supervised_trials": 6,
    },
    "policy": {"direction": "long_short"},
    "search": {
        "rl.learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
        "policy.leverage": {"low": 0.5, "high": 2.0},
        "features.volatility": {"choices": [True, False]},
    },
}  # fmt: skip


def delisted() -> pl.DataFrame:
    """The bundled prices, MSFT's until some months before the holdout."""
    bars = pl.read_parquet(sample_path("us_equities_1d"))
    ends = pl.lit(datetime(2001, 1, 1)).dt.replace_time_zone("UTC")
    return bars.filter((pl.col("symbol") != "MSFT") | (pl.col("timestamp") < ends))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return Study.from_dict(RAW, bars=delisted()).run(tmp_path_factory.mktemp("rl"))


@pytest.fixture(scope="module")
def predictor(result):
    return Predictor(load_bundle(result.bundle), 1)


@pytest.fixture(scope="module")
def window(predictor):
    """The holdout's bars with what the study decided on them."""
    return predictor.bundle.replay_window()


@pytest.mark.slow
def test_it_ends_like_any_study(result) -> None:
    # Half of each cohort is pruned at the rung; what survives is trained to its end.
    assert sorted(result.trials["state"].to_list()) == ["complete"] * 4 + ["pruned"] * 4
    assert result.trials["policy.leverage"].is_between(0.5, 2.0).all()
    assert result.verdict
    assert (result.run.path / "report.html").exists()
    assert resume(result.run.path).figures == result.figures
    ledger = (result.run.path.parent / "ledger.jsonl").read_text(encoding="utf-8")
    assert "rl.learning_rate" in ledger
    assert ledger.count('"pruned"') >= 4


def test_its_seeds_and_a_tuned_supervised_champion_stand_beside_it(result) -> None:
    rivals = result.figures["rivals"]
    assert [row["name"] for row in rivals] == [
        "seed 0", "seed 1", "supervised champion", "buy and hold", "cash",
    ]  # fmt: skip
    (path,) = (result.run.path / "rivals").iterdir()
    kept = Run.open(path)
    trials = pl.concat([table for table, _ in kept.cohorts()])
    supervised = rivals[2]
    assert supervised["trials"] == len(trials) == 6
    champion = choose_champion(prepare(kept.study(), result_panel(result)), trials)
    (row,) = trials.filter(pl.col("number") == champion.number).to_dicts()
    for name in ("sharpe", "total_return", "max_drawdown", "turnover"):
        assert supervised[name] == row[name]
    # Searched on the validation slices alone, and each trial is in the project's ledger.
    assert set(kept.study().search) >= {"training.learning_rate", "policy.enter"}
    assert not (path / "holdout.parquet").exists()
    ledger = Ledger(result.run.path.parent / "ledger.jsonl").cohorts()
    assert sum(len(each.trials) for each in ledger if each.run_id == path.name) == 6
    page = (result.run.path / "report.html").read_text(encoding="utf-8")
    assert "Seeds and rivals" in page
    for cell in ("of its seeds, the median", "supervised champion", "Chosen from"):
        assert cell in page
    # A level is no probability, nor is it judged as one.
    assert "out-of-sample rows by level" in page
    assert not any(term in page for term in ("by stated probability", "Brier score", "Log loss"))


def test_the_supervised_trials_are_made_once_and_are_those_of_a_study(result, monkeypatch) -> None:
    study = result.run.study()
    own = rival_study(study)
    assert run_id(own, result.figures["data_fingerprint"]) in {
        path.name for path in (result.run.path / "rivals").iterdir()
    }
    monkeypatch.setattr(BucketTrainer, "fit", None)  # whatever trains again fails
    table = supervised_rival(result.run, assessor_for(study, result_panel(result)), EventBus())
    assert len(table.trials) == 6


def test_a_rival_asks_for_nothing_that_it_does_not_search() -> None:
    search = RAW["search"] | {
        "rl.discount": {"choices": [0.9, 0.95]},
        "policy.leverage": {"low": 0.5, "high": 1.0, "when": {"rl.discount": [0.9]}},
        "features.return": {
            "choices": [True, False],
            "when": {"features.volatility": [True], "rl.discount": [0.9]},
        },
    }
    features = {"use": ["return_1", "volatility_20", "rsi_14"]}
    own = rival_study(parse_study(RAW | {"features": features, "search": search}))
    assert own.search["policy.leverage"].when is None
    assert own.search["features.return"].when == {"features.volatility": (True,)}


def test_a_rival_that_cannot_be_made_is_told_before_the_search(monkeypatch, tmp_path) -> None:
    def refused(study: StudyFile) -> StudyFile:
        raise SearchSpaceError("search: no rival")

    monkeypatch.setattr(experiments, "rival_study", refused)
    with pytest.raises(SearchSpaceError, match="no rival"):
        Study.from_dict(RAW, bars=delisted()).run(tmp_path)
    assert not list((tmp_path / "runs").glob("*/cohorts/*"))


def result_panel(result):
    return to_panel(pl.read_parquet(result.run.path / "bars.parquet"))


def test_the_bundle_replays(predictor) -> None:
    certificate = replay(predictor.bundle)
    assert certificate.ok, certificate.sentence
    assert certificate.scores == 2 * 60, "an instrument without bars has none"
    assert predictor.bundle.manifest.symbols == ("AAPL", "IBM", "MSFT")


def test_the_bundle_sees_what_the_champion_saw(predictor, result) -> None:
    on = result.figures["champion"]["params"]["features.volatility"]
    assert set(result.trials["features.volatility"]) == {True, False}
    np.testing.assert_array_equal(predictor.bundle.parameters["mask"], [1, 1, on])


def test_exported_again_it_decides_the_same(result, predictor, tmp_path) -> None:
    certificate = export_again(result.bundle, tmp_path / "again")
    assert certificate.ok, certificate.sentence
    again = load_bundle(tmp_path / "again")
    assert again.manifest.session == predictor.bundle.manifest.session
    assert again.manifest.model == predictor.bundle.manifest.model
    assert replay(again).scores == certificate.scores == 2 * 60


def test_a_changed_policy_does_not_replay(result) -> None:
    bundle = load_bundle(result.bundle)
    right = bundle.step

    def wrong(state, row):
        after, level, margin = right(state, row)
        return after, -level, margin

    bundle.step = wrong
    assert not replay(bundle).ok


def test_asked_bar_by_bar_it_decides_as_the_backtest(predictor, window) -> None:
    """The state goes to the client and comes back with the next bar, as text."""
    state = None
    for t in range(window.first, window.panel.bars):
        panel = window.panel.window(0, t + 1)
        given = read_state(json.loads(json.dumps(state)), predictor)
        decisions = predictor.decide(panel, t, given)
        expected = window.exposures[t - window.first]
        np.testing.assert_allclose(decisions.exposures[0], expected, atol=1e-5)
        state = decisions.state
    whole = predictor.decide(window.panel, window.first, {})
    np.testing.assert_allclose(whole.exposures, window.exposures, atol=1e-5)
    assert whole.state["at"] == state["at"]
    assert len(np.unique(window.exposures)) > 50, "a policy that never changes shows little"


def test_states_that_are_none_are_refused(predictor, window) -> None:
    good = predictor.decide(window.panel, window.first, {}).state
    for change, place in (
        ({"model": "other"}, "state.model"),
        ({"values": "AAAA"}, "state.values"),
        ({"values": 3}, "state.values"),
    ):
        with pytest.raises(Refusal) as refused:
            read_state({**good, **change}, predictor)
        assert refused.value.field == place
    with pytest.raises(Refusal, match=r"model, at, values"):
        read_state({"AAPL": 1}, predictor)
    with pytest.raises(Refusal) as refused:  # the state is of the last bar, not of one before
        predictor.decide(window.panel, window.first + 5, read_state(good, predictor))
    assert refused.value.field == "state.at"
    with pytest.raises(Refusal) as refused:
        predictor.row_names  # noqa: B018 - a property that refuses
    assert "an account of its own" in refused.value.problem
    session = predictor.bundle.manifest.session
    state = unpack(good["values"], session)
    assert pack(state) == good["values"]
    with pytest.raises(BundleError, match="mark"):
        unpack(pack({**state, "mark": state["mark"] * np.nan}), session)


def test_over_the_wire(predictor, window) -> None:
    stamps = np.repeat(np.datetime_as_string(window.panel.timestamps, unit="s"), 2)
    bars = {
        "timestamp": [f"{stamp}Z" for stamp in stamps],
        "symbol": list(window.panel.symbols) * window.panel.bars,
        **{
            name: getattr(window.panel, name).ravel().tolist()
            for name in ("open", "high", "low", "close", "volume")
        },
    }
    since = f"{np.datetime_as_string(window.panel.timestamps[window.first], unit='s')}Z"
    content = answer_bars(predictor, {"bars": bars, "since": since}).content
    reply = pl.DataFrame(json.loads(content)["decisions"])
    np.testing.assert_allclose(
        reply["exposure"].to_numpy().reshape(-1, 2), window.exposures, atol=1e-5
    )


def test_bar_by_bar_over_a_websocket_it_decides_as_the_backtest(result, window) -> None:
    """The service keeps the account of a stream; a client sends each bar once."""
    symbols = window.panel.symbols

    def bars(first, stop):
        stamps = np.datetime_as_string(window.panel.timestamps[first:stop], unit="s")
        return {
            "timestamp": [f"{stamp}Z" for stamp in np.repeat(stamps, len(symbols))],
            "symbol": list(symbols) * (stop - first),
            **{
                name: getattr(window.panel, name)[first:stop].ravel().tolist()
                for name in ("open", "high", "low", "close", "volume")
            },
        }

    workspace = result.run.path.parent.parent
    registry = Registry(workspace / "registry")
    generation = registry.state("policy").generation
    registry.promote("policy", 1, why="to be asked", force=True, generation=generation)
    found, states = [], []
    with served(workspace) as address, connect(address) as stream:
        for t in range(window.first, window.panel.bars):
            stream.send(json.dumps({"bars": bars(0 if t == window.first else t, t + 1)}))
            answer = json.loads(stream.recv(timeout=60))
            assert [row["symbol"] for row in answer["decisions"]] == list(symbols), answer
            found.append([row["exposure"] for row in answer["decisions"]])
            states.append(answer["state"]["values"])
        stream.send(json.dumps({"bars": bars(t, t + 1)}))
        refused = json.loads(stream.recv(timeout=60))
        assert refused["field"] == "bars.timestamp"
    np.testing.assert_allclose(found, window.exposures, atol=1e-5)
    assert len(set(states)) == len(states)


@contextlib.contextmanager
def served(workspace):
    """The workspace's champion behind a service of its own; yields the address of its stream."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "windtunnel", "serve", "--port", str(port)],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline, "the service never became ready"
            ready = f"http://127.0.0.1:{port}/readyz"
            with contextlib.suppress(OSError), urllib.request.urlopen(ready, timeout=5):
                break
            time.sleep(0.1)
        yield f"ws://127.0.0.1:{port}/v1/stream"
    finally:
        process.kill()
        process.communicate()


def test_another_version_begins_anew_where_a_stream_left_off(predictor, window) -> None:
    """A stream hands the state over when the champion changes; other parameters cannot read it."""
    left = predictor.decide(window.panel, window.first, {})
    assert hand_over(left.state, predictor) == (left.state, ())
    bundle = copy.copy(predictor.bundle)
    files = {**bundle.manifest.files, "params.safetensors": "f" * 64}
    bundle.manifest = bundle.manifest.model_copy(update={"files": files})
    other = Predictor(bundle, 2)
    state, (warning,) = hand_over(left.state, other)
    assert state == {}
    assert "version 2 took over" in warning
    anew = other.decide(window.panel, window.first, read_state(state or None, other))
    np.testing.assert_array_equal(anew.exposures, left.exposures)
    assert anew.state["at"] == left.state["at"]
