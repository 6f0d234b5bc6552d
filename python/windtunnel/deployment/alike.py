"""Whether two versions can answer the same requests: a live canary is asked the champion's."""

from __future__ import annotations

from collections.abc import Iterator

from windtunnel.deployment.manifest import Manifest

_SHOWN = 5  # names of a list that an error shows


def obstacles(champion: Manifest, canary: Manifest) -> list[str]:
    """What keeps `canary` from answering each request that `champion` answers, in words.

    Clients send what the champion needs, features in its order or bars as far back as it looks,
    and hand on the state of the last answer, whichever of the two gave it. A canary that looks
    less far back is no obstacle.
    """
    return list(_obstacles(champion, canary))


def _obstacles(champion: Manifest, canary: Manifest) -> Iterator[str]:
    if champion.takes_rows and not canary.takes_rows:
        yield "it takes bars alone, the champion rows of features too"
    elif champion.takes_rows and canary.features != champion.features:
        yield _apart("features", champion.features, canary.features)
    if set(canary.symbols) != set(champion.symbols):
        yield _apart("instruments", champion.symbols, canary.symbols)
    if canary.warmup > champion.warmup:
        yield f"it needs {canary.warmup} bars before a decision, the champion {champion.warmup}"
    if _state(canary) != _state(champion):
        yield f"its state is {_state(canary)}, the champion's {_state(champion)}"


def _state(manifest: Manifest) -> str:
    """What a client hands on from answer to answer."""
    if manifest.session is not None:  # which no other parameters can go on from
        return f"what the parameters {manifest.files['params.safetensors'][:12]} remember"
    return "signals of 0 and 1" if manifest.policy.long_only else "signals of -1, 0 and 1"


def _apart(what: str, champion: tuple[str, ...], canary: tuple[str, ...]) -> str:
    sides = (
        ("it alone has", [name for name in canary if name not in champion]),
        ("the champion alone", [name for name in champion if name not in canary]),
    )
    told = [
        f"{side} {', '.join(names[:_SHOWN])}{', ...' if names[_SHOWN:] else ''}"
        for side, names in sides
        if names
    ]
    return f"{what} differ: {' and '.join(told) or 'another order'}"
