"""From an empty process to the first prediction, against importing jax alone."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from windtunnel.deployment.registry import Registry

sys.path.insert(0, str(Path(__file__).parent))
import wide_bundle

ROUNDS = 5
IMPORT = "import jax"
PREDICT = """
import sys
from pathlib import Path
from windtunnel.deployment.bundle import load_bundle
import numpy as np
score = load_bundle(Path(sys.argv[1])).score(np.zeros((1, 64), np.float32))
assert np.isfinite(score).all()
"""
READY = """
import sys
from windtunnel.serving import apart
from windtunnel.serving.app import create_app
apart.share_compilations()
app = create_app(sys.argv[1])
assert app.state.follower.look()
"""


def test_cold_start(tmp_path, benchmark):
    bundle, _, _ = wide_bundle.export(tmp_path / "bundle")
    registry = Registry(tmp_path / "registry")
    registry.promote("wide", registry.register(bundle, note="bench"), why="bench", force=True)
    programs = {
        "import jax": (IMPORT,),
        "first prediction of a bundle": (PREDICT, str(bundle)),
        "service loaded, replayed, warm": (READY, registry.location),
    }
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    seconds = {name: [] for name in programs}
    for turn in range(ROUNDS + 1):  # the first fills caches
        for name, arguments in programs.items():
            begin = os.times().elapsed
            subprocess.run(  # noqa: S603 - programs of this file
                [sys.executable, "-c", *arguments], check=True, env=environment
            )
            if turn:
                seconds[name].append(os.times().elapsed - begin)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"  {name:32s} {value:6.2f} s  {value / medians['import jax']:5.2f}x")
    benchmark.extra_info |= medians
    benchmark.pedantic(lambda: None, rounds=1)
