"""The champion as a bundle in the registry, and its decisions on the holdout's bars."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import safetensors.numpy

from windtunnel import artifacts
from windtunnel.config import study_digest
from windtunnel.config.study import ModelSection
from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.exporter import Score, export_bundle
from windtunnel.deployment.manifest import (
    PARAMETERS,
    REFERENCE,
    REFERENCE_BAR,
    REPLAY,
    Account,
    Evidence,
    Label,
    Manifest,
    Policy,
    Session,
    read_verified,
)
from windtunnel.deployment.registry import Registry, State
from windtunnel.deployment.replay import ReplayCertificate, replay
from windtunnel.deployment.replay_window import replay_frame
from windtunnel.deployment.session import Step
from windtunnel.errors import BundleError, PromotionRefusedError
from windtunnel.events import EventBus
from windtunnel.findings import Findings
from windtunnel.runs import Run
from windtunnel.trainers.own import rl_terms
from windtunnel.trainers.rl.session import PolicyProgram, policy_program, specify
from windtunnel.trainers.scoring import Network
from windtunnel.validation import policy_table

# What an export anew takes over from the manifest as it is.
_KEPT = (
    "name", "study_digest", "run", "trial", "fingerprint", "features", "warmup", "window",
    "cross_section", "label", "symbols", "policy", "fill", "account",
    "periods_per_year", "periods", "metrics", "verdict",
    "evidence", "model", "session",
)  # fmt: skip


def decisions(found: Findings) -> pl.DataFrame:
    """Score and target exposure of every listed instrument on every bar of the holdout.

    Null where there is no score, or nothing was decided.
    """
    start, stop = found.course.plan.holdout
    panel = found.course.panel
    bar, instrument = np.nonzero(panel.listed[start:stop])
    return pl.DataFrame(
        {
            "timestamp": pl.Series(panel.timestamps[start:stop][bar]).dt.replace_time_zone("UTC"),
            "symbol": np.array(panel.symbols)[instrument],
            "score": pl.Series(found.model.scores[bar, instrument]).fill_nan(None),
            "exposure": pl.Series(found.model.exposures[bar, instrument]).fill_nan(None),
        }
    )


def fills(found: Findings) -> pl.DataFrame:
    """Every fill of the champion over the validation slices, with its reason."""
    bars = found.course.panel.window(*found.course.plan.out_of_sample)
    return found.stress.trades.table(bars).drop("configuration")


def export_anew(found: Findings, path: Path) -> None:
    """Have `path` hold the bundle of what was found, whatever an earlier attempt left there.

    A bundle that differs in no more than when it was made stays, so that it keeps the number
    that it may have in the registry. Killed in between, there is the old one, the new one or
    none, and the next attempt comes here again.
    """
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
    ) as scratch:
        fresh = Path(scratch) / "new"
        export(found, fresh)
        if path.exists():
            if _says(path) == _says(fresh):
                return
            path.rename(Path(scratch) / "old")
        fresh.rename(path)
    artifacts.sync(path.parent)


def _says(bundle: Path) -> Manifest | None:
    """What a bundle says, but for when it was made; None of one that is damaged."""
    try:
        manifest, _ = read_verified(bundle)
    except BundleError:
        return None
    return manifest.model_copy(update={"created": ""})


def export(found: Findings, path: Path) -> None:
    """Write the refitted champion as a bundle whose replay window is the holdout's bars."""
    course, study = found.course, found.course.study
    kind = study.label.kind
    model = study.model.vary(found.champion.params)
    terms = policy_table(study, [found.champion.params]).terms(0)
    network: Network | None = None
    program: PolicyProgram | None = None
    score: Score | Step
    if study.training.trainer == "rl":
        program = policy_program(
            specify(study, rl_terms(study), terms["leverage"]), course.panel.instruments
        )
        score = program.step
    else:
        network = Network.build(model, kind, long_only=terms["long_only"])
        score = network.score
    window_bars = network.window if network else 0
    volatility_bars = 0 if terms["volatility_target"] is None else study.policy.volatility_bars
    context = max(course.features.warmup + max(window_bars - 1, 0), volatility_bars)
    rows = _in_time(course.final_task.train[0], study.study.seed)
    stamps = course.panel.timestamps
    export_bundle(
        path,
        score=score,
        params=found.model.model.parameters(0),
        name=study.study.name,
        study_digest=study_digest(study),
        run=found.run.id,
        trial=found.champion.number,
        fingerprint=course.panel.fingerprint,
        features=course.features.names,
        warmup=context,
        window=window_bars,
        cross_section=network.relative if network else False,
        label=Label(kind=kind, horizon=study.label.horizon),
        symbols=course.panel.symbols,
        policy=Policy(band=study.policy.rebalance_band, volatility_bars=volatility_bars, **terms),
        session=_session(program),
        fill=study.execution.fill,
        periods_per_year=study.data.periods_per_year,
        periods={
            name: (str(stamps[first]), str(stamps[last - 1]))
            for name, (first, last) in {
                "train": course.plan.final.train,
                "holdout": course.plan.holdout,
            }.items()
        },
        metrics=found.holdout.metrics if found.holdout else {},
        verdict=found.verdict.headline,
        evidence=Evidence(
            level=found.verdict.level,
            holdout_read=found.holdout is not None,
            earlier_looks=len(found.earlier_looks),
            seal=found.seal,
        ),
        model=program.specification
        if program
        else model.model_dump(mode="json") | {"hidden": list(model.layers)},
        reference=course.features.values[rows],
        reference_bars=np.nonzero(rows)[0],
        replay=replay_frame(
            course.panel,
            course.plan.holdout,
            found.model.scores,
            found.model.exposures,
            context=context,
            equity=found.holdout.champion.equity[:, 0] if found.holdout else None,
        ),
        account=Account(
            initial_cash=course.execution.initial_cash,
            maintenance=course.execution.maintenance,
            participation=course.execution.participation,
            lot_size=course.execution.lot_size,
            costs=asdict(course.costs),
        ),
    )


def _session(program: PolicyProgram | None) -> Session | None:
    """What a policy that learnt to trade remembers; None for a model of rows."""
    if program is None:
        return None
    return Session(state=program.shapes, volume_unit=program.volume_unit)


def export_again(source: Path, path: Path) -> ReplayCertificate:
    """Export a bundle's parameters anew, with the jax that is installed; it has to replay.

    Parameters and the model's specification are the durable form of a model; a compiled
    program is promised to load for about six months.

    Raises
    ------
    BundleError
        The bundle is damaged, was not made by a model family known here, or what is exported
        does not replay; nothing is left at `path` then.
    """
    manifest, contents = read_verified(source)
    flat = safetensors.numpy.load(contents[PARAMETERS])
    if not {"mean", "scale"} <= set(flat) or "family" not in manifest.model:
        raise BundleError(
            f"bundle {str(source)!r}: its parameters are not those of a model family",
            "Export it with the code that made it",
        )
    if manifest.session is not None:
        score: Score | Step = policy_program(manifest.model, len(manifest.symbols)).step
    else:
        model = ModelSection.model_validate(manifest.model)
        long_only = manifest.policy.long_only
        score = Network.build(model, manifest.label.kind, long_only=long_only).score
    reference = pl.read_parquet(io.BytesIO(contents[REFERENCE]))
    bars = reference[REFERENCE_BAR].to_numpy() if REFERENCE_BAR in reference.columns else None
    kept = {name: getattr(manifest, name) for name in _KEPT}
    kept["metrics"] = {k: math.nan if v is None else v for k, v in manifest.metrics.items()}
    if not path.parent.is_dir():
        raise BundleError(
            f"{str(path.parent)!r} is not a directory, so nothing can be written to {path.name!r}",
            "Make it first, or name another place",
        )
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        export_bundle(
            Path(scratch) / "bundle",
            score=score,
            params=_nested(flat),
            reference=reference.select(manifest.features).to_numpy(),
            reference_bars=bars,
            replay=pl.read_parquet(io.BytesIO(contents[REPLAY])),
            **kept,
        )
        certificate = replay(load_bundle(Path(scratch) / "bundle"))
        if not certificate.ok:
            raise BundleError(
                f"bundle {str(source)!r}, exported again: {certificate.sentence}",
                "The model family has changed since: export it with the version that made it",
            )
        if path.exists():
            raise BundleError(f"bundle {str(path)!r} exists already", "Give another path")
        (Path(scratch) / "bundle").rename(path)
    return certificate


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `flat_parameters` for nested dicts, which model families use throughout."""
    nested: dict[str, Any] = {}
    for name, leaf in flat.items():
        *parents, last = name.split("/")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = leaf
    return nested


def register(
    run: Run, bundle: Path, bus: EventBus, location: str | Path | None = None
) -> tuple[int, State, str]:
    """Register the bundle, in the workspace's registry or at `location`.

    One that is there already keeps its number.

    While nothing has served, a version that passes the gate of promotion becomes champion:
    there is nothing that it could displace. One that the gate refuses is kept and serves
    nobody until somebody forces it, with a reason and on record. Once there is a champion,
    every version waits for a canary or a promotion.

    Returns
    -------
    int
        The version.
    State
        What serves now.
    str
        Why the gate refused it, when it was asked and did.
    """
    registry = Registry(location or run.path.parent.parent / "registry", bus=bus)
    note = f"study {run.id}"
    version = registry.register(bundle, note=note)
    name = read_verified(bundle)[0].name
    state = registry.state(name)
    if state.champion is None and not state.lineage:
        why = f"{note}: the first version to pass, nothing served before"
        try:
            state = registry.promote(name, version, why=why, generation=state.generation)
        except PromotionRefusedError as error:
            return version, state, error.problem
    return version, state, ""


def _in_time(used: npt.NDArray[np.bool_], seed: int, most: int = 16_384) -> npt.NDArray[np.bool_]:
    """Choose at most `most` of the training rows (T, N), whole in time.

    How much of a drift is no more than the way of the market shows only in rows that follow
    one another. So where there are too many, some instruments are left out, and only when
    one alone has too many, its oldest bars.
    """
    if used.sum() <= most:
        return used
    random = np.random.default_rng(seed)
    kept = np.zeros_like(used)
    room = most
    for instrument in random.permutation(used.shape[1]):
        count = int(used[:, instrument].sum())
        if 0 < count <= room:
            kept[:, instrument] = used[:, instrument]
            room -= count
    if not kept.any():
        longest = int(used.sum(axis=0).argmax())
        newest = np.flatnonzero(used[:, longest])[-most:]
        kept[newest, longest] = True
    return kept
