"""Any sequence of moves keeps a state in order; canaries take the share that they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.deployment import moves
from windtunnel.deployment.state import Canary, State, position
from windtunnel.errors import RegistryError

VERSIONS = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.just(("register",)),
        st.tuples(st.just("promote"), VERSIONS),
        st.tuples(st.just("rollback"), st.none() | VERSIONS),
        st.tuples(st.just("canary"), VERSIONS, st.floats(0, 1)),
        st.tuples(st.just("weigh"), st.floats(0, 1)),
        st.just(("stop",)),
        st.tuples(st.just("retire"), VERSIONS),
    ),
    max_size=40,
)


def apply(state, step, promoted=()):
    kind, *given_ = step
    if kind == "register":
        return moves.registered(state)
    if kind == "promote":
        return moves.promoted(state, *given_)
    if kind == "rollback":
        return moves.rolled_back(state, *given_, served=promoted)
    if kind == "canary":
        return moves.canary_started(state, given_[0], weight=given_[1], mode="live", sticky=False)
    if kind == "weigh":
        return moves.canary_weighed(state, *given_)
    return moves.canary_stopped(state) if kind == "stop" else moves.retired(state, *given_)


@given(STEPS)
def test_no_sequence_of_moves_leads_astray(steps):
    state = State("example")
    champions = []
    promoted = set()
    for step in steps:
        try:
            after = apply(state, step, promoted)
        except RegistryError:
            continue
        roles = [after.champion, *after.lineage]
        roles = [version for version in roles if version is not None]
        assert len(set(roles)) == len(roles), "a version has one place in the succession"
        if after.canary is not None:
            assert after.champion not in {None, after.canary.version}
        serving = {*after.aliases.values(), *after.lineage}
        assert serving <= set(after.numbers)
        assert not serving & set(after.retired)
        assert set(after.retired) >= set(state.retired), "a retirement is for good"
        assert after.generation - state.generation == (step[0] != "register")
        if step[0] == "rollback":
            assert state.champion not in roles, "what was left is not returned to by accident"
            assert after.champion in promoted, "what never passed the gate does not serve"
        if step[0] == "promote":
            promoted.add(after.champion)
        if after.champion != state.champion:
            champions.append(after.champion)
        record = after.to_record()
        assert State.from_record("example", 0, "", record) == after
        state = after
    assert state.champion == (champions[-1] if champions else None)


def test_rolling_back_twice_goes_further_back():
    state = State("example", registered=(1, 2, 3))
    for version in (1, 2, 3):
        state = moves.promoted(state, version)
    state = moves.rolled_back(state)
    assert (state.champion, state.previous) == (2, 1)
    state = moves.rolled_back(state)
    assert (state.champion, state.previous) == (1, None)
    with pytest.raises(RegistryError, match="has no predecessor"):
        moves.rolled_back(state)


def test_a_rollback_does_not_let_in_what_never_served():
    state = State("example", registered=(1, 2, 3))
    for version in (1, 2):
        state = moves.promoted(state, version)
    with pytest.raises(RegistryError, match=r"version 3 was never champion.*promote example 3"):
        moves.rolled_back(state, 3, served={1, 2})
    back = moves.rolled_back(state)
    assert moves.rolled_back(back, 2, served={1, 2}).champion == 2, "forth again, when named"


def test_sticky_keys_fall_evenly_and_never_leave_a_growing_share():
    keys = [f"client-{i}" for i in range(20_000)]
    places = np.sort([position(key, "example/7") for key in keys])
    uniform = (np.arange(len(keys)) + 0.5) / len(keys)
    assert np.abs(places - uniform).max() < 1.63 / np.sqrt(len(keys))  # Kolmogorov, one per cent
    shares = [Canary(2, weight, sticky=True, salt="example/7") for weight in (0.0, 0.05, 0.5, 1.0)]
    taken = [{key for key in keys if canary.takes(key)} for canary in shares]
    assert taken[0] == set()
    assert taken[1] < taken[2] < taken[3] == set(keys)
    assert abs(len(taken[1]) / len(keys) - 0.05) < 0.01


def test_another_canary_draws_other_keys():
    keys = [f"client-{i}" for i in range(5000)]
    first, second = (
        {key for key in keys if Canary(2, 0.2, salt=salt).takes(key)}
        for salt in ("example/7", "example/9")
    )
    assert abs(len(first & second) / len(keys) - 0.04) < 0.015
    assert Canary(2, 0.2, salt="s").takes("k") == Canary(2, 0.2, salt="s").takes(b"k")


def test_place_of_a_key_is_the_same_everywhere_and_always():
    assert position("client-1", "example/7") == pytest.approx(0.592511246324027, abs=1e-15)
