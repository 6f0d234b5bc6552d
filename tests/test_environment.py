"""What decides the bits of a result, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys


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
