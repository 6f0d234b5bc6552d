"""Load a bundle and score with it; needs jax, and nothing of what trained the model."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import numpy.typing as npt
import safetensors.numpy
from jax import export
from safetensors import SafetensorError

from windtunnel.data.panel import Float32Array
from windtunnel.deployment.manifest import (
    PARAMETERS,
    PROGRAM,
    REFERENCE,
    REFERENCE_BAR,
    REPLAY,
    Manifest,
    input_shape,
    read_verified,
)
from windtunnel.deployment.session import ROW_COLUMNS, State, beginning, check_session
from windtunnel.errors import BundleError

# Tables are read with polars, which a service of features never loads.
if TYPE_CHECKING:
    import polars as pl

    from windtunnel.deployment.replay_window import ReplayWindow

LARGEST_BUCKET = 4096  # rows; longer inputs go through in pieces of this size


class Bundle:
    """A verified bundle, ready to score. Made by `load_bundle`.

    Scoring is compiled once for each power of two of rows up to `LARGEST_BUCKET`, on first
    use or by `warm`; rows in between are padded. Safe to use from several threads.

    Attributes
    ----------
    path : pathlib.Path
    manifest : Manifest
    parameters : dict of arrays
        What the program is given, by the names of `flat_parameters`.
    """

    def __init__(self, path: Path, manifest: Manifest, contents: dict[str, bytes]) -> None:
        self.path = path
        self.manifest = manifest
        self._tables = {name: contents[name] for name in (REFERENCE, REPLAY)}
        try:
            params = safetensors.numpy.load(contents[PARAMETERS])
        except SafetensorError as error:
            raise BundleError(
                f"bundle {str(path)!r}: {PARAMETERS} cannot be read: {error}", "Export it again"
            ) from None
        exported = _deserialise(path, contents[PROGRAM])
        _check_inputs(path, manifest, exported, params)
        self.parameters = params
        on_device = jax.device_put(params)
        # Closing over the weights and wrapping the exported call in jit takes a call on one
        # row from 228 us to some 10 us.
        self._call = jax.jit(lambda *given: exported.call(on_device, *given))  # type: ignore[no-untyped-call]

    @property
    def width(self) -> int:
        """Number of features, F."""
        return len(self.manifest.features)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: (F,), (window, F), (N, F) or (N, window, F)."""
        return input_shape(self.manifest)

    @property
    def largest_bucket(self) -> int:
        """Inputs scored at once: as many as `LARGEST_BUCKET` rows of one instrument."""
        instruments = len(self.manifest.symbols) if self.manifest.cross_section else 1
        return _bucket(max(1, LARGEST_BUCKET // instruments))

    def score(self, x: npt.NDArray[np.floating]) -> Float32Array:
        """Score rows of raw features.

        Parameters
        ----------
        x : (rows, *input_shape) float
            Last axis in the order of `manifest.features`; cast to float32. Rows of features;
            windows of them, oldest bar first, for a model with a window; all instruments of a
            bar, in the order of `manifest.symbols`, for one with a cross-section.

        Returns
        -------
        (rows,) float32, or (rows, N) for a cross-section
            NaN for a row with a NaN feature. Rows do not influence one another, beyond
            float32 rounding (relative 1e-6) that depends on the bucket.

        Raises
        ------
        BundleError
            `x` has another shape.
        """
        if self.manifest.session is not None:
            raise BundleError(
                f"model {self.manifest.name!r} decides from bars and a state of its own; a row of "
                "features alone has no score",
                "Walk through the bars with windtunnel.deployment.session.walk",
            )
        x = np.ascontiguousarray(x, dtype=np.float32)
        shape = self.input_shape
        if x.shape[1:] != shape:
            wanted = ", ".join(map(str, shape[:-1]) if shape[:-1] else ())
            raise BundleError(
                f"x: must be (rows, {wanted + ', ' if wanted else ''}features={self.width}), got "
                f"{x.shape}",
                "Give one row of features a score, in the order of the manifest",
            )
        most = self.largest_bucket
        if len(x) <= most:
            return self._score_bucket(x)
        pieces = range(0, len(x), most)
        return np.concatenate([self._score_bucket(x[i : i + most]) for i in pieces])

    def step(self, state: State, row: Float32Array) -> tuple[State, Float32Array, Float32Array]:
        """Take a model that remembers over one bar; see `windtunnel.deployment.session`."""
        after, level, margin = self._call(state, row)
        return {name: np.asarray(value) for name, value in after.items()}, level, margin

    def warm(self, rows: int = LARGEST_BUCKET) -> None:
        """Compile every bucket that inputs of up to `rows` rows can fall into."""
        session = self.manifest.session
        if session is not None:
            width = len(ROW_COLUMNS) + self.width
            self.step(beginning(session), np.ones((len(self.manifest.symbols), width), np.float32))
            return
        bucket = 1
        while bucket <= _bucket(min(rows, self.largest_bucket)):
            self._score_bucket(np.zeros((bucket, *self.input_shape), np.float32))
            bucket *= 2

    def reference(self) -> pl.DataFrame:
        """The sample of training rows: one Float32 column a feature."""
        return self._read_reference().select(self.manifest.features)

    def reference_bars(self) -> npt.NDArray[np.int64] | None:
        """The bar number (rows,) of each row of `reference`, not falling.

        None for a bundle that was exported without them: its rows are a sample in which
        nothing follows anything.
        """
        frame = self._read_reference()
        if REFERENCE_BAR not in frame.columns:
            return None
        return frame[REFERENCE_BAR].to_numpy().astype(np.int64)

    def replay_window(self) -> ReplayWindow:
        """The bars to replay, with the expected scores and exposures."""
        import polars as pl  # noqa: PLC0415 - 0.2 s

        from windtunnel.deployment.replay_window import read_replay  # noqa: PLC0415

        return read_replay(pl.read_parquet(io.BytesIO(self._tables[REPLAY])))

    def _read_reference(self) -> pl.DataFrame:
        import polars as pl  # noqa: PLC0415 - 0.2 s

        return pl.read_parquet(io.BytesIO(self._tables[REFERENCE]))

    def _score_bucket(self, x: Float32Array) -> Float32Array:
        rows = len(x)
        bucket = _bucket(rows)
        if bucket != rows:
            padded = np.zeros((bucket, *self.input_shape), np.float32)
            padded[:rows] = x
            x = padded
        scores: Float32Array = np.asarray(self._call(x))[:rows]
        return scores


def load_bundle(path: str | Path) -> Bundle:
    """Load the bundle at `path`, every digest checked before any file is parsed.

    Raises
    ------
    BundleError
        The bundle is incomplete, altered, of another schema, or its program does not run
        with the installed jax.
    """
    manifest, contents = read_verified(path)
    return Bundle(Path(path), manifest, contents)


def _bucket(rows: int) -> int:
    """The smallest power of two that holds `rows`, at least 1."""
    return 1 << max(rows - 1, 0).bit_length()


def _deserialise(path: Path, program: bytes) -> export.Exported:
    try:
        return export.deserialize(bytearray(program))
    except (ValueError, KeyError, IndexError, RuntimeError, NotImplementedError) as error:
        raise BundleError(
            f"bundle {str(path)!r}: {PROGRAM} does not load with jax {jax.__version__}: {error}",
            "Export it again; a compiled program is promised to load for about six months",
        ) from None


def _check_inputs(
    path: Path,
    manifest: Manifest,
    exported: export.Exported,
    params: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
) -> None:
    """Hold the program, the parameters and the manifest to one another."""
    taken, *_ = jax.tree_util.tree_unflatten(exported.in_tree, exported.in_avals)[0]
    wanted = {name: (tuple(aval.shape), str(aval.dtype)) for name, aval in taken.items()}
    given = {name: (array.shape, str(array.dtype)) for name, array in params.items()}
    if wanted != given:
        differing = sorted(set(wanted.items()) ^ set(given.items()))
        raise BundleError(
            f"bundle {str(path)!r}: {PARAMETERS} does not fit {PROGRAM}: {differing[0]}",
            "Export it again",
        )
    if manifest.session is not None:
        check_session(str(path), manifest, exported)
    else:
        width = exported.in_avals[-1].shape[-1]
        if width != len(manifest.features):
            raise BundleError(
                f"bundle {str(path)!r}: {PROGRAM} takes {width} features, the manifest names "
                f"{len(manifest.features)}",
                "Export it again",
            )
        shape = tuple(exported.in_avals[-1].shape[1:])
        if shape != input_shape(manifest):
            raise BundleError(
                f"bundle {str(path)!r}: {PROGRAM} takes inputs of shape {shape}, the manifest "
                f"describes {input_shape(manifest)}",
                "Export it again",
            )
    platform = jax.default_backend()
    wanted_platform = {"gpu": "cuda"}.get(platform, platform)
    if wanted_platform not in manifest.platforms:
        raise BundleError(
            f"bundle {str(path)!r}: is exported for {', '.join(manifest.platforms)}, jax runs on "
            f"{wanted_platform}",
            "Set JAX_PLATFORMS=cpu",
        )
