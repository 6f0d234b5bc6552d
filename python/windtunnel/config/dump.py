"""Write a validated study back as TOML, every default spelled out."""

from __future__ import annotations

import json
from typing import Any

from windtunnel.config.study import StudyFile


def to_toml(study: StudyFile) -> str:
    """TOML text that `load_study_file` reads back to an equal study."""
    dumped = study.model_dump(mode="json", exclude_none=True)
    search = dumped.pop("search")
    parts = []
    for table, fields in dumped.items():
        lines = [f"{key} = {_value(value)}" for key, value in fields.items()]
        parts.append("\n".join([f"[{table}]", *lines]))
    lines = [f"{_value(name)} = {_value(dimension)}" for name, dimension in search.items()]
    parts.append("\n".join(["[search]", *lines]))
    return "\n\n".join(parts) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_value(k)} = {_value(v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(_value(item) for item in value) + "]"
