"""Write a scoring function, its parameters and its evidence as a bundle.

The exporter is handed a callable and knows neither the trainer nor the model's class;
what it writes runs without either.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import platform
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import polars as pl
import safetensors.numpy
from jax import export

from windtunnel import artifacts
from windtunnel.data.panel import Float32Array
from windtunnel.deployment.manifest import (
    MANIFEST,
    PARAMETERS,
    PROGRAM,
    REFERENCE,
    REFERENCE_BAR,
    REPLAY,
    SEAL,
    Account,
    Evidence,
    Label,
    Manifest,
    Policy,
    Session,
    seal,
)
from windtunnel.deployment.session import Step, session_program
from windtunnel.errors import BundleError

Params: TypeAlias = Any  # a pytree: nested dicts, lists and tuples with arrays at the leaves
Score: TypeAlias = Callable[[Params, jax.Array], jax.Array]

_RECORDED = ("windtunnel", "jax", "jaxlib", "numpy", "numba", "polars")


def export_bundle(
    path: str | Path,
    *,
    score: Score | Step,
    params: Params,
    name: str,
    study_digest: str,
    run: str,
    trial: int,
    fingerprint: str,
    features: tuple[str, ...],
    warmup: int,
    window: int = 0,
    cross_section: bool = False,
    label: Label,
    symbols: tuple[str, ...],
    policy: Policy,
    fill: str,
    periods_per_year: float,
    periods: Mapping[str, tuple[str, str]],
    metrics: Mapping[str, float],
    verdict: str,
    evidence: Evidence | None,
    model: Mapping[str, Any],
    reference: Float32Array,
    replay: pl.DataFrame,
    reference_bars: npt.NDArray[np.integer] | None = None,
    account: Account | None = None,
    session: Session | None = None,
) -> Path:
    """Write a bundle to `path`, whole or not at all.

    Parameters
    ----------
    path : path
        Directory to make; must not exist.
    score : callable
        ``score(params, x)`` with `x` (b, F) float32 raw features, returning (b,) float32
        scores; written in `jax.numpy`, the standardising of features included. Rows are
        independent of one another. A row with a NaN feature gets a NaN score, whatever
        `score` makes of it. With a `window`, x is (b, window, F), oldest bar first; with
        `cross_section` it is (b, N, F) or (b, N, window, F), and the scores are (b, N).
        With a session it is a `windtunnel.deployment.session.Step`.
    params : pytree of numpy arrays
        Everything `score` needs, the scaler's mean and scale included.
    reference : (rows, F) float32
        A sample of the training rows, kept for comparing what the service sees with it.
    reference_bars : (rows,) int, optional
        Number of the bar of each row of the reference, not falling: rows of one bar share
        it. Without it nothing is known of how the rows follow one another.
    replay : polars.DataFrame
        From `windtunnel.deployment.replay_window.replay_frame`.
    session : Session, optional
        Of a model that decides bar after bar from a state of its own.
    name, study_digest, ..., model
        See `windtunnel.deployment.manifest.Manifest`. Non-finite metrics become None.

    Returns
    -------
    pathlib.Path
        The bundle's directory.

    Raises
    ------
    BundleError
        `path` exists or cannot be written, an array has another shape than the features say,
        or `score` cannot be exported.
    """
    path = Path(path)
    leaves = flat_parameters(params)
    inputs = (window, len(features)) if window else (len(features),)
    if cross_section:
        inputs = (len(symbols), *inputs)
    program, platforms = _export(
        score, params, inputs, lead=2 if cross_section else 1, session=session
    )
    contents = {
        PROGRAM: program,
        PARAMETERS: safetensors.numpy.save(leaves),
        REFERENCE: _parquet(_reference(reference, features, reference_bars)),
        REPLAY: _parquet(replay),
    }
    manifest = Manifest(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        study_digest=study_digest,
        run=run,
        trial=trial,
        fingerprint=fingerprint,
        features=features,
        warmup=warmup,
        window=window,
        cross_section=cross_section,
        label=label,
        symbols=symbols,
        policy=policy,
        fill=fill,
        account=account,
        periods_per_year=periods_per_year,
        periods=dict(periods),
        metrics={
            key: float(value) if math.isfinite(value) else None for key, value in metrics.items()
        },
        verdict=verdict,
        evidence=evidence,
        session=session,
        model=dict(model),
        platforms=platforms,
        versions=_versions(),
        files={key: hashlib.sha256(value).hexdigest() for key, value in contents.items()},
    )
    written = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True).encode()
    try:
        with artifacts.new_directory(path) as directory:
            for key, value in contents.items():
                (directory / key).write_bytes(value)
            (directory / MANIFEST).write_bytes(written + b"\n")
            (directory / SEAL).write_bytes(seal(written + b"\n"))
    except FileExistsError:
        raise BundleError(
            f"bundle {str(path)!r} exists already; a bundle is never overwritten",
            "Give another path",
        ) from None
    except OSError as error:
        raise BundleError(
            f"bundle {str(path)!r} cannot be written: {error.strerror}",
            "Make room, or give a path that can be written; nothing was left behind",
        ) from None
    return path


def flat_parameters(params: Params) -> dict[str, np.ndarray[Any, Any]]:
    """The leaves of a parameter pytree by their path, for example ``layers/0/kernel``."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.ascontiguousarray(leaf)
        for path, leaf in leaves
    }


def _export(
    score: Score | Step,
    params: Params,
    inputs: tuple[int, ...],
    *,
    lead: int,
    session: Session | None,
) -> tuple[bytes, tuple[str, ...]]:
    """Serialise ``fn(flat params, x)`` for any batch size, for CUDA too where it lowers.

    `inputs` is the shape of x without the batch; its first `lead` axes, the batch counted,
    are those of the scores. With a session the program takes its state and a bar instead.
    """
    structure = jax.tree_util.tree_structure(params)
    names = list(flat_parameters(params))

    def nested(flat: dict[str, jax.Array]) -> Params:
        return jax.tree_util.tree_unflatten(structure, [flat[key] for key in names])

    def by_name(flat: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        scores = cast("Score", score)(nested(flat), x)
        if scores.shape != x.shape[:lead] or scores.dtype != jnp.float32:
            axes = ", ".join(map(str, inputs))
            raise BundleError(
                f"score: must return {'(b,)' if lead == 1 else f'(b, {inputs[0]})'} float32 for "
                f"x (b, {axes}), got {scores.shape} {scores.dtype}",
                "Drop the last axis and keep float32",
            )
        unknown = jnp.isnan(x).any(axis=tuple(range(lead, x.ndim)))
        return jnp.where(unknown, jnp.float32(jnp.nan), scores)

    (batch,) = export.symbolic_shape("b")
    shapes = {
        key: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)  # type: ignore[no-untyped-call]
        for key, leaf in flat_parameters(params).items()
    }
    x = jax.ShapeDtypeStruct((batch, *inputs), jnp.float32)  # type: ignore[no-untyped-call]
    exporter, rest = jax.jit(by_name), (x,)
    if session is not None:
        step, rest = session_program(cast("Step", score), session, inputs[-1])
        exporter = jax.jit(lambda flat, *given: step(nested(flat), *given))
    with _without_source_locations():
        try:
            exported = export.export(exporter, platforms=["cpu", "cuda"])(shapes, *rest)
        except (NotImplementedError, RuntimeError):  # a primitive has no CUDA lowering
            exported = export.export(exporter, platforms=["cpu"])(shapes, *rest)
        return bytes(exported.serialize()), tuple(exported.platforms)


@contextlib.contextmanager
def _without_source_locations() -> Iterator[None]:
    """Leave paths of this machine out of the program: equal exports give equal bytes."""
    before = jax.config.jax_traceback_in_locations_limit  # type: ignore[attr-defined]
    jax.config.update("jax_traceback_in_locations_limit", 0)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        jax.config.update("jax_traceback_in_locations_limit", before)  # type: ignore[no-untyped-call]


def _reference(
    rows: Float32Array, features: tuple[str, ...], bars: npt.NDArray[np.integer] | None
) -> pl.DataFrame:
    if rows.ndim != 2 or rows.shape[1] != len(features):
        raise BundleError(
            f"reference: must be (rows, features={len(features)}), got {rows.shape}",
            "Give raw feature rows in the order of `features`",
        )
    frame = pl.DataFrame(np.float32(rows), schema=list(features))
    if bars is None:
        return frame
    if bars.shape != rows.shape[:1] or (np.diff(bars) < 0).any() or (bars < 0).any():
        raise BundleError(
            f"reference_bars: must be {len(rows)} bar numbers that do not fall, got shape "
            f"{bars.shape}",
            "Sort the rows of the reference by bar",
        )
    return frame.with_columns(pl.Series(REFERENCE_BAR, bars, dtype=pl.UInt32))


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _versions() -> dict[str, str]:
    """Versions of what shapes the numbers, and the processor family they ran on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _RECORDED:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from a source tree
            found[package] = "source"
    return found
