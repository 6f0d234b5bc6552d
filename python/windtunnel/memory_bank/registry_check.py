"""Hold promotions and rollbacks to the registry that they tell of, where it is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from pathlib import Path

    from windtunnel.memory_bank.occurrence import Occurrence


def problems_with(moved: Occurrence, registry: Path) -> list[str]:
    """Compare a moved alias with its registry; a registry that is gone has nothing to say.

    Returns
    -------
    list of str
        What differs, in words; empty when all agrees, or when the record is of no version.
    """
    said = moved.digests.get("manifest")
    model, number = moved.ids.get("model"), moved.ids.get("version")
    if said is None or not isinstance(number, int) or not (registry / str(model)).is_dir():
        return []
    from windtunnel.deployment.reader import RegistryReader  # noqa: PLC0415 - pydantic

    try:
        found = RegistryReader(registry).resolve(str(model), number).digest
    except WindtunnelError as error:
        return [f"version {number} of {model!r} is not in the registry ({error.problem})"]
    if found != said:
        return [f"version {number} of {model!r} has another digest in the registry"]
    return []
