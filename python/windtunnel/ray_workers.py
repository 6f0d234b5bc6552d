"""Parts of a cohort shared out over a Ray cluster: few long-lived workers, placed by Ray Tune.

A Tune trial costs a second or more to place, a call of an actor a millisecond. So each Tune
trial is a worker that stays for the whole study and takes part after part from one queue. A
worker that dies is started again by Tune; the part that it had goes back into the queue, as
does that of a worker that gives no sign of life. What is told, and in which order, is decided
by the process that carries the study out, which waits for nobody without an end.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from windtunnel.assessor import Assessor, Past
from windtunnel.errors import RunError, TrainingError
from windtunnel.ray_board import GRACE, Board, Standing
from windtunnel.rungs import Assessed
from windtunnel.validation import Params

PAUSE = 0.02  # seconds between two looks at the queue
FAREWELL = 30.0  # seconds that the workers have to go home
BEAT = 2.0  # seconds between two signs of life of a worker that is busy
# Seconds without a sign of life of anybody after which a search is given up. A cluster that
# has to start machines first takes minutes.
PATIENCE = 600.0


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
    grace, patience : float
        As `ray_board.GRACE` and `PATIENCE`.
    """

    make: Callable[[], Assessor]
    workers: int
    address: str | None
    folder: Path
    grace: float = GRACE
    patience: float = PATIENCE
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
            # Ray would make its workers nicer than any other process; on a cluster of its own
            # the study is to run as it does without Ray, unless the user wants it otherwise.
            own = self.address is None and "RAY_worker_niceness" not in os.environ
            ray.init(
                self.address,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                num_cpus=self.workers + 1 if self.address is None else None,
                _system_config={"worker_niceness": 0} if own else None,
            )
            self._started = True
        self._board = ray.remote(num_cpus=0)(Board).remote(self.grace)
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

        with contextlib.suppress(ray.exceptions.RayError):  # a cluster that is gone is left alone
            ray.get(self._board.close.remote(), timeout=FAREWELL)
        if self._thread is not None:
            self._thread.join(timeout=FAREWELL)
        if self._started:
            ray.shutdown()

    def assess(self, parts: Sequence[Sequence[Params]], cohort: int, past: Past) -> list[Assessed]:
        """Have the parts assessed, in whatever order, and give them back in theirs.

        Raises
        ------
        TrainingError
            The workers are gone, and Ray does not bring them back; or nobody answers.
        """
        self._ask("want", [([dict(point) for point in part], cohort, past) for part in parts])
        while True:
            standing: Standing = self._ask("state")
            if standing.errors:
                raise standing.errors[0]
            if standing.done == len(parts):
                found = self._ask("collect")
                return [found[place] for place in range(len(parts))]
            if self._thread is None or not self._thread.is_alive():
                raise _gone(f"the Ray workers ended ({self._trouble or 'no reason'})")
            if standing.silence > self.patience:
                raise _gone(f"no Ray worker gave a sign of life for {standing.silence:.0f} s")
            time.sleep(PAUSE)

    def pids(self) -> dict[str, int]:
        """Process of every worker, by name."""
        found: dict[str, int] = self._ask("pids")
        return found

    def _ask(self, method: str, *arguments: Any) -> Any:
        """What the board says."""
        import ray  # noqa: PLC0415 - an extra

        try:
            return ray.get(getattr(self._board, method).remote(*arguments), timeout=self.patience)
        except ray.exceptions.RayError as error:
            raise _gone(f"the Ray cluster does not answer ({type(error).__name__})") from error

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
    home = threading.Event()

    def beat() -> None:
        while not home.wait(BEAT):
            board.beat.remote(worker, pid)

    threading.Thread(target=beat, daemon=True).start()
    done = 0
    try:
        assessor = make()
        while True:
            order, task = ray.get(board.take.remote(worker, pid))
            if order == "end":
                break
            if order == "wait":
                time.sleep(PAUSE)
                continue
            ticket, (params, cohort, past) = task
            ray.get(board.give.remote(worker, ticket, assessor.assess(params, cohort, past)))
            done += 1
    except ray.exceptions.RayError:  # the board is gone: Tune decides what becomes of this worker
        raise
    except Exception as error:  # noqa: BLE001 - raised again where the study is carried out
        ray.get(board.fail.remote(error))
    finally:
        home.set()
    tune.report({"parts": done})


def _gone(problem: str) -> TrainingError:
    return TrainingError(
        f"tuning.executor: {problem}", "Look at the cluster, then `windtunnel resume` the run"
    )
