"""A pool of worker processes that outlives its workers: a task that kills one is passed over with a reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from octod.indexer.work import prepare

__all__ = ["default_processes", "run_tasks"]

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 4  # tasks handed out per worker before their results are taken, so that results do not pile up


def default_processes() -> int:
    """One worker per core that this process may use, at most eight."""
    return max(1, min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


def run_tasks(
    function: Callable[[T], R], tasks: Sequence[T], processes: int
) -> Iterator[tuple[int, R | None, str]]:
    """(number of the task, result, "") as tasks finish; (number, None, reason) for one that failed or killed its worker.

    With ``processes`` of 0 the tasks run in this process.  Workers are spawned, so no state and no lock of this
    process is copied into them.
    """
    if processes < 1:
        for number, task in enumerate(tasks):
            yield _tried(function, number, task)
        return
    waiting = list(range(len(tasks)))
    suspects: list[int] = []
    while waiting:
        broken = yield from _round(function, tasks, waiting, suspects, processes)
        if not broken:
            break
    for number in suspects:
        # Whatever was under way when a worker died gets a worker of its own: the culprit falls alone.
        left, lost = [number], list[int]()
        yield from _round(function, tasks, left, lost, 1)
        for dead in lost:
            yield dead, None, "its worker process died"


def _round(
    function: Callable[[T], R], tasks: Sequence[T], waiting: list[int], lost: list[int], processes: int
) -> Generator[tuple[int, R | None, str], None, bool]:
    """Run tasks off ``waiting`` until done or until a worker dies (returns True); those then under way
    move to ``lost``."""
    running: dict[Future[R], int] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=prepare) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < processes * _AHEAD:
                    number = waiting.pop(0)
                    running[pool.submit(function, tasks[number])] = number
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        raise
                    except Exception as error:  # noqa: BLE001  # a worker's error is data here: it is told as a reason
                        yield running.pop(future), None, f"{type(error).__name__}: {error}"
                        continue
                    yield running.pop(future), result, ""
        except BrokenProcessPool:
            lost += running.values()
            return True
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return False


def _tried(function: Callable[[T], R], number: int, task: T) -> tuple[int, R | None, str]:
    try:
        return number, function(task), ""
    except Exception as error:  # noqa: BLE001  # as in a worker process: told as a reason
        return number, None, f"{type(error).__name__}: {error}"
