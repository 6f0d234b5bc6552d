"""The OpenAPI document against the service: whatever it allows or forbids, never a fault.

`WINDTUNNEL_FUZZ_CASES` sets the number of cases for each operation, `WINDTUNNEL_FUZZ_OUT` names
a file for the figures.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from pathlib import Path

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
OUT = os.environ.get("WINDTUNNEL_FUZZ_OUT")
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
    asked, statuses = Counter(), Counter()
    for result in application.get_all_operations():
        operation = result.ok()
        try:
            strategy = operation.as_strategy(
                generation_mode=getattr(schemathesis.GenerationMode, mode)
            )
            _ask(strategy, asked, statuses, operation.label)
        except Unsatisfiable:
            assert mode == "NEGATIVE", operation.label  # an operation without input
    assert {"POST /v1/predict", "POST /v1/admin/promote"} <= set(asked)
    assert len(statuses) >= 2, "some were answered and some refused"
    found = {"cases": asked.total(), "of_operation": asked, "answered_with": statuses}
    sys.stdout.write(f"{mode}: {json.dumps(found)}\n")
    if OUT:
        kept = json.loads(Path(OUT).read_text()) if Path(OUT).exists() else {}
        kept[mode] = found | {"checks": [check.__name__ for check in CHECKS]}
        Path(OUT).write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def _ask(strategy, asked, statuses, label):
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
        statuses[str(response.status_code)] += 1
        assert response.status_code < 500, (case, response.content[:500])
        case.validate_response(response, checks=CHECKS)

    ask()
