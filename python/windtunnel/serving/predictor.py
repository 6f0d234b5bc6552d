"""From bars to decisions, with the bundle's program and the study's own kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from windtunnel.data.panel import Float32Array, Float64Array, Panel
from windtunnel.deployment.bundle import Bundle
from windtunnel.deployment.replay import ScoredRows, policy_exposures, score_rows
from windtunnel.deployment.session import all_instruments, walk
from windtunnel.serving.native import MOST_ROWS, NativeScorer, native_scorer
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.session import Kept, check_follows, write_state

# Handing work to a thread costs more than a small model's whole answer. Takes effect when
# set before jax runs anything, which is why it stands at import.
jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows that went through the model, for whoever watches it.

    Attributes
    ----------
    features : (R, F) float32
    scores : (R,) float32
    timestamps : (R,) datetime64[us] or None
        None when features were sent without bars.
    symbols : tuple of R str or None
    """

    features: Float32Array
    scores: Float32Array
    timestamps: npt.NDArray[np.datetime64] | None = None
    symbols: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Decisions:
    """What the model would do on D bars of N instruments.

    Attributes
    ----------
    timestamps : (D,) datetime64[us]
    symbols : tuple of N str
    scores : (D, N) float32
        NaN where the model has no opinion.
    exposures : (D, N) float64
        Signed fraction of equity to hold from the next fill on; NaN where the instrument
        has no bar, so that nothing is decided.
    state : dict
        The policy's signal a symbol after the last bar, or what a model that remembers does, to
        be given with the next request.
    warnings : tuple of str
    scored : Scored
        The rows behind the scores that are defined.
    """

    timestamps: npt.NDArray[np.datetime64]
    symbols: tuple[str, ...]
    scores: Float32Array
    exposures: Float64Array
    state: Mapping[str, int | str]
    warnings: tuple[str, ...]
    scored: Scored


@dataclass(frozen=True)
class Predictor:
    """A bundle in service under its version number.

    Attributes
    ----------
    bundle : Bundle
    version : int
    exact : bool
        Score with the exported program alone, bit for bit, and not with a kernel that agrees
        with it within `windtunnel.serving.native.TOLERANCE`.
    """

    bundle: Bundle
    version: int
    exact: bool = False

    @cached_property
    def name(self) -> str:
        """The model's name."""
        return self.bundle.manifest.name

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Features in the order of the model's input."""
        return self.bundle.manifest.features

    @cached_property
    def row_names(self) -> tuple[str, ...]:
        """Columns of rows of features that a client may send.

        Raises
        ------
        Refusal
            A score needs more than a row: a window of bars, or all instruments of a bar.
        """
        manifest = self.bundle.manifest
        if manifest.takes_rows:
            return self.names
        sees = (
            "all instruments of a bar together"
            if manifest.cross_section
            else f"{manifest.window} bars"
        )
        if self.remembers:
            sees = "bar after bar, and an account of its own"
        raise Refusal(
            "shape",
            "features",
            None,
            f"are rows of one bar and instrument, this model sees {sees}",
            "Send bars in place of features",
        )

    @cached_property
    def head(self) -> dict[str, Any]:
        """What every answer says first: model, version, trial."""
        manifest = self.bundle.manifest
        return {"model": manifest.name, "version": self.version, "trial": manifest.trial}

    @cached_property
    def remembers(self) -> bool:
        """Whether the model decides bar after bar from a state of its own."""
        return self.bundle.manifest.session is not None

    @cached_property
    def native(self) -> NativeScorer | None:
        """A quicker way for few rows, where there is one that agrees with the bundle."""
        return None if self.exact else native_scorer(self.bundle)

    def score(self, rows: Float32Array) -> Float32Array:
        """Scores (R,) float32 of raw features (R, F) float32."""
        if len(rows) <= MOST_ROWS and self.native is not None:
            return self.native.score(rows)
        return self.bundle.score(rows)

    def decide(self, panel: Panel, first: int, state: Mapping[str, int] | Kept) -> Decisions:
        """Scores and exposures of the bars from index `first` of `panel` on.

        Parameters
        ----------
        panel : Panel
            Bars with at least the features' warm-up before `first`.
        first : int
        state : mapping
            Signal (-1, 0 or 1) a symbol before `first`; absent means flat. Of a model that
            remembers, what it remembers; an empty one begins with cash.
        """
        if self.remembers or isinstance(state, Kept):
            return self._go_on(panel, first, state if isinstance(state, Kept) else None)
        before = np.array([state.get(symbol, 0) for symbol in panel.symbols], np.int8)
        rows = score_rows(self.bundle, panel, first)
        scores = rows.scores
        exposures, after = policy_exposures(self.bundle.manifest, panel, first, scores, before)
        signals = dict(zip(panel.symbols, after.tolist(), strict=True))
        return Decisions(
            timestamps=panel.timestamps[first:],
            symbols=panel.symbols,
            scores=scores,
            exposures=exposures,
            state={**state, **signals},
            warnings=(*self._absent(panel), *_undefined(panel, first, scores)),
            scored=_scored(panel, first, rows),
        )

    def _go_on(self, panel: Panel, first: int, kept: Kept | None) -> Decisions:
        """Let a model that remembers walk through the bars."""
        manifest = self.bundle.manifest
        if kept is not None:
            check_follows(kept, panel.timestamps, first)
        whole = all_instruments(panel, manifest.symbols)
        values = None if kept is None else kept.values
        walked = walk(self.bundle.step, manifest, whole, first, values)
        exposures, _ = policy_exposures(manifest, whole, first, walked.levels, None)
        at = [manifest.symbols.index(symbol) for symbol in panel.symbols]
        scores = np.ascontiguousarray(walked.levels[:, at])
        rows = ScoredRows(walked.levels, walked.defined, walked.features)
        return Decisions(
            timestamps=panel.timestamps[first:],
            symbols=panel.symbols,
            scores=scores,
            exposures=np.ascontiguousarray(exposures[:, at]),
            state=write_state(self.bundle, panel.timestamps[-1], walked.state),
            warnings=(*self._absent(panel), *_undefined(panel, first, scores)),
            scored=_scored(whole, first, rows),
        )

    def warm(self) -> None:
        """Compile all that a request can need: kernels, policy, every batch bucket."""
        self.bundle.warm()
        if self.bundle.manifest.takes_rows:
            self.score(np.zeros((1, self.bundle.width), np.float32))
        window = self.bundle.replay_window()
        self.decide(window.panel, window.first, {})

    def _absent(self, panel: Panel) -> list[str]:
        """A lacking instrument changes ranks and the share of leverage of the others."""
        symbols = self.bundle.manifest.symbols
        absent = [symbol for symbol in symbols if symbol not in panel.symbols]
        if not absent:
            return []
        return [
            f"bars hold {len(panel.symbols)} of the model's {len(symbols)} instruments; without "
            f"{', '.join(absent)} cross-sectional features and the share of leverage each "
            "instrument gets differ from the study's"
        ]


def _scored(panel: Panel, first: int, rows: ScoredRows) -> Scored:
    """The defined rows with the bar and the instrument of each."""
    bar, instrument = np.nonzero(rows.defined)
    return Scored(
        rows.features,
        rows.scores[rows.defined],
        panel.timestamps[first:][bar],
        tuple(panel.symbols[i] for i in instrument),
    )


def _undefined(panel: Panel, first: int, scores: Float32Array) -> list[str]:
    """Name the instruments that have bars but no score on some of them."""
    lacking = np.isnan(scores) & panel.listed[first:]
    return [
        f"{symbol}: no score on {count} of {listed} bars, its features are undefined there; "
        "the signal before is kept"
        for symbol, count, listed in zip(
            panel.symbols, lacking.sum(axis=0), panel.listed[first:].sum(axis=0), strict=True
        )
        if count
    ]
