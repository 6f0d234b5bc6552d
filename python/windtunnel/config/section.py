"""What all tables of the study file have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all tables: unknown fields are errors, values are frozen after reading.

    Strict: `true` is no number and "3" is none either. Only lists, which TOML has in place
    of tuples, are taken as tuples.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
