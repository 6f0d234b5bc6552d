from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import ServiceError
from windtunnel.serving.gate import Gate
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.settings import Settings
from windtunnel.serving.tokens import Token, Tokens, draw, load_tokens

SECRET = "s" * 32


def token(*scopes, secret=SECRET, name="ops"):
    return Token(name, hashlib.sha256(secret.encode()).digest(), frozenset(scopes))


def bearer(secret):
    return {b"authorization": b"Bearer " + secret.encode()}


def test_scopes():
    reader, ops = token("predict", secret="p" * 32, name="reader"), token("admin")
    gate = Gate(Settings(tokens=Tokens((reader, ops))))
    assert gate.check(bearer("p" * 32), "1.2.3.4", "predict") == "reader"
    assert gate.check(bearer(SECRET), "1.2.3.4", "admin") == "ops"
    for headers, scope, status in (
        ({}, "predict", 401),
        ({}, "admin", 401),
        (bearer("x" * 32), "predict", 401),
        ({b"authorization": b"Basic " + SECRET.encode()}, "admin", 401),
        ({b"authorization": b"\xff\xfe"}, "admin", 401),
        (bearer("p" * 32), "admin", 403),
        (bearer(SECRET), "predict", 403),
    ):
        with pytest.raises(Refusal) as refused:
            gate.check(headers, "1.2.3.4", scope)
        assert refused.value.status == status
        assert SECRET not in str(refused.value.body())
        assert ("www-authenticate" in refused.value.headers) == (status == 401)


def test_without_tokens_predictions_are_open_and_admin_is_not():
    gate = Gate(Settings())
    assert not gate.asks
    assert gate.check({}, "1.2.3.4", "predict") == "1.2.3.4"
    with pytest.raises(Refusal) as refused:
        gate.check(bearer(""), "1.2.3.4", "admin")
    assert refused.value.status == 401


def test_every_token_is_compared_whichever_matches(monkeypatch):
    compared = []

    def compare(a, b):
        compared.append(a)
        return a == b

    monkeypatch.setattr("windtunnel.serving.tokens.hmac.compare_digest", compare)
    tokens = Tokens(tuple(token("predict", secret=c * 32, name=c) for c in "abc"))
    for presented in ("a" * 32, "c" * 32, "unknown"):
        compared.clear()
        tokens.find(b"Bearer " + presented.encode())
        assert len(compared) == 3


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 10))
def test_no_stretch_of_time_holds_more_than_burst_and_rate_allow(gaps, rate, burst):
    """Against the definition: in any stretch of s seconds at most burst + rate s are let in."""
    now = 0.0
    gate = Gate(Settings(requests_per_second=rate, burst=burst), clock=lambda: now)
    let_in, refusals = [], []
    for gap in gaps:
        now += gap
        for _ in range(4):
            try:
                gate.check({}, "a", "predict")
            except Refusal as refusal:
                refusals.append(refusal)
            else:
                let_in.append(now)
    assert all(refusal.status == 429 for refusal in refusals)
    assert all(int(refusal.headers["retry-after"]) >= 1 for refusal in refusals)
    assert let_in, "the first is always let in"
    for i, start in enumerate(let_in):
        for j in range(i, len(let_in)):
            assert j - i + 1 <= burst + rate * (let_in[j] - start) + 1e-6


def test_one_client_does_not_spend_anothers_rate():
    gate = Gate(Settings(requests_per_second=1, burst=2), clock=lambda: 0.0)
    for client in ("a", "b"):
        gate.check({}, client, "predict")
        gate.check({}, client, "predict")
        with pytest.raises(Refusal):
            gate.check({}, client, "predict")


def test_as_many_as_allowed_are_under_way():
    gate = Gate(Settings(max_concurrent=2))
    gate.enter()
    gate.enter()
    with pytest.raises(Refusal) as refused:
        gate.enter()
    assert (refused.value.status, refused.value.headers) == (503, {"retry-after": "1"})
    gate.leave()
    gate.enter()


@pytest.mark.parametrize("presented", [b"", b"a b", b"a\nb", b"x" * 65, b"\xff", None, b"a\x1b[1m"])
def test_an_id_that_could_forge_a_log_line_is_replaced(presented):
    gate = Gate(Settings())
    names = {gate.name(presented) for _ in range(3)}
    assert len(names) == 3
    assert all(name.isascii() and name.replace("-", "").isalnum() for name in names)
    assert gate.name(b"client-7.A_b") == "client-7.A_b"


def test_a_drawn_token_is_known_from_its_table(tmp_path):
    secret, table = draw("desk", ("predict", "admin"))
    path = tmp_path / "tokens.toml"
    path.write_text(table + draw("other", ("predict",))[1])
    assert secret not in path.read_text()
    tokens = load_tokens(path, {"WINDTUNNEL_ADMIN_TOKEN": SECRET})
    assert tokens.find(b"Bearer " + secret.encode()).name == "desk"
    assert tokens.find(b"bearer " + SECRET.encode()).scopes == {"admin"}
    assert tokens.needed("predict")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not toml", "cannot be read"),
        ("ops = 3", "must be a table"),
        ('[ops]\nsha256 = "abc"\nscopes = ["admin"]', "64 hexadecimal digits"),
        (f'[ops]\nsha256 = "{"0" * 64}"\nscopes = ["root"]', "got 'root'"),
        (f'[ops]\nsha256 = "{"0" * 64}"\nscopes = []', "got none"),
        (f'[ops]\nsha256 = "{"0" * 64}"\nscopes = "admin"', "must be a list"),
        (f'["a\\nb"]\nsha256 = "{"0" * 64}"\nscopes = ["admin"]', "token name"),
    ],
)
def test_bad_token_files(tmp_path, text, told):
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(ServiceError, match=told):
        load_tokens(path, {})
    with pytest.raises(ServiceError, match="at least 16 characters"):
        load_tokens(None, {"WINDTUNNEL_PREDICT_TOKEN": "short"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_body_bytes", 0), ("burst", -1), ("requests_per_second", float("nan")),
     ("drain_seconds", 0), ("reload_seconds", -1)],
)  # fmt: skip
def test_limits_that_let_nothing_through(name, value):
    with pytest.raises(ServiceError, match=name):
        Settings(**{name: value})
