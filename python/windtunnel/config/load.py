"""Read a study file and turn what is wrong with it into one readable error."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from windtunnel.config.search import Value
from windtunnel.config.study import Choice, Dimension, FloatRange, Section, StudyFile
from windtunnel.config.tuning import WITHOUT_INFLUENCE
from windtunnel.errors import SearchSpaceError, StudyFileError


def load_study_file(path: str | Path) -> StudyFile:
    """Read and validate the TOML study file at `path`.

    Raises
    ------
    StudyFileError
        The file is missing, is not TOML, or a field is unknown, mistyped or out of range.
    SearchSpaceError
        The search space is empty, or names a field that cannot be searched.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyFileError(
            f"study file {str(path)!r} does not exist",
            "Give the path of a TOML study file; examples/us_equities.toml is one",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(
            f"study file {str(path)!r} cannot be read: {error}",
            "Give a readable UTF-8 text file",
        ) from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyFileError(
            f"study file {str(path)!r} is not valid TOML: {error}",
            "Mend the line named above",
        ) from None
    return parse_study(raw)


def parse_study(raw: dict[str, Any]) -> StudyFile:
    """Validate a study given as nested dictionaries; errors as in `load_study_file`."""
    try:
        study = StudyFile.model_validate(raw)
    except ValidationError as error:
        raise _explain(error) from None
    for name, dimension in study.search.items():
        if name not in study.features.switches:  # which vary no field
            _check_dimension(study, name, dimension)
    return study


def study_digest(study: StudyFile) -> str:
    """SHA-256 of what a study means: equal studies give equal digests, however written.

    Where the bars were read from is left out: the fingerprint of the data stands for them. So
    is where and by whom trials are computed, and the memory budget.
    """
    meaning = study.model_dump(mode="json")
    for origin in ("source", "columns", "time_zone"):
        del meaning["data"][origin]
    # A study that trades by labels means what it meant before policies could be learnt.
    if study.training.trainer == "supervised":
        del meaning["rl"], meaning["training"]["trainer"]
    for name in WITHOUT_INFLUENCE:
        meaning["tuning"].pop(name, None)
    del meaning["training"]["memory_budget_mib"]
    if not study.features.groups:  # as before there were any
        del meaning["features"]["groups"]
    if study.policy.volatility_target is None:  # as before it could be aimed at
        del meaning["policy"]["volatility_target"], meaning["policy"]["volatility_bars"]
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_dimension(study: StudyFile, name: str, dimension: Dimension) -> None:
    """Hold each end or choice of a dimension to the rule of the field that it varies."""
    values = dimension.choices if isinstance(dimension, Choice) else (dimension.low, dimension.high)
    table, field = name.split(".")
    section: Section = getattr(study, table)
    for value in values:
        try:
            type(section).model_validate({**section.model_dump(), field: value})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            if first["type"] in {"int_type", "int_from_float"}:
                raise SearchSpaceError(
                    f"search.{name}: {name} takes whole numbers, got {_shown(value)}",
                    "Add integer = true to the range"
                    if isinstance(dimension, FloatRange)
                    else "Write the choices without a decimal point",
                ) from None
            reason = first["msg"]
            raise SearchSpaceError(
                f"search.{name}: value {_shown(value)} is outside what {name} allows ({reason})",
                "Narrow the range",
            ) from None


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _explain(error: ValidationError) -> StudyFileError | SearchSpaceError:
    """One error that lists every problem: place, value found, rule."""
    lines = []
    search_only = True
    for item in error.errors(include_url=False):
        place = ".".join(_place(item["loc"])) or "study file"
        search_only &= place.startswith("search") or "search" in item["msg"][:24]
        found = item.get("input")
        shown = f" (found {found!r})" if not isinstance(found, (dict, Section)) else ""
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown field"
        elif item["type"] == "missing":
            message, shown = "required field is missing", ""
        # Rules of the study as a whole begin with the place that they speak of.
        lines.append(f"{message}" if place == "study file" else f"{place}: {message}{shown}")
    problem = "; ".join(lines)
    if search_only:
        return SearchSpaceError(
            problem, "Give searchable fields a range { low, high, log } or { choices }"
        )
    return StudyFileError(
        problem, "`windtunnel schema` prints every field with its unit, default and rule"
    )


def _place(location: tuple[int | str, ...]) -> list[str]:
    """Where in the file an error is, without the kind of dimension that pydantic puts in."""
    parts = [str(part) for part in location]
    if parts[:1] == ["search"] and len(parts) > 2:
        del parts[2]
    return parts
