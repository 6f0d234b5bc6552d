"""Studies read, written and told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.config import load_study_file, parse_study, study_digest, to_toml

EXAMPLE = Path(__file__).parents[2] / "examples" / "us_equities.toml"


def test_toml_round_trip(tmp_path: Path) -> None:
    study = load_study_file(EXAMPLE)
    path = tmp_path / "again.toml"
    path.write_text(to_toml(study), encoding="utf-8")
    assert load_study_file(path) == study


@given(source=st.text(min_size=1).filter(lambda text: text.isprintable() or "\n" in text))
def test_any_text_survives_toml(tmp_path_factory: pytest.TempPathFactory, source: str) -> None:
    study = parse_study(
        {
            "study": {"name": "tried"},
            "data": {"source": source, "symbols": [source]},
            "search": {"policy.enter": {"choices": [0.0, 0.1]}},
        }
    )
    path = tmp_path_factory.mktemp("toml") / "study.toml"
    path.write_bytes(to_toml(study).encode("utf-8"))
    assert load_study_file(path) == study


def test_digest_is_of_the_meaning() -> None:
    study = load_study_file(EXAMPLE)
    elsewhere = study.model_copy(
        update={"data": study.data.model_copy(update={"source": "copied/elsewhere.parquet"})}
    )
    reseeded = study.model_copy(update={"study": study.study.model_copy(update={"seed": 8})})
    assert study_digest(elsewhere) == study_digest(study)
    assert study_digest(reseeded) != study_digest(study)


def test_order_of_lines_has_no_meaning() -> None:
    raw = {
        "study": {"name": "tried"},
        "data": {"source": "x"},
        "search": {
            "policy.enter": {"low": 0.0, "high": 0.1},
            "policy.exit": {"low": 0.0, "high": 0.1},
        },
    }
    turned = {**raw, "search": dict(reversed(raw["search"].items()))}  # type: ignore[attr-defined]
    assert study_digest(parse_study(raw)) == study_digest(parse_study(turned))
