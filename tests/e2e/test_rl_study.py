"""A study whose policies learn by trading, from bars to a model that is asked bar by bar."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.replay import replay
from windtunnel.deployment.session import pack, unpack
from windtunnel.errors import BundleError
from windtunnel.experiments import Study, resume
from windtunnel.serving.answer import answer_bars, read_state
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.refusal import Refusal
from windtunnel.validation import window as part

RAW = {
    "study": {"name": "policy", "seed": 5, "trials": 8, "cohort": 4},
    "tuning": {"pruner": "halving", "rungs": 1},
    "data": {"source": "sample:us_equities_1d", "symbols": ["AAPL", "IBM"], "end": "2001-06-30"},
    "features": {"use": ["return_1", "return_5", "volatility_20"]},
    "validation": {"folds": 2, "holdout_bars": 60, "train_bars": 200, "embargo_bars": 2},
    "model": {"hidden": [8]},
    "training": {"trainer": "rl", "seeds": 2},
    "rl": {
        "updates": 4, "environments": 8, "rollout_bars": 12, "minibatches": 2, "epochs": 2,
        "memory": 4, "actions": "continuous",
    },
    "policy": {"direction": "long_short"},
    "search": {
        "rl.learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
        "policy.leverage": {"low": 0.5, "high": 2.0},
        "features.volatility": {"choices": [True, False]},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return Study.from_dict(RAW).run(tmp_path_factory.mktemp("rl"))


@pytest.fixture(scope="module")
def predictor(result):
    return Predictor(load_bundle(result.bundle), 1)


@pytest.fixture(scope="module")
def window(predictor):
    """The holdout's bars with what the study decided on them."""
    return predictor.bundle.replay_window()


def test_it_ends_like_any_study(result) -> None:
    # Half of each cohort is pruned at the rung; what survives is trained to its end.
    assert sorted(result.trials["state"].to_list()) == ["complete"] * 4 + ["pruned"] * 4
    assert result.trials["policy.leverage"].is_between(0.5, 2.0).all()
    assert result.verdict
    assert (result.run.path / "report.html").exists()
    assert resume(result.run.path).figures == result.figures
    names = [row["name"] for row in result.figures["rivals"]]
    assert names == ["seed 0", "seed 1", "supervised, not tuned", "buy and hold", "cash"]
    assert "Seeds and rivals" in (result.run.path / "report.html").read_text(encoding="utf-8")
    ledger = (result.run.path.parent / "ledger.jsonl").read_text(encoding="utf-8")
    assert "rl.learning_rate" in ledger
    assert ledger.count('"pruned"') >= 4


def test_the_bundle_replays(predictor) -> None:
    certificate = replay(predictor.bundle)
    assert certificate.ok, certificate.sentence
    assert certificate.scores == 2 * 60


def test_the_bundle_sees_what_the_champion_saw(predictor, result) -> None:
    on = result.figures["champion"]["params"]["features.volatility"]
    assert set(result.trials["features.volatility"]) == {True, False}
    np.testing.assert_array_equal(predictor.bundle.parameters["mask"], [1, 1, on])


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
        panel = part(window.panel, 0, t + 1)
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
