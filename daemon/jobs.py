"""Work in the background that a user may want to see: a name, a share done, a message."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

from octod.daemon.protocol import Notify

__all__ = ["Job", "Jobs", "Report"]

log = logging.getLogger("octod.daemon")

Report = Callable[[float | None, str], None]
State = Literal["running", "done", "failed", "cancelled"]
T = TypeVar("T")

_KEPT = 20  # finished jobs that a status still lists


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work; ``share`` is 0..1, None where it is not known; ``seconds`` so far, or in all."""

    id: int
    name: str
    state: State = "running"
    share: float | None = None
    message: str = ""
    seconds: float = 0.0


class Jobs:
    """Runs jobs on the running event loop and tells of their progress, at most five times a second.

    Begin and end of a job are always told; of what is reported between them the newest is, once its turn comes.
    """

    def __init__(
        self, notify: Notify, *, clock: Callable[[], float] = time.monotonic, interval: float = 0.2
    ) -> None:
        self._notify, self._clock, self._interval = notify, clock, interval
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[int, Job] = {}
        self._begun: dict[int, float] = {}
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._untold: set[int] = set()
        self._told_at = float("-inf")
        self._turn: asyncio.TimerHandle | None = None
        self._last = 0

    def start(self, name: str, work: Callable[[Report], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Run ``work(report)``; ``report(share, message)`` may be called from any thread."""
        self._last += 1
        number = self._last
        self._jobs[number] = Job(number, name)
        self._begun[number] = self._clock()
        self._tell(number)

        def report(share: float | None, message: str = "") -> None:
            self._loop.call_soon_threadsafe(self._update, number, share, message)

        task = self._loop.create_task(self._run(number, work(report)))
        self._tasks[number] = task
        return task

    def listing(self) -> list[dict[str, Any]]:
        """The jobs that run and the last ones that ended, as JSON objects, oldest first."""
        return [asdict(self._now(job)) for job in self._jobs.values()]

    async def stop(self) -> None:
        """Cancel what runs and wait for it to end."""
        if self._turn is not None:
            self._turn.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, number: int, work: Awaitable[T]) -> T:
        try:
            result = await work
        except asyncio.CancelledError:
            self._end(number, "cancelled", "")
            raise
        except Exception as error:
            log.exception("the job %r failed", self._jobs[number].name)
            self._end(number, "failed", str(error))
            raise
        self._end(number, "done", self._jobs[number].message)
        return result

    def _update(self, number: int, share: float | None, message: str) -> None:
        job = self._jobs.get(number)
        if job is None or job.state != "running":
            return
        share = None if share is None else min(max(share, 0.0), 1.0)
        self._jobs[number] = replace(job, share=share, message=message)
        self._untold.add(number)
        if self._turn is None:
            wait = max(0.0, self._told_at + self._interval - self._clock())
            self._turn = self._loop.call_later(wait, self._take_turn)

    def _take_turn(self) -> None:
        """Tell of one job; the others of this moment get the next turns."""
        self._turn = None
        if not self._untold:
            return
        number = min(self._untold)
        self._untold.discard(number)
        self._told_at = self._clock()
        self._tell(number)
        if self._untold:
            self._turn = self._loop.call_later(self._interval, self._take_turn)

    def _end(self, number: int, state: State, message: str) -> None:
        self._untold.discard(number)
        self._tasks.pop(number, None)
        job = self._now(self._jobs[number])
        self._jobs[number] = replace(
            job, state=state, message=message, share=1.0 if state == "done" else job.share
        )
        self._begun.pop(number, None)
        self._tell(number)
        ended = [n for n, job in self._jobs.items() if job.state != "running"]
        for old in ended[:-_KEPT]:
            del self._jobs[old]

    def _now(self, job: Job) -> Job:
        begun = self._begun.get(job.id)
        return job if begun is None else replace(job, seconds=round(self._clock() - begun, 3))

    def _tell(self, number: int) -> None:
        self._notify("progress", asdict(self._now(self._jobs[number])))
