"""Which devices JAX computes on, set up before it starts, and what they are.

JAX sees a CPU as one device. Lanes are spread over devices, so the CPU is presented as
one device a core; nothing else about JAX is changed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from windtunnel.errors import TrainingError
from windtunnel.trainers.arrays import LANES

_DEVICE_COUNT = "--xla_force_host_platform_device_count"


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cache_directory() -> Path:
    """Where compiled programs are kept between processes.

    `jax` below `$WINDTUNNEL_CACHE`; without it below `$XDG_CACHE_HOME/windtunnel`, and
    without that below `~/.cache/windtunnel`.
    """
    chosen = os.environ.get("WINDTUNNEL_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "jax"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "windtunnel" / "jax"


def configure_cpu() -> None:
    """Present the CPU as one device a core and keep compiled programs on disk.

    Call it before JAX is first used. A user's own `XLA_FLAGS` and
    `JAX_COMPILATION_CACHE_DIR` stay as they are. Where JAX has started already its devices
    stay as they are too, and training uses what there is: results do not depend on the
    number of devices. A cache directory that cannot be written is done without.
    """
    if not os.environ.get("XLA_FLAGS") and not _started():
        os.environ["XLA_FLAGS"] = f"{_DEVICE_COUNT}={cores()}"
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        directory = cache_directory()
        with contextlib.suppress(OSError):
            directory.mkdir(parents=True, exist_ok=True)
        if os.access(directory, os.W_OK):
            _set("jax_compilation_cache_dir", str(directory))
    # The small ones too: a second run of a study compiles nothing.
    _set("jax_persistent_cache_min_compile_time_secs", 0.0)
    _set("jax_persistent_cache_min_entry_size_bytes", -1)


def choose(name: str) -> list[Any]:
    """Devices of this process that `training.device` names: 'auto', 'cpu' or 'cuda'.

    Raises
    ------
    TrainingError
        JAX has no such device.
    """
    import jax  # noqa: PLC0415 - must come after `configure_cpu`

    if name == "auto":
        return list(jax.local_devices())
    try:
        return list(jax.local_devices(backend=name))
    except RuntimeError as error:
        raise TrainingError(
            f"training.device: JAX has no {name!r} device: {str(error)[:120]}",
            "Install windtunnel[cuda] on a machine with an NVIDIA GPU, or set device to 'auto'",
        ) from None


def describe() -> dict[str, str]:
    """What decides the bits of a result besides data, study and code; starts JAX.

    `lanes` is the chunk that configurations are trained in.
    """
    import jax  # noqa: PLC0415 - must come after `configure_cpu`

    devices = jax.local_devices()
    return {
        "jax": jax.__version__,
        "jaxlib": metadata.version("jaxlib"),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "lanes": str(LANES),
    }


def _set(option: str, value: Any) -> None:
    """Set a JAX option by environment, or in the running JAX where it is imported already.

    The environment is what child processes see; a user's own setting there wins.
    """
    name = option.upper()
    if name in os.environ:
        return
    os.environ[name] = str(value)
    if "jax" in sys.modules:
        sys.modules["jax"].config.update(option, value)


def _started() -> bool:
    """Whether JAX has opened its devices, after which flags are no longer read."""
    if "jax" not in sys.modules:
        return False
    bridge = sys.modules.get("jax._src.xla_bridge")
    probe = getattr(bridge, "backends_are_initialized", None)
    return bool(probe()) if callable(probe) else True
