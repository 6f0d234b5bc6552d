"""A run says what it compiled, and where the cache is warm that is nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# JAX's events are counted from before the study to after it, not by the run's own word alone.
CODE = """
import json, sys
from rich.console import Console
from windtunnel.cli.progress import ProgressDisplay
from windtunnel.experiments import Study
from windtunnel.trainers import compiling, devices

devices.configure_cpu()
with compiling.counted() as count, ProgressDisplay(Console(file=sys.stderr, width=200)) as shown:
    result = Study.from_toml(sys.argv[1]).run(sys.argv[2], observers=[shown])
page = (result.run.path / "report.html").read_text(encoding="utf-8")
print(json.dumps({
    "whole": count.figures,
    "recorded": result.run.compilation(),
    "figures": result.figures["compilation"],
    "told": f"The search compiled {result.run.compilation()['compiled']} programs" in page,
    "trials": result.trials["objective"].to_list(),
}))
"""


def carry_out(study: Path, workspace: Path, cache: Path) -> tuple[dict[str, Any], str]:
    # The directory that tests share would win: this process may have named it to JAX.
    inherited = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(study), str(workspace)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**inherited, "WINDTUNNEL_CACHE": str(cache)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_a_second_run_compiles_nothing(tmp_path: Path, write_study: Callable[..., Path]) -> None:
    study = write_study(tmp_path, steps=5)
    cold, said = carry_out(study, tmp_path / "one", tmp_path / "cache")
    recorded = cold["recorded"]
    assert recorded["compiled"] > 0
    assert recorded["seconds"] > 0
    assert cold["figures"] == recorded
    assert cold["told"]
    assert f"{recorded['compiled']} programs compiled, {recorded['read']} read from" in said

    warm, said = carry_out(study, tmp_path / "two", tmp_path / "cache")
    assert warm["whole"]["compiled"] == 0, warm
    assert warm["whole"]["read"] == cold["whole"]["compiled"] + cold["whole"]["read"]
    assert warm["recorded"]["compiled"] == 0
    assert "0 programs compiled" in said
    assert warm["trials"] == cold["trials"]
