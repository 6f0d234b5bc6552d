"""From an empty process to the first prediction, against importing jax alone."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from windtunnel.deployment.registry import Registry

sys.path.insert(0, str(Path(__file__).parent))
import wide_bundle

ROUNDS = 5
IMPORT = """
import jax
print("done", flush=True)
"""
PREDICT = """
import sys
from pathlib import Path
from windtunnel.serving.start import share_compilations, uncollected
share_compilations()
with uncollected():
    from windtunnel.deployment.bundle import load_bundle
    import numpy as np
    score = load_bundle(Path(sys.argv[1])).score(np.zeros((1, 64), np.float32))
assert np.isfinite(score).all()
print("done", flush=True)
"""
# The same without what serving does to start quickly.
PLAIN = """
import sys
from pathlib import Path
from windtunnel.deployment.bundle import load_bundle
import numpy as np
score = load_bundle(Path(sys.argv[1])).score(np.zeros((1, 64), np.float32))
assert np.isfinite(score).all()
print("done", flush=True)
"""
READY = """
import sys
from windtunnel.serving.start import share_compilations, uncollected
share_compilations()
with uncollected():
    from windtunnel.serving.app import create_app
    app = create_app(sys.argv[1])
    assert app.state.follower.look()
print("done", flush=True)
"""


def _until_done(command: list[str], environment: dict[str, str]) -> float:
    """Seconds until the program says that it is done; how it ends is its own business."""
    begin = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - programs of this file
        command, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        elapsed = time.perf_counter() - begin
    assert said == "done\n"
    assert process.returncode == 0
    return elapsed


def test_cold_start(tmp_path, benchmark):
    bundle, _, _ = wide_bundle.export(tmp_path / "bundle")
    registry = Registry(tmp_path / "registry")
    registry.promote("wide", registry.register(bundle, note="bench"), why="bench", force=True)
    programs = {
        "import jax": (IMPORT,),
        "first prediction": (PREDICT, str(bundle)),
        "first prediction, nothing kept": (PLAIN, str(bundle)),
        "service loaded, replayed, warm": (READY, registry.location),
    }
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    seconds = {name: [] for name in programs}
    for turn in range(ROUNDS + 1):  # the first fills caches
        for name, arguments in programs.items():
            seconds_here = _until_done([sys.executable, "-c", *arguments], environment)
            if turn:
                seconds[name].append(seconds_here)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"  {name:32s} {value:6.2f} s  {value / medians['import jax']:5.2f}x")
    base = medians["import jax"]
    benchmark.extra_info |= medians
    benchmark.extra_info |= {f"{name}, to import jax": v / base for name, v in medians.items()}
    benchmark.pedantic(lambda: None, rounds=1)
