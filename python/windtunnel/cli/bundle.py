"""`windtunnel bundle` and `windtunnel export`: what was exported, and whether it still holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from windtunnel.cli import show
from windtunnel.errors import BundleError

app = typer.Typer(help="Look into an exported model and replay it.", no_args_is_help=True)

Source = Annotated[Path, typer.Argument(help="Folder of a bundle, or of a finished run.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]


def bundle_of(source: Path) -> Path:
    """The bundle at a path: the path itself, or the bundle of the run there."""
    inside = source / "bundle"
    return inside if inside.is_dir() else source


@app.command()
def inspect(source: Source, as_json: Json = False) -> None:
    """Show what a bundle says of itself, every digest checked first; runs nothing of it."""
    from windtunnel.deployment.manifest import manifest_digest, read_verified  # noqa: PLC0415

    path = bundle_of(source)
    manifest, contents = read_verified(path)
    if as_json:
        record = manifest.model_dump(mode="json") | {"digest": manifest_digest(path)}
        print(json.dumps(record))  # noqa: T201
        return
    policy, aim = manifest.policy, manifest.policy.volatility_target
    pairs = {
        "model": f"{manifest.name}, trial {manifest.trial} of run {manifest.run}",
        "created": manifest.created,
        "verdict": manifest.verdict,
        "features": ", ".join(manifest.features),
        "warm-up": f"{manifest.warmup} bars",
        "label": f"{manifest.label.kind}, {manifest.label.horizon} bars ahead",
        "instruments": ", ".join(manifest.symbols),
        "policy": f"enter {policy.enter:g}, exit {policy.exit:g}, leverage {policy.leverage:g}, "
        + (f"volatility {aim:g} over {policy.volatility_bars} bars, " if aim else "")
        + ("long only" if policy.long_only else "long and short"),
        "fill": manifest.fill,
        **{
            f"period {name}": f"{first[:10]} to {last[:10]}"
            for name, (first, last) in manifest.periods.items()
        },
        **{f"versions {name}": version for name, version in manifest.versions.items()},
        **{
            f"file {name}": f"{len(contents[name]):,} bytes, SHA-256 {digest[:16]}..."
            for name, digest in manifest.files.items()
        },
        "digest": manifest_digest(path),
    }
    show.pairs(Console(), pairs, as_json=False)


@app.command()
def verify(source: Source, as_json: Json = False) -> None:
    """Replay a bundle on its own bars: scores, exposures and equity through the exported bytes."""
    from windtunnel.deployment.bundle import load_bundle  # noqa: PLC0415 - imports jax
    from windtunnel.deployment.replay import replay  # noqa: PLC0415 - imports numba
    from windtunnel.deployment.replay_equity import replay_equity  # noqa: PLC0415

    path = bundle_of(source)
    loaded = load_bundle(path)
    decisions, money = replay(loaded), replay_equity(loaded)
    if not (decisions.ok and money.ok):
        raise BundleError(
            f"bundle {str(path)!r} does not replay: {decisions.sentence} "
            f"{money.sentence.rstrip('.')}",
            "Export it again with the versions that serve it: `windtunnel export`",
        )
    if as_json:
        outcome: dict[str, Any] = {"decisions": asdict(decisions), "equity": asdict(money)}
        print(json.dumps(outcome))  # noqa: T201
    else:
        print(f"{decisions.sentence}\n{money.sentence}")  # noqa: T201


def export(
    source: Source,
    out: Annotated[Path, typer.Argument(help="Where to write; must not exist.")],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write an ONNX file, checked under onnxruntime.")
    ] = False,
) -> None:
    """Export a model anew with the jax that is installed, or as ONNX; it has to replay."""
    path = bundle_of(source)
    if onnx:
        from windtunnel.deployment.onnx_export import export_onnx  # noqa: PLC0415 - an extra

        print(export_onnx(path, out).sentence)  # noqa: T201
        return
    from windtunnel.delivery import export_again  # noqa: PLC0415 - imports flax

    print(export_again(path, out).sentence)  # noqa: T201
