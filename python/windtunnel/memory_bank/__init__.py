"""The memory bank: what a project has tried, found and decided, as Markdown that can be checked."""

from __future__ import annotations

from windtunnel.memory_bank.bank import MemoryBank
from windtunnel.memory_bank.entry import ExperimentEntry
from windtunnel.memory_bank.observer import Remember
from windtunnel.memory_bank.occurrence import Occurrence

__all__ = ["ExperimentEntry", "MemoryBank", "Occurrence", "Remember"]
