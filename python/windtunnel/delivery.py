"""The champion as a bundle in the registry, and its decisions on the holdout's bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel.config import study_digest
from windtunnel.deployment.exporter import export_bundle
from windtunnel.deployment.manifest import Evidence, Label, Policy, read_verified
from windtunnel.deployment.registry import Registry, State
from windtunnel.deployment.replay_window import replay_frame
from windtunnel.events import EventBus
from windtunnel.findings import Findings
from windtunnel.runs import Run
from windtunnel.trainers.scoring import Network
from windtunnel.validation import policy_table, window


def decisions(found: Findings) -> pl.DataFrame:
    """Score and target exposure of every listed instrument on every bar of the holdout."""
    start, stop = found.course.plan.holdout
    panel = found.course.panel
    bar, instrument = np.nonzero(panel.listed[start:stop])
    return pl.DataFrame(
        {
            "timestamp": pl.Series(panel.timestamps[start:stop][bar]).dt.replace_time_zone("UTC"),
            "symbol": np.array(panel.symbols)[instrument],
            "score": pl.Series(found.model.scores[bar, instrument]).fill_nan(None),
            "exposure": found.model.exposures[bar, instrument],
        }
    )


def fills(found: Findings) -> pl.DataFrame:
    """Every fill of the champion over the validation slices, with its reason."""
    bars = window(found.course.panel, *found.course.plan.out_of_sample)
    return found.stress.trades.table(bars).drop("configuration")


def export(found: Findings, path: Path) -> None:
    """Write the refitted champion as a bundle whose replay window is the holdout's bars."""
    course, study = found.course, found.course.study
    kind = study.label.kind
    model = study.model.vary(found.champion.params)
    network = Network.build(model, kind)
    context = course.features.warmup + max(network.window - 1, 0)
    policies = policy_table(study, [found.champion.params])
    rows = _in_time(course.final_task.train[0], study.study.seed)
    stamps = course.panel.timestamps
    export_bundle(
        path,
        score=network.score,
        params=found.model.model.parameters(0),
        name=study.study.name,
        study_digest=study_digest(study),
        run=found.run.id,
        trial=found.champion.number,
        fingerprint=course.panel.fingerprint,
        features=course.features.names,
        warmup=context,
        window=network.window,
        cross_section=network.relative,
        label=Label(kind=kind, horizon=study.label.horizon),
        symbols=course.panel.symbols,
        policy=Policy(
            enter=float(policies.enter[0]),
            exit=float(policies.exit[0]),
            leverage=float(policies.leverage[0]),
            long_only=policies.long_only,
            band=study.policy.rebalance_band,
        ),
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
        ),
        model=model.model_dump(mode="json") | {"hidden": list(model.layers)},
        reference=course.features.values[rows],
        reference_bars=np.nonzero(rows)[0],
        replay=replay_frame(
            course.panel,
            course.plan.holdout,
            found.model.scores,
            found.model.exposures,
            context=context,
        ),
    )


def register(run: Run, bundle: Path, bus: EventBus) -> tuple[int, State]:
    """Register the bundle; one that is there already keeps its number.

    The first version of a model becomes champion whatever its verdict, on record as forced:
    there is nothing that it could displace. Later ones wait for a canary or a promotion.

    Returns
    -------
    int
        The version.
    State
        What serves now.
    """
    registry = Registry(run.path.parent.parent / "registry", bus=bus)
    note = f"study {run.id}"
    version = registry.register(bundle, note=note)
    name = read_verified(bundle)[0].name
    state = registry.state(name)
    if state.champion is None and not state.lineage:
        why = f"{note}: the first version, nothing served before"
        state = registry.promote(name, version, why=why, force=True, generation=state.generation)
    return version, state


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
