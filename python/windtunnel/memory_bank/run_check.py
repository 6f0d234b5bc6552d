"""Hold an entry to the run that it tells of, where the run's directory is still there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from windtunnel import artifacts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from windtunnel.memory_bank.entry import ExperimentEntry
    from windtunnel.memory_bank.front_matter import Scalar

RESULT = "result.json"


def problems_with(entry: ExperimentEntry, run: Path) -> list[str]:
    """Compare an entry with its run; a run that is gone or not finished has nothing to say.

    Returns
    -------
    list of str
        What differs, in words; empty when all agrees.
    """
    if not (run / RESULT).is_file():
        return []
    try:
        result = json.loads((run / RESULT).read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"{RESULT} of run {entry.run_id} cannot be read ({error})"]
    problems = [
        f"{name} is {getattr(entry, name)!r} here and {result.get(name)!r} in the run's {RESULT}"
        for name in ("study_digest", "data_fingerprint")
        if getattr(entry, name) != result.get(name)
    ]
    problems += _differences("figures", entry.figures, result)
    problems += _differences("holdout", entry.holdout, result.get("holdout"))
    chosen = result.get("champion")
    params = chosen.get("params") if isinstance(chosen, dict) else None
    if entry.champion != params:
        problems.append(f"champion differs from champion.params in the run's {RESULT}")
    for name, said in entry.artifacts.items():
        file = run / name
        if not file.is_file():
            problems.append(f"artifact {name} is missing from run {entry.run_id}")
        elif artifacts.digest(file) != said:
            problems.append(f"artifact {name} of run {entry.run_id} has another digest")
    return problems


def _differences(table: str, figures: Mapping[str, Scalar], result: Any) -> list[str]:
    problems = []
    for name, said in figures.items():
        found, known = _look_up(result, name)
        if not known:
            problems.append(f"{table}: {name} is not in the run's {RESULT}")
        elif found != said:
            problems.append(f"{table}: {name} is {said!r} here and {found!r} in the run's {RESULT}")
    return problems


def _look_up(tree: Any, path: str) -> tuple[Any, bool]:
    """Follow a dotted path through nested tables."""
    for step in path.split("."):
        if not isinstance(tree, dict) or step not in tree:
            return None, False
        tree = tree[step]
    return tree, True
