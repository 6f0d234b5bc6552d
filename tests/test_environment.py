"""What decides the bits of a result, and what does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import windtunnel
from windtunnel import environment


def decisive(flags: str) -> str:
    code = (
        "import json\n"
        "from windtunnel import environment\n"
        "from windtunnel.trainers import devices\n"
        "devices.configure_cpu()\n"
        "print(json.dumps(environment.decisive(), sort_keys=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_number_of_devices_is_no_reason_to_refuse_and_other_flags_are() -> None:
    one = decisive("--xla_force_host_platform_device_count=1")
    assert one == decisive("--xla_force_host_platform_device_count=3")
    assert one != decisive("--xla_cpu_enable_fast_math=true")
    assert '"jaxlib"' in one


def test_another_code_under_the_same_version_is_another_environment(tmp_path: Path) -> None:
    """Code that is updated between a crash and a resume must not mix two programs' trials."""
    copy = shutil.copytree(Path(windtunnel.__file__).parent, tmp_path / "windtunnel")
    ask = "from windtunnel import environment as e; print(e.versions()['code'], e.__file__)"

    def code() -> str:
        done = subprocess.run(
            [sys.executable, "-c", ask],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        digest, file = done.stdout.split()
        assert Path(file).is_relative_to(tmp_path)
        return digest

    before = code()
    assert before == environment.versions()["code"] == code()
    source = copy / "labels.py"
    source.write_text(source.read_text() + "# changed\n")
    assert code() != before
