"""Parts of a cohort shared out over a Ray cluster: few long-lived workers, placed by Ray Tune.

A Tune trial costs a second or more to place, a call of an actor a millisecond. So each Tune
trial is a worker that stays for the whole study and takes part after part from one queue. A
worker that dies is started again by Tune; the part that it had goes back into the queue. What
is told, and in which order, is decided by the process that carries the study out.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from windtunnel.assessor import Assessor, Past
from windtunnel.errors import RunError, TrainingError
from windtunnel.ray_board import Board
from windtunnel.rungs import Assessed
from windtunnel.validation import Params

PAUSE = 0.05  # seconds between two looks at the queue


@dataclass
class RayWorkers:
    """Has parts assessed by workers on a Ray cluster; a `campaign.Executor`.

    Attributes
    ----------
    make : callable
        Makes the assessor; called once in every worker.
    workers : int
        Tune trials, one processor each.
    address : str or None
        The cluster; a local one is started when None.
    folder : Path
        Where Tune keeps its notes.
    """

    make: Callable[[], Assessor]
    workers: int
    address: str | None
    folder: Path
    _board: Any = None
    _thread: threading.Thread | None = None
    _started: bool = False
    _trouble: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Self:
        try:
            import ray  # noqa: PLC0415 - an extra
        except ImportError:
            raise RunError(
                "tuning.executor: 'ray' is not installed",
                "Install it with `pip install 'windtunnel[ray]'`",
            ) from None
        if not ray.is_initialized():
            ray.init(
                self.address,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                num_cpus=self.workers + 1 if self.address is None else None,
            )
            self._started = True
        self._board = ray.remote(num_cpus=0)(Board).remote()
        self._thread = threading.Thread(target=self._place, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import ray  # noqa: PLC0415 - an extra

        ray.get(self._board.close.remote())
        if self._thread is not None:
            self._thread.join(timeout=30)
        if self._started:
            ray.shutdown()

    def assess(self, parts: Sequence[Sequence[Params]], cohort: int, past: Past) -> list[Assessed]:
        """Have the parts assessed, in whatever order, and give them back in theirs.

        Raises
        ------
        TrainingError
            The workers are gone, and Ray does not bring them back.
        """
        import ray  # noqa: PLC0415 - an extra

        tasks = [([dict(point) for point in part], cohort, past) for part in parts]
        ray.get(self._board.want.remote(tasks))
        while True:
            done, errors = ray.get(self._board.state.remote())
            if errors:
                raise errors[0]
            if done == len(parts):
                found = ray.get(self._board.collect.remote())
                return [found[place] for place in range(len(parts))]
            if self._thread is None or not self._thread.is_alive():
                raise TrainingError(
                    f"tuning.executor: the Ray workers ended ({self._trouble or 'no reason'})",
                    "Look at the cluster, then `windtunnel resume` the run",
                )
            time.sleep(PAUSE)

    def pids(self) -> dict[str, int]:
        """Process of every worker, by name."""
        import ray  # noqa: PLC0415 - an extra

        found: dict[str, int] = ray.get(self._board.pids.remote())
        return found

    def _place(self) -> None:
        """Run the workers as trials of Tune until the board is closed."""
        from ray import tune  # noqa: PLC0415 - an extra

        try:
            tune.Tuner(
                tune.with_resources(
                    tune.with_parameters(_work, board=self._board, make=self.make), {"cpu": 1}
                ),
                param_space={"worker": tune.grid_search([f"w{at}" for at in range(self.workers)])},
                run_config=tune.RunConfig(
                    name="workers",
                    storage_path=str(self.folder.absolute()),
                    failure_config=tune.FailureConfig(max_failures=-1),
                    verbose=0,
                ),
            ).fit()
        except BaseException as error:  # noqa: BLE001 - shown by `assess`, which waits
            self._trouble.append(error)


def _work(config: dict[str, Any], board: Any, make: Callable[[], Assessor]) -> None:
    """A worker: takes parts until it is sent home."""
    import ray  # noqa: PLC0415 - an extra
    from ray import tune  # noqa: PLC0415 - an extra

    worker, pid = config["worker"], os.getpid()
    ray.get(board.enter.remote(worker, pid))
    assessor = make()
    done = 0
    while True:
        order, task = ray.get(board.take.remote(worker, pid))
        if order == "end":
            break
        if order == "wait":
            time.sleep(PAUSE)
            continue
        place, (params, cohort, past) = task
        try:
            found = assessor.assess(params, cohort, past)
        except Exception as error:  # noqa: BLE001 - raised again where the study is carried out
            ray.get(board.fail.remote(error))
            break
        ray.get(board.give.remote(worker, place, found))
        done += 1
    tune.report({"parts": done, "life": uuid.uuid4().hex})
