"""Whoever reads the code, the study file or the README finds what they name."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from windtunnel.config import StudyFile, load_study_file

SOURCES = Path(__file__).parents[2] / "python"
MODULES = sorted(SOURCES.rglob("*.py"))
EXAMPLES = sorted((SOURCES.parent / "examples").glob("*.toml"))


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCES).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    assert len(docstring) > 10


def public_modules() -> list[str]:
    return [name_of(path) for path in MODULES if "__all__" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", public_modules())
def test_every_public_name_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    values = {public: getattr(module, public) for public in module.__all__}
    described = {
        public: inspect.getdoc(value)
        for public, value in values.items()
        if inspect.isclass(value) or inspect.isroutine(value)
    }
    assert [public for public, docstring in described.items() if not docstring] == []


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield `model` and every model that its fields reach."""
    yield model
    for field in model.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            kind = waiting.pop()
            waiting += get_args(kind)
            if inspect.isclass(kind) and issubclass(kind, BaseModel):
                yield from models(kind)


def test_every_field_of_the_study_file_is_described() -> None:
    found = set(models(StudyFile))
    assert len(found) > 10
    undescribed = [
        f"{model.__name__}.{name}"
        for model in found
        for name, field in model.model_fields.items()
        # A table is described by its own docstring.
        if not field.description
        and not (inspect.isclass(field.annotation) and field.annotation.__doc__)
    ]
    assert undescribed == []
    assert [model.__name__ for model in found if not model.__doc__] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_valid_study(path: Path) -> None:
    assert load_study_file(path).study.name


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_make_targets_that_a_page_names_exist(root: Path, page: str) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    assert {"demo", "test", "lint", "bench"} <= targets
    code = " ".join(re.findall(r"```.*?```|`[^`]+`", (root / page).read_text("utf-8"), re.DOTALL))
    named = set(re.findall(r"(?<![\w.])make ([a-z][a-z-]*)", code))
    assert named - targets == set()


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "Makefile", "Dockerfile", "docs/deployment.md"]
)
def test_commands_that_a_page_names_exist(root: Path, page: str) -> None:
    from typer.main import get_command

    from windtunnel.cli.app import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert {"run", "serve", "doctor"} <= known
    text = (root / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|\n|bin/|\")windtunnel\"?,? \"?([a-z]+)", text))
    assert named - known == set()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "SECURITY.md"])
def test_links_inside_the_repository_lead_somewhere(root: Path, page: str) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", (root / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (root / link).exists()] == []
