"""Whether every point of a search space can be tried, asked before the first one is.

A point that cannot be is a mistake in the study file, like a value out of range, and no trial
that failed: failures use up trials and count against the champion, where a narrower range costs
nothing. So a study stops here, before anything is trained or recorded, and is told which point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel.config.bucket import LABEL_NAMES, bucket_key
from windtunnel.config.model import MODEL_SEARCHABLE
from windtunnel.config.search import Choice, Dimension, IntRange, Value, is_active, parents_first
from windtunnel.errors import SearchSpaceError, WindtunnelError
from windtunnel.models.factory import create, window_of
from windtunnel.trainers.base import pieces_of_bars, usable_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from windtunnel.assessor import Assessor

SHAPING = tuple(f"model.{name}" for name in MODEL_SEARCHABLE)
# As many consecutive widths leave every remainder of a division by attention heads, of which
# there are at most so many.
WIDTHS = 64


def check_space(assessor: Assessor) -> None:
    """Build every shape of the search, and count the rows that its longest labels leave.

    Of a range of depths, windows or horizons the ends stand for all: what can go wrong in
    between goes wrong there.

    Raises
    ------
    SearchSpaceError
        A combination that the search may draw cannot be built, or leaves a fold or the final
        fit with too few rows.
    """
    study = assessor.study
    if not {*SHAPING, *LABEL_NAMES} & study.search.keys():
        return
    seen: set[tuple[Value | None, ...]] = set()
    reach: dict[tuple[int, int], dict[str, Value]] = {}
    for point in _points(study.search):
        named = {name: point[name] for name in (*LABEL_NAMES, *SHAPING) if name in point}
        key = tuple(named.get(name) for name in (*LABEL_NAMES, *SHAPING))
        if key in seen:
            continue
        seen.add(key)
        horizon = int(named.get("label.horizon", study.label.horizon))
        reach.setdefault((horizon, _window(assessor, named)), named)
    for (horizon, window), named in reach.items():
        if not any(
            (horizon, window) != other and horizon <= other[0] and window <= other[1]
            for other in reach
        ):
            _count_rows(assessor, window, named)


def _window(assessor: Assessor, named: Mapping[str, Value]) -> int:
    """Bars that the network of a point sees."""
    try:
        return window_of(create(assessor.study.model.vary(named)))
    except WindtunnelError as error:
        shape = {name: value for name, value in named.items() if name in SHAPING}
        raise SearchSpaceError(
            f"search: {_told(shape)} cannot be built: {error.problem}",
            f"{error.remedy}; `choices`, `step` and `when` leave points out of a search",
        ) from None


def _count_rows(assessor: Assessor, window: int, named: Mapping[str, Value]) -> None:
    study = assessor.study
    by_returns = study.model.head == "sharpe"
    try:
        course = assessor.course_of(dict(bucket_key(named)))
        for task in (course.task, course.final_task):
            usable = usable_rows(task, window, by_returns=by_returns)
            if by_returns:
                pieces_of_bars(usable, study.training.stretch_bars)
    except WindtunnelError as error:
        raise SearchSpaceError(
            f"search: with {_told(named)}, {error.problem}",
            "Lower the largest horizon or window of the search, or give a longer history, a larger "
            "train_bars or fewer folds",
        ) from None


def _told(named: Mapping[str, Value]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in named.items()) or "the study's own"


def _points(search: Mapping[str, Dimension]) -> Iterator[dict[str, Value]]:
    """Combinations of what shapes a model or a label that the search may draw, and of parents."""
    wanted = {*SHAPING, *LABEL_NAMES} & search.keys()
    order = parents_first(search)
    for name in reversed(order):  # parents come first, so their own are met after them
        if name in wanted:
            wanted |= (search[name].when or {}).keys()

    def grow(point: dict[str, Value], rest: Sequence[str]) -> Iterator[dict[str, Value]]:
        if not rest:
            yield point
            return
        name, *later = rest
        if not is_active(search[name], point):
            yield from grow(point, later)
            return
        for value in _values(name, search[name]):
            yield from grow(point | {name: value}, later)

    return grow({}, [name for name in order if name in wanted])


def _values(name: str, dimension: Dimension) -> Sequence[Value]:
    """Values of a dimension that stand for all of them."""
    if isinstance(dimension, Choice):
        return tuple(dict.fromkeys(dimension.choices))
    if not isinstance(dimension, IntRange):  # varies no shape
        return (dimension.low, dimension.high)
    every = range(dimension.low, dimension.last + 1, dimension.step)
    if name in LABEL_NAMES:
        return every[-1:]
    return tuple(dict.fromkeys((*every[: WIDTHS if name == "model.width" else 1], every[-1])))
