from __future__ import annotations

import hashlib

import anyio
import httpx
import pytest

from windtunnel.deployment.registry import Registry
from windtunnel.serving.app import create_app
from windtunnel.serving.settings import Settings
from windtunnel.serving.tokens import Token, Tokens

ADMIN, READER = "a" * 32, "r" * 32


def known(name, secret, *scopes):
    return Token(name, hashlib.sha256(secret.encode()).digest(), frozenset(scopes))


@pytest.fixture(scope="module")
def bundles(maker, example, tmp_path_factory):
    directory = tmp_path_factory.mktemp("admin")
    return [
        maker.export_example(example, directory / str(i), verdict=f"candidate {i}")
        for i in range(2)
    ]


@pytest.fixture
def app(bundles, tmp_path, monkeypatch):
    """Versions 1 and 2, of which 1 serves; replays are taken on trust, to save time."""
    monkeypatch.setattr("windtunnel.deployment.bundle.LARGEST_BUCKET", 4)
    monkeypatch.setattr("windtunnel.serving.apart.verify", lambda _: (True, "taken on trust"))
    registry = Registry(tmp_path / "registry", certify=lambda _: (True, "taken on trust"))
    for bundle in bundles:
        registry.register(bundle, note="")
    registry.promote("example", 1, why="the first")
    tokens = Tokens((known("ops", ADMIN, "admin"), known("desk", READER, "predict")))
    app = create_app(tmp_path / "registry", settings=Settings(tokens=tokens))
    app.state.follower.look()
    return app


@pytest.fixture
def ask(app):
    def ask(method, path, secret=None, **rest):
        headers = {} if secret is None else {"authorization": f"Bearer {secret}"}

        async def send():
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, headers=headers, **rest)

        return anyio.run(send)

    return ask


VERBS = (
    ("reload", {"why": "x"}),
    ("promote", {"why": "x", "version": 2}),
    ("rollback", {"why": "x"}),
    ("canary/start", {"why": "x", "version": 2, "weight": 0.5}),
    ("canary/weight", {"why": "x", "weight": 0.5}),
    ("canary/stop", {"why": "x"}),
)


@pytest.mark.parametrize(("verb", "body"), VERBS)
def test_every_verb_asks_for_the_scope(ask, app, verb, body):
    before = app.state.service.registry.state("example")
    assert ask("POST", f"/v1/admin/{verb}", json=body).status_code == 401
    assert ask("POST", f"/v1/admin/{verb}", "x" * 32, json=body).status_code == 401
    refused = ask("POST", f"/v1/admin/{verb}", READER, json=body)
    assert refused.status_code == 403
    assert set(refused.json()) == {"field", "value", "problem", "remedy"}
    assert app.state.service.registry.state("example") == before


def test_a_canary_from_start_to_champion_and_back_is_on_record(ask, app):
    def verb(name, **body):
        response = ask("POST", f"/v1/admin/{name}", ADMIN, json={"why": "as planned", **body})
        assert response.status_code == 200, response.text
        app.state.follower.look()
        return response.json()

    started = verb("canary/start", version=2, weight=0.1, sticky=True)
    assert (started["champion"], started["canary"], started["weight"]) == (1, 2, 0.1)
    assert app.state.service.routes.share.sticky
    assert verb("canary/weight", weight=1.0)["weight"] == 1.0
    answer = ask("POST", "/v1/predict", READER, json={"features": [[0.0] * 6]})
    assert answer.json()["version"] == 2
    assert verb("promote", version=2)["champion"] == 2
    assert verb("rollback")["champion"] == 1
    assert app.state.service.routes.champion.version == 1
    history = app.state.service.registry.history("example")
    assert [(record["action"], record["who"]) for record in history[-4:]] == [
        ("canary_started", "ops"),
        ("canary_weighed", "ops"),
        ("promoted", "ops"),
        ("rolled_back", "ops"),
    ]
    events = ask("GET", "/v1/status").json()["events"]
    assert any("version 1 answers" in event["text"] for event in events)


def test_verbs_are_for_the_model_that_serves_whatever_else_is_registered(
    ask, app, maker, example, tmp_path
):
    other = maker.export_example(example, tmp_path / "other", name="other")
    app.state.service.registry.register(other, note="another study")
    for verb, body in (("reload", {}), ("promote", {"why": "x", "version": 2})):
        response = ask("POST", f"/v1/admin/{verb}", ADMIN, json=body)
        assert response.status_code == 200, response.text
        assert response.json()["model"] == "example"


@pytest.mark.parametrize(
    ("verb", "body", "status", "told"),
    [
        ("rollback", {"why": "x"}, 409, "has no predecessor"),
        ("rollback", {"why": "x", "version": 2}, 409, "was never champion"),
        ("promote", {"why": "x", "version": 1}, 409, "is champion already"),
        ("promote", {"why": "x", "version": 77}, 409, "no version 77"),
        ("promote", {"why": "x", "version": 2, "generation": 0}, 409, "generation"),
        ("canary/stop", {"why": "x"}, 409, "has no canary"),
        ("promote", {"version": 2}, 422, "required"),
        ("promote", {"why": "", "version": 2}, 422, "at least 1 character"),
        ("promote", {"why": "x", "version": "2"}, 422, "valid integer"),
        ("canary/start", {"why": "x", "version": 2, "weight": 1.5}, 422, "less than or equal"),
        ("canary/start", {"why": "x", "version": 2, "weight": 0.5, "more": 1}, 422, "Extra"),
    ],
)
def test_a_change_that_cannot_be_is_refused_in_words(ask, verb, body, status, told):
    response = ask("POST", f"/v1/admin/{verb}", ADMIN, json=body)
    assert response.status_code == status, response.text
    assert told in response.json()["problem"]
    assert response.json()["remedy"]


def test_predictions_ask_for_their_scope_once_tokens_are_known(ask):
    body = {"features": [[0.0] * 6]}
    assert ask("POST", "/v1/predict", json=body).status_code == 401
    assert ask("POST", "/v1/predict", ADMIN, json=body).status_code == 403
    answer = ask("POST", "/v1/predict", READER, json=body)
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/healthz", "/readyz", "/v1/status", "/metrics", "/"):
        assert ask("GET", path).status_code == 200, "reading is open"


def test_every_answer_has_an_id_and_safe_headers(ask):
    for method, path in (("GET", "/healthz"), ("GET", "/nothing"), ("POST", "/v1/predict")):
        response = ask(method, path)
        assert response.headers["x-request-id"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
