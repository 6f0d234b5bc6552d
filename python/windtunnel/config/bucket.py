"""What of a configuration changes the labels, and the study that it then belongs to.

Shapes of networks are the trainer's business. A label of another horizon is another task:
other rows to train on, other rows purged. Configurations with different ones are in different
buckets, each with a pipeline of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from windtunnel.config.search import Value
from windtunnel.config.study import StudyFile

Key: TypeAlias = tuple[tuple[str, Value], ...]

LABEL_SEARCHABLE = ("horizon",)
LABEL_NAMES = tuple(f"label.{name}" for name in LABEL_SEARCHABLE)


def bucket_key(params: Mapping[str, Value]) -> Key:
    """What tells the bucket of a configuration from others; sorts and hashes."""
    return tuple((name, params[name]) for name in LABEL_NAMES if name in params)


def lanes_by_bucket(params: Sequence[Mapping[str, Value]]) -> list[list[int]]:
    """Indices of configurations, those of one bucket together; the buckets in order of key."""
    lanes: dict[Key, list[int]] = {}
    for lane, point in enumerate(params):
        lanes.setdefault(bucket_key(point), []).append(lane)
    return [own for _, own in sorted(lanes.items())]


def in_bucket(study: StudyFile, params: Mapping[str, Value]) -> StudyFile:
    """The study with the label of a configuration in place of its own."""
    changed = {name.split(".")[1]: value for name, value in bucket_key(params)}
    if not changed:
        return study
    label = type(study.label).model_validate({**study.label.model_dump(), **changed})
    return study.model_copy(update={"label": label})
