"""Spread a compiled kernel over lanes: configurations, splits or resamples.

Kernels are compiled without Numba's own threads and release the GIL, so that they may be
called from any thread (Numba's fallback threading layer ends the process when two threads
enter it) and so that results cannot depend on how many threads there are.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba


def over_lanes(
    kernel: Callable[[int, int], object], lanes: int, *, width: int, threads: int | None = None
) -> None:
    """Call `kernel(start, stop)` on half-open ranges that cover `lanes` once.

    Parameters
    ----------
    kernel : callable
        Must release the GIL and write only what belongs to its own lanes.
    lanes : int
        How many there are; nothing is called for zero.
    width : int
        Ranges begin at multiples of this (a kernel's tile).
    threads : int, optional
        At most this many; by default as many as Numba would use (processors that this
        process may use, or NUMBA_NUM_THREADS).
    """
    tiles = -(-lanes // width)
    workers = min(threads or int(vars(numba.config)["NUMBA_NUM_THREADS"]), tiles)
    if workers <= 1:
        if lanes:
            kernel(0, lanes)
        return
    edges = [min(lanes, width * (tiles * part // workers)) for part in range(workers + 1)]
    with ThreadPoolExecutor(workers) as pool:
        # Listing the results re-raises what a kernel raised.
        list(pool.map(kernel, edges[:-1], edges[1:]))
