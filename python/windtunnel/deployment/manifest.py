"""What a bundle says about itself, and the digests that every other file is held to.

A bundle is a directory of exactly the files named in `FILES`.
The manifest holds the SHA-256 of the contents; the seal, in the format of `sha256sum`,
that of the manifest. Digests find damage and accident; they are no signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from windtunnel.errors import BundleError

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
PROGRAM = "model.stablehlo"
PARAMETERS = "params.safetensors"
REFERENCE = "reference.parquet"
REFERENCE_BAR = "bar"  # its column of bar numbers; no feature has a name without a window
REPLAY = "replay.parquet"
CONTENTS = (PROGRAM, PARAMETERS, REFERENCE, REPLAY)
FILES = (*CONTENTS, MANIFEST, SEAL)
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"

_COPY_AGAIN = "Copy the bundle again from its source, or export it again"


class _Part(BaseModel):
    """Base of all tables: frozen; fields of a later minor form are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Label(_Part):
    """What the scores predict: `kind` as in the study file, `horizon` in bars."""

    kind: Literal["direction", "forward_return"]
    horizon: int = Field(ge=1)


class Policy(_Part):
    """How a score becomes an exposure; fields as in the study file's `[policy]`.

    `volatility_bars` is 0 where no volatility is aimed at.
    """

    enter: float = Field(ge=0)
    exit: float = Field(ge=0)
    leverage: float = Field(gt=0)
    long_only: bool
    band: float = Field(ge=0)
    proportional: bool = False
    volatility_target: float | None = Field(default=None, gt=0)
    volatility_bars: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _volatility_is_whole(self) -> Self:
        if (self.volatility_target is None) != (self.volatility_bars == 0):
            raise ValueError("volatility_target and volatility_bars go together")
        return self


class Session(_Part):
    """What a model that remembers carries from bar to bar, and how it sees a bar.

    `state` names arrays of float32 and their shapes. `volume_unit` divides the volumes that
    the program is shown; None where it looks at none.
    """

    state: dict[str, tuple[int, ...]]
    volume_unit: float | None = None


class Evidence(_Part):
    """What the study allows one to believe, for the gate in front of production.

    `level` is that of the study's verdict. `holdout_read` is whether this study read the
    sealed holdout, `earlier_looks` how often its bars had been read before, `seal` how that
    came about in words; bundles of earlier versions have none.
    """

    level: Literal["no_edge", "weak", "candidate"]
    holdout_read: bool
    earlier_looks: int = Field(ge=0)
    seal: str = ""


class Account(_Part):
    """The account that the replay sample's equity is of: capital, limits and costs.

    Fields as in `windtunnel.backtest.execution.Execution`; `costs` by the names of
    `windtunnel.backtest.costs.Costs`, as fractions.
    """

    initial_cash: float = Field(gt=0)
    maintenance: float = Field(ge=0, lt=1)
    participation: float | None = Field(default=None, gt=0, le=1)
    lot_size: float = Field(ge=0)
    costs: dict[str, float]


class Manifest(_Part):
    """The manifest of a bundle.

    `features` are in the order of the model's input columns. `warmup` is the number of
    bars before the first one that can be scored. `window` is the number of bars that the
    model sees of each row, 0 where it sees the row's bar alone; with `cross_section` it scores
    all instruments of a bar together. `periods` are ranges of
    UTC timestamps, first and last bar included. `metrics` are plain figures, None where
    undefined. `model` is the specification from which the program can be exported again,
    since the compiled form is promised for months and the parameters for good. `session`
    marks a model that decides bar after bar from a state of its own.
    """

    schema_version: int = SCHEMA_VERSION
    name: str = Field(pattern=NAME_PATTERN)
    created: str
    study_digest: str
    run: str
    trial: int = Field(ge=0)
    fingerprint: str
    features: tuple[str, ...] = Field(min_length=1)
    warmup: int = Field(ge=0)
    window: int = Field(default=0, ge=0)
    cross_section: bool = False
    label: Label
    symbols: tuple[str, ...] = Field(min_length=1)
    policy: Policy
    fill: str
    account: Account | None = None
    periods_per_year: float = Field(gt=0)
    periods: dict[str, tuple[str, str]]
    metrics: dict[str, float | None]
    verdict: str
    evidence: Evidence | None = None
    session: Session | None = None
    model: dict[str, Any]
    platforms: tuple[str, ...]
    versions: dict[str, str]
    files: dict[str, str]

    @property
    def takes_rows(self) -> bool:
        """Whether a score follows from the features of one bar and instrument."""
        return not (self.window or self.cross_section or self.session is not None)


def input_shape(manifest: Manifest) -> tuple[int, ...]:
    """Shape of one input of the program: features, after a window and instruments if need be."""
    shape: tuple[int, ...] = (len(manifest.features),)
    if manifest.window:
        shape = (manifest.window, *shape)
    return (len(manifest.symbols), *shape) if manifest.cross_section else shape


def seal(manifest: bytes) -> bytes:
    """The seal of a manifest, readable by ``sha256sum -c``."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode()


def read_verified(path: str | Path) -> tuple[Manifest, dict[str, bytes]]:
    """Read a bundle whole and check every digest before anything is parsed or trusted.

    Returns
    -------
    manifest : Manifest
    contents : dict of bytes
        The very bytes that were checked, by name in `CONTENTS`.

    Raises
    ------
    BundleError
        A file is missing, is not part of a bundle, or differs from its digest; or the
        manifest is of another schema.
    """
    path = Path(path)
    if not path.is_dir():
        raise BundleError(
            f"bundle {str(path)!r} is not a directory", "Give the directory of a bundle"
        )
    found = {entry.name for entry in path.iterdir()}
    for name in sorted(set(FILES) - found):
        raise BundleError(f"bundle {str(path)!r}: {name} is missing", _COPY_AGAIN)
    for name in sorted(found - set(FILES)):
        raise BundleError(
            f"bundle {str(path)!r}: {name} is not part of a bundle", "Remove it; nothing reads it"
        )
    return verify(str(path), {name: _read(path, name) for name in FILES})


def verify(label: str, files: Mapping[str, bytes]) -> tuple[Manifest, dict[str, bytes]]:
    """Hold the files of a bundle to one another, before any of them is parsed.

    Parameters
    ----------
    label : str
        What the bundle is called in errors.
    files : mapping of bytes
        By name in `FILES`.

    Raises
    ------
    BundleError
        A file differs from its digest, or the manifest is of another schema.
    """
    raw = files[MANIFEST]
    if files[SEAL] != seal(raw):
        raise BundleError(
            f"bundle {label!r}: {MANIFEST} differs from its digest in {SEAL}", _COPY_AGAIN
        )
    manifest = _parse(label, raw)
    contents = {name: files[name] for name in CONTENTS}
    for name, content in contents.items():
        found = hashlib.sha256(content).hexdigest()
        if found != manifest.files[name]:
            raise BundleError(
                f"bundle {label!r}: {name} ({len(content)} bytes) has SHA-256 "
                f"{found[:12]}..., the manifest says {manifest.files[name][:12]}...",
                _COPY_AGAIN,
            )
    return manifest, contents


def manifest_digest(path: str | Path) -> str:
    """SHA-256 of a bundle's manifest, which stands for the bundle as a whole."""
    return hashlib.sha256(_read(Path(path), MANIFEST)).hexdigest()


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise BundleError(
            f"bundle {str(path)!r}: {name} cannot be read: {error.strerror}", _COPY_AGAIN
        ) from None


def _parse(label: str, raw: bytes) -> Manifest:
    """The manifest, once its digest holds: what is wrong now is another version's doing."""
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or MANIFEST
        raise BundleError(
            f"bundle {label!r}: {MANIFEST}: {place}: {first['msg']}",
            "Export it again with this version of Windtunnel",
        ) from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise BundleError(
            f"bundle {label!r}: schema version is {manifest.schema_version}, this version "
            f"of Windtunnel reads {SCHEMA_VERSION}",
            "Install the version that wrote it, or export it again",
        )
    if set(manifest.files) != set(CONTENTS):
        raise BundleError(
            f"bundle {label!r}: {MANIFEST} lists {sorted(manifest.files)}, must list "
            f"{sorted(CONTENTS)}",
            "Export it again with this version of Windtunnel",
        )
    return manifest
