"""The data sets that come with the package, by name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from windtunnel.errors import DataError

BUNDLED = Path(__file__).with_name("bundled")
SAMPLES = {"us_equities_1d": "us_equities_1d.parquet"}


def sample_path(name: str) -> Path:
    """Path of the bundled data set `name`, as used in ``source = "sample:NAME"``.

    Raises
    ------
    DataError
        There is no bundled data set of that name, or the installation lacks its file.
    """
    if name not in SAMPLES:
        near = get_close_matches(name, SAMPLES, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise DataError(
            f"data.source: there is no sample named {name!r}",
            f"{hint}The samples are {', '.join(sorted(SAMPLES))}",
        )
    path = BUNDLED / SAMPLES[name]
    if not path.is_file():
        raise DataError(
            f"data.source: the file of sample {name!r} is missing from this installation ({path})",
            "Install the package again",
        )
    return path
