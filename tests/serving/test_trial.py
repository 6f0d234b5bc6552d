"""A canary in shadow or live: what is compared, what the judge gets, what comes of it."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from windtunnel.deployment.manifest import Policy
from windtunnel.deployment.registry import Registry
from windtunnel.events import EventBus, PredictionFailed, PredictionServed, ShadowAnswered
from windtunnel.monitoring.canary_terms import Terms
from windtunnel.serving.answer import Answer
from windtunnel.serving.predictor import Scored
from windtunnel.serving.routing import Routes
from windtunnel.serving.service import Service
from windtunnel.serving.shadow import Shadows, compare
from windtunnel.serving.trial import CanaryTrial

POLICY = Policy(enter=0.2, exit=0.1, leverage=1.0, long_only=False, band=0.0)


def version(number, score, names=("a", "b")):
    """A stand-in for a predictor: `score` maps rows to scores."""
    manifest = SimpleNamespace(policy=POLICY, name="m")
    return SimpleNamespace(
        version=number,
        name="m",
        names=names,
        score=score,
        bundle=SimpleNamespace(manifest=manifest),
    )


def given(scores):
    rows = np.zeros((len(scores), 2), np.float32)
    return Answer(b"", Scored(rows, np.array(scores, np.float32)))


def test_features_are_compared_by_what_each_policy_would_do():
    champion = version(1, None)
    scores = [0.5, -0.5, 0.1, -0.1, np.nan]
    canary = version(2, lambda _: np.array([0.3, 0.5, 0.0, -0.3, np.nan], np.float32))
    # sides +,-,0,0,0 against +,+,0,-,0: the second and the fourth differ
    assert compare(champion, canary, given(scores)) == (5, pytest.approx(0.4))
    with pytest.raises(ValueError, match="other features"):
        compare(champion, version(2, None, names=("a", "c")), given(scores))


def test_a_canary_that_knows_fewer_instruments_cannot_answer():
    def decided(*symbols):
        return SimpleNamespace(symbols=symbols, exposures=np.ones((3, len(symbols))))

    one = given([0.5] * 3)
    for symbols, fine in ((("AAPL", "IBM"), True), (("IBM",), False)):
        answer = Answer(b"", one.scored, decided("AAPL", "IBM"), lambda _, s=symbols: decided(*s))
        if fine:
            assert compare(version(1, None), version(2, None), answer) == (6, 0.0)
        else:
            with pytest.raises(ValueError, match="other instruments"):
                compare(version(1, None), version(2, None), answer)


def test_a_failing_canary_is_told_and_a_full_queue_drops():
    events = []
    shadows = Shadows(EventBus([events.append]), capacity=3)

    def slow(_):
        time.sleep(0.3)
        raise RuntimeError("no answer")

    for _ in range(10):
        shadows.submit(version(1, None), version(2, slow), given([0.5]), 0.001)
    assert shadows.counts.dropped >= 6
    time.sleep(0.5)
    shadows.close()
    assert events
    assert all(isinstance(event, ShadowAnswered) and event.failed for event in events)


@pytest.fixture
def trial(versions, tmp_path):
    """A service without its predictors' weights, and a judge that decides soon."""
    registry = Registry(tmp_path / "registry", certify=lambda _: (True, "taken on trust"))
    for path, _ in versions:
        registry.register(path, note="")
    registry.promote("example", 1, why="the first")
    service = Service(registry, None, "champion", EventBus())
    terms = Terms(fewest=100, error_margin=0.2, late_margin=0.2)
    return registry, service, CanaryTrial(service, terms)


def begin(registry, service, mode):
    state = registry.start_canary("example", 2, weight=0.5, mode=mode, why="try")
    service.routes = Routes(version(1, None), version(2, None), state.canary, state)


def test_a_canary_that_does_as_well_is_promoted_by_itself(trial):
    registry, service, trial = trial
    assert trial.rule() is None, "nothing is on trial"
    begin(registry, service, "live")
    for i in range(2000):
        trial(PredictionServed("example", 1 + i % 2, 1, 0.001))
    state = trial.rule()
    assert state.champion == 2
    record = registry.history("example")[-1]
    assert (record["action"], record["who"]) == ("promoted", "canary judge")
    assert record["details"]["evidence"]["canary_answers"] == 1000


@pytest.mark.parametrize("mode", ["live", "shadow"])
def test_a_canary_that_fails_is_withdrawn_by_itself(trial, mode):
    registry, service, trial = trial
    begin(registry, service, mode)
    for i in range(400):
        if mode == "shadow":
            trial(ShadowAnswered("example", 1, 2, 1, 0.0, 0.001, 0.001, failed=i % 2 == 0))
        elif i % 2:
            trial(PredictionServed("example", 1, 1, 0.001))
        else:
            trial(PredictionFailed("example", 2))
    state = trial.rule()
    assert (state.champion, state.canary) == (1, None)
    assert "worse in" in trial.last.why
    assert registry.history("example")[-1]["who"] == "canary judge"


def test_a_shadow_that_decides_otherwise_is_withdrawn(trial):
    registry, service, trial = trial
    begin(registry, service, "shadow")
    for _ in range(600):
        trial(ShadowAnswered("example", 1, 2, 4, 0.75, 0.001, 0.001, failed=False))
    assert trial.rule().canary is None
    assert "decisions" in trial.last.why


def test_the_time_that_a_shadow_takes_is_not_judged(trial):
    registry, service, trial = trial
    begin(registry, service, "shadow")
    for _ in range(2000):
        trial(ShadowAnswered("example", 1, 2, 4, 0.0, 0.001, 60.0, failed=False))
    assert trial.rule().champion == 2
    assert (trial.last.figures["canary_answers"], trial.last.figures["canary_late"]) == (2000, 0)


def test_a_ruling_on_a_canary_that_was_replaced_is_not_carried_out(trial):
    registry, service, trial = trial
    begin(registry, service, "live")
    for i in range(2000):
        trial(PredictionServed("example", 1 + i % 2, 1, 0.001))
    registry.stop_canary("example", why="another one comes")
    registry.start_canary("example", 3, weight=0.5, why="this one")
    assert trial.rule() is None
    assert registry.state("example").champion == 1


def test_another_mode_begins_another_trial_and_another_weight_does_not(trial):
    registry, service, trial = trial
    begin(registry, service, "live")
    for i in range(50):
        trial(PredictionServed("example", 1 + i % 2, 1, 0.001))
    trial.rule()
    state = registry.weigh_canary("example", 0.7, why="more")
    service.routes = Routes(service.routes.champion, service.routes.canary, state.canary, state)
    trial(PredictionServed("example", 2, 1, 0.001))
    trial(PredictionServed("example", 1, 1, 0.001))
    trial.rule()
    assert trial.last.figures["canary_answers"] == 26
    state = registry.weigh_canary("example", 0.7, mode="shadow", why="in the dark")
    service.routes = Routes(service.routes.champion, service.routes.canary, state.canary, state)
    trial(ShadowAnswered("example", 1, 2, 1, 0.0, 0.001, 0.001, failed=False))
    trial.rule()
    assert trial.last.figures["canary_answers"] == 1
