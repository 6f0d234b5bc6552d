"""Serve a bundle for real and replay its sample over HTTP, to find the study's decisions.

Run inside the image that is to be deployed::

    python smoke_bundle.py BUNDLE                  # a folder
    python smoke_bundle.py MODEL VERSION           # from the registry $WINDTUNNEL_REGISTRY

A registry of its own keeps the trial out of the real one. Needs nothing beside Windtunnel.

``SMOKE_SECONDS`` bounds the start of the service, and then its answer to the whole sample: 120
unless it says otherwise. A machine of two cores takes some six seconds for all of it, and took
44 when it was busy and nothing was compiled.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.registry import Registry
from windtunnel.deployment.replay import certify
from windtunnel.deployment.replay_window import ReplayWindow

PATIENCE = float(os.environ.get("SMOKE_SECONDS", "120"))


def request_of(window: ReplayWindow) -> dict[str, Any]:
    """The replay sample as a prediction request, every bar of the window to be decided on."""
    panel = window.panel
    bar, instrument = np.nonzero(panel.listed)
    columns: dict[str, Any] = {
        "timestamp": [f"{stamp}Z" for stamp in panel.timestamps[bar]],
        "symbol": [panel.symbols[i] for i in instrument],
    }
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = getattr(panel, name)[bar, instrument].tolist()
    return {"bars": columns, "since": f"{panel.timestamps[window.first]}Z"}


def arrays_of(answer: dict[str, Any], window: ReplayWindow) -> tuple[Any, Any]:
    """Scores and exposures (T, N) of an answer; NaN where it has none."""
    scores = np.full(window.scores.shape, np.nan, np.float32)
    exposures = np.full(window.exposures.shape, np.nan)
    rows = {stamp: t for t, stamp in enumerate(window.panel.timestamps[window.first :])}
    columns = {symbol: n for n, symbol in enumerate(window.panel.symbols)}
    for decision in answer["decisions"]:
        stamp = np.datetime64(decision["timestamp"].removesuffix("Z"), "us")
        place = rows[stamp], columns[decision["symbol"]]
        for array, name in ((scores, "score"), (exposures, "exposure")):
            if decision[name] is not None:
                array[place] = decision[name]
    return scores, exposures


def call(url: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON that a URL answers with; an HTTP error carries what the service said."""
    request = urllib.request.Request(  # noqa: S310 - the service that this script started
        url,
        None if body is None else json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - the same
        return json.load(answer)


def wait_until_ready(url: str, service: subprocess.Popen[bytes]) -> None:
    """Return once ``/readyz`` answers 200."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if service.poll() is not None:
            raise SystemExit(f"the service ended with {service.returncode} before it was ready")
        try:
            call(f"{url}/readyz")
        except urllib.error.HTTPError as error:
            told = error.read().decode(errors="replace")
            if "could not be loaded" in told:
                raise SystemExit(f"the service refuses the bundle: {told}") from None
            time.sleep(0.2)
        except OSError:  # it does not listen yet
            time.sleep(0.2)
        else:
            return
    raise SystemExit(
        f"the service was not ready after {PATIENCE:g} s; on a slow machine set SMOKE_SECONDS"
    )


def smoke(bundle: Path) -> str:
    """Serve the bundle, replay it, stop the service; the outcome in words.

    Raises
    ------
    SystemExit
        The service does not become ready, answers otherwise than the study, or does not end
        in order.
    """
    loaded = load_bundle(bundle)
    window = loaded.replay_window()
    with tempfile.TemporaryDirectory() as workspace, socket.socket() as free:
        registry = Registry(Path(workspace) / "registry", certify=lambda _: (True, "smoke test"))
        version = registry.register(bundle, note="smoke test")
        name = loaded.manifest.name
        registry.promote(name, version, why="smoke test", who="smoke test", force=True)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        # The service's own environment names the real registry; this one is on the command line.
        command = [sys.executable, "-m", "windtunnel", "serve", name, "--port", str(port)]
        command += ["--registry", f"{workspace}/registry"]
        service = subprocess.Popen(command)  # noqa: S603 - composed here
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", service)
            answer = call(f"http://127.0.0.1:{port}/v1/predict", request_of(window))
        finally:
            service.send_signal(signal.SIGTERM)
            code = service.wait(PATIENCE)
    scores, exposures = arrays_of(answer, window)
    certificate = certify(
        scores, exposures, window.scores, window.exposures, policy=loaded.manifest.policy
    )
    if not certificate.ok:
        raise SystemExit(f"over HTTP: {certificate.sentence}")
    if code != 0:
        raise SystemExit(f"the service ended with {code} on SIGTERM")
    return f"Over HTTP: {certificate.sentence}"


def main(arguments: list[str]) -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description="Serve a bundle and replay its sample.")
    parser.add_argument("bundle", help="folder of a bundle, or the name of a model")
    parser.add_argument("version", nargs="?", help="version or alias of the model")
    given = parser.parse_args(arguments)
    if given.version is None:
        bundle = Path(given.bundle)
    else:
        registry = Registry(os.environ["WINDTUNNEL_REGISTRY"])
        bundle = registry.local(registry.resolve(given.bundle, given.version))
    print(smoke(bundle))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
