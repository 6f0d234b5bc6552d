"""wrk, a load generator in C, and what it found."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WRK = shutil.which("wrk")

# Bodies are used in turn, so that nothing can be answered from memory.
_SCRIPT = """
local requests, n, i = {}, %(count)d, 0
for k = 1, n do
  local file = io.open(string.format("%(directory)s/%%d", k), "rb")
  local body = file:read("*all")
  file:close()
  requests[k] = wrk.format("POST", "/v1/predict", {["Content-Type"] = "%(kind)s"}, body)
end
request = function()
  i = i %% n + 1
  return requests[i]
end
done = function(summary, latency)
  io.write(string.format(
    '\\n{"p50": %%f, "p99": %%f, "requests": %%d, "micros": %%d, "failed": %%d}\\n',
    latency:percentile(50), latency:percentile(99), summary.requests, summary.duration,
    summary.errors.connect + summary.errors.read + summary.errors.write
      + summary.errors.status + summary.errors.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """Latency in microseconds, requests a second."""

    p50: float
    p99: float
    rate: float


def script(directory: Path, bodies: Sequence[bytes], content_type: str) -> Path:
    """A script for wrk that sends `bodies` in turn."""
    directory.mkdir(parents=True)
    for number, body in enumerate(bodies, 1):
        (directory / str(number)).write_bytes(body)
    path = directory / "script.lua"
    fields = {"count": len(bodies), "directory": directory, "kind": content_type}
    path.write_text(_SCRIPT % fields)
    return path


def load(port: int, path: Path, *, connections: int, seconds: float) -> Load:
    """Put load on a service; every answer must have been a good one."""
    command = [
        str(WRK), "--threads", "1", "--connections", str(connections),
        "--duration", f"{seconds:g}s", "--script", str(path), f"http://127.0.0.1:{port}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["failed"] == 0, done.stdout
    return Load(found["p50"], found["p99"], found["requests"] / (found["micros"] / 1e6))
