"""The OpenAPI document against the service: whatever it allows or forbids, never a fault.

`WINDTUNNEL_FUZZ_CASES` sets the number of cases for each operation.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from windtunnel.deployment.registry import Registry
from windtunnel.serving.app import create_app
from windtunnel.serving.settings import Settings
from windtunnel.serving.tokens import Token, Tokens

schemathesis = pytest.importorskip("schemathesis")
_checks = pytest.importorskip("schemathesis.checks")

CHECKS = [
    _checks.not_a_server_error,
    _checks.status_code_conformance,
    _checks.content_type_conformance,
    _checks.response_schema_conformance,
]
CASES = int(os.environ.get("WINDTUNNEL_FUZZ_CASES", "30"))
SECRET = "f" * 32


@pytest.fixture(scope="module")
def application(versions, tmp_path_factory):
    registry = Registry(
        tmp_path_factory.mktemp("fuzz") / "registry", certify=lambda _: (True, "taken on trust")
    )
    for path, _ in versions:
        registry.register(path, note="")
    registry.promote("example", 1, why="the first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("windtunnel.deployment.bundle.LARGEST_BUCKET", 8)
        patch.setattr("windtunnel.serving.apart.verify", lambda _: (True, "taken on trust"))
        digest = hashlib.sha256(SECRET.encode()).digest()
        tokens = Tokens((Token("fuzz", digest, frozenset(("admin",))),))
        app = create_app(registry.location, settings=Settings(tokens=tokens))
        app.state.follower.look()
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_no_request_makes_the_service_fail(application, mode):
    """Requests that the document allows, then such as it forbids."""
    asked = Counter()
    for result in application.get_all_operations():
        operation = result.ok()
        try:
            strategy = operation.as_strategy(
                generation_mode=getattr(schemathesis.GenerationMode, mode)
            )
            _ask(strategy, asked, operation.label)
        except Unsatisfiable:
            assert mode == "NEGATIVE", operation.label  # an operation without input
    assert {"POST /v1/predict", "POST /v1/admin/promote"} <= set(asked)
    sys.stdout.write(f"{mode}: {asked.total()} cases: {dict(asked)}\n")


def _ask(strategy, asked, label):
    @settings(
        max_examples=CASES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=CASES < 100,
        database=None,
    )
    @given(case=strategy)
    def ask(case):
        headers = {"Authorization": f"Bearer {SECRET}"} if "/admin/" in case.path else {}
        response = case.call(headers=headers, timeout=300)  # a machine may stand still
        asked[label] += 1
        assert response.status_code < 500, (case, response.content[:500])
        case.validate_response(response, checks=CHECKS)

    ask()
