"""An experiment as the memory bank keeps it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank.fields import moment, tidy

if TYPE_CHECKING:
    from datetime import datetime

    from windtunnel.memory_bank.front_matter import Scalar

# A run's name is a file's name: nothing in it may lead elsewhere or need escaping.
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_~-]{0,127}")
WEB = re.compile(r"(https?://|mailto:)", re.IGNORECASE)


@dataclass(frozen=True)
class ExperimentEntry:
    """One finished study.

    Undefined figures are None; NaN and infinities become None. NumPy scalars become plain
    numbers. Texts may hold anything, they are escaped where they are shown.

    Attributes
    ----------
    run_id : str
        Letters, digits, '-', '_' and '~'.
    study : str
        Name of the study.
    created : datetime
        When the study ended; needs a time zone, kept in UTC to the second.
    command : str
        What reproduces it.
    question : str
        What was asked.
    headline : str
        The finding in one sentence.
    verdict : str
        The finding with its reasons; a line is a paragraph.
    study_digest, data_fingerprint : str
        SHA-256 of the study and of the bars.
    figures : dict of str to float, int, str or None
        Named by their path in the run's ``result.json``, for example ``metrics.sharpe``, with
        which `MemoryBank.verify` compares them.
    holdout : dict of str to float, int, str or None
        As `figures`, below ``holdout``: ``metrics.sharpe`` is ``holdout.metrics.sharpe``. Empty
        when the holdout was not opened.
    champion : dict of str to float, int, str or None
        The chosen configuration, ``champion.params`` of ``result.json``.
    versions : dict of str to str
    artifacts : dict of str to str
        SHA-256 of files of the run, by path within its directory.
    links : dict of str to str
        Targets by text: web addresses, or paths relative to the folder ``experiments``. They
        are checked, so link only to what is kept as long as the bank, not into ``runs``.
    pictures : dict of str to str
        SHA-256 of pictures in the bank, by path relative to the folder ``experiments``;
        `MemoryBank.record_experiment` fills it.

    Raises
    ------
    MemoryBankError
        A field has a type or value that cannot be kept.
    """

    run_id: str
    study: str
    created: datetime
    command: str
    question: str
    headline: str
    verdict: str
    study_digest: str
    data_fingerprint: str
    figures: dict[str, Scalar] = field(default_factory=dict)
    holdout: dict[str, Scalar] = field(default_factory=dict)
    champion: dict[str, Scalar] = field(default_factory=dict)
    versions: dict[str, Scalar] = field(default_factory=dict)
    artifacts: dict[str, Scalar] = field(default_factory=dict)
    links: dict[str, Scalar] = field(default_factory=dict)
    pictures: dict[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in fields(self):
            given = getattr(self, each.name)
            kept = moment(each.name, given) if each.name == "created" else tidy(each.name, given)
            object.__setattr__(self, each.name, kept)
        if not RUN_ID.fullmatch(self.run_id):
            raise MemoryBankError(
                f"run_id: {self.run_id!r} cannot be a file's name",
                "Use letters, digits, '-', '_' and '~' only, at most 128",
            )
        for name in ("study", "command", "headline"):
            if not getattr(self, name).strip():
                raise MemoryBankError(f"{name}: is empty", f"Give the {name} of the experiment")
        for text, target in self.links.items():
            if not isinstance(target, str) or not is_link(target):
                raise MemoryBankError(
                    f"links[{text!r}]: {target!r} is neither a web address nor a relative path",
                    "Link to a page relative to the folder of the experiments",
                )

    def same_experiment(self, other: ExperimentEntry) -> bool:
        """Whether the two agree in all but the moment at which they were made, and by which code.

        Code that gives the same figures in the same words is no other experiment.
        """

        def meaning(entry: ExperimentEntry) -> dict[str, object]:
            found = {each.name: getattr(entry, each.name) for each in fields(entry)}
            found["versions"] = {k: v for k, v in entry.versions.items() if k != "code"}
            del found["created"]
            return found

        return meaning(self) == meaning(other)


def is_link(target: str) -> bool:
    """Whether a target is a web address or a path relative to the page."""
    if not target.strip() or any(ord(c) < 32 for c in target):
        return False
    if WEB.match(target):
        return True
    return not target.startswith(("/", "\\")) and ":" not in target
