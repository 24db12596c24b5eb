"""What the user is told without asking: the adapters in use, progress, and why there are no answers.

octod/status    notification after each answer {"state", "method", "adapters", "route", "model", "ms", "problem"}
logMessage      when the set of adapters in use changes, or the daemon goes or comes back
$/progress      for work in the daemon that takes longer than a moment
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from octod.core.answers import Ghost, Menu

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

__all__ = ["Status"]

Json = dict[str, Any]

_MOMENT = 0.3  # seconds a job runs before a progress bar shows
_CREATE = 5.0  # seconds the client may take to make a progress bar


class Status:
    """Tells one client; ``progress`` says whether it shows progress bars."""

    def __init__(self, server: LanguageServer, *, progress: bool) -> None:
        self._server, self._progress = server, progress
        self._adapters: tuple[str, ...] = ()
        self._jobs: dict[object, Json] = {}
        self._shown: set[object] = set()
        self._said: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def answered(self, method: str, answer: Menu | Ghost) -> None:
        """An answer went out: which adapters took part, how it was found, how long it took."""
        adapters = tuple(use.name for use in answer.adapters)
        self._notify(
            {
                "state": "ready",
                "method": method,
                "adapters": [{"name": use.name, "weight": use.weight} for use in answer.adapters],
                "route": answer.route if isinstance(answer, Menu) else answer.source,
                "model": answer.model if isinstance(answer, Menu) else answer.source == "model",
                "ms": answer.milliseconds,
                "problem": None,
            }
        )
        if set(adapters) != set(self._adapters):
            self._adapters = adapters
            named = ", ".join(f"{use.name} ({use.weight:.2g})" for use in answer.adapters)
            self._log(f"octod: adapters in use: {named}" if named else "octod: no adapter in use")

    def link(self, problem: str | None) -> None:
        """The daemon is there (None), or why it is not."""
        self._notify({"state": "ready" if problem is None else "off", "problem": problem})
        if problem is not None:
            self._log(f"octod: no daemon: {problem}", warning=True)
            self._said.clear()

    def problem(self, message: str) -> None:
        """Something an answer failed on; said once."""
        if message not in self._said and len(self._said) < 100:
            self._said.add(message)
            self._log(f"octod: {message}", warning=True)

    def job(self, job: Json) -> None:
        """A job's progress from the daemon: {"id", "name", "state", "share", "message", ...}."""
        number, running = job.get("id"), job.get("state") == "running"
        if not self._progress or not isinstance(number, int | str):
            return
        known = number in self._jobs
        if not known and not running:
            return
        self._jobs[number] = job
        if not known:
            self._spawn(self._show(number))
        elif number in self._shown:
            self._report(number)

    def stop(self) -> None:
        """Tell nothing any more."""
        for task in self._tasks:
            task.cancel()

    async def _show(self, number: object) -> None:
        from lsprotocol import types

        await asyncio.sleep(_MOMENT)
        if self._jobs[number].get("state") != "running":
            del self._jobs[number]
            return
        try:
            async with asyncio.timeout(_CREATE):
                await self._server.work_done_progress.create_async(f"octod/{number}")
        except Exception as error:  # noqa: BLE001 the client refused, or never answered: no bar then
            self._log(f"octod: no progress bar: {error}")
            del self._jobs[number]
            return
        job = self._jobs[number]
        begin = types.WorkDoneProgressBegin(
            title=str(job.get("name")), message=str(job.get("message", "")), percentage=_percent(job)
        )
        self._server.work_done_progress.begin(f"octod/{number}", begin)
        self._shown.add(number)
        if job.get("state") != "running":
            self._report(number)

    def _report(self, number: object) -> None:
        from lsprotocol import types

        job, token = self._jobs[number], f"octod/{number}"
        if job.get("state") == "running":
            report = types.WorkDoneProgressReport(
                message=str(job.get("message", "")), percentage=_percent(job)
            )
            self._server.work_done_progress.report(token, report)
            return
        message = f"{job.get('state')} {job.get('message', '')}".strip()
        self._server.work_done_progress.end(token, types.WorkDoneProgressEnd(message=message))
        self._server.work_done_progress.tokens.pop(token, None)
        del self._jobs[number]
        self._shown.discard(number)

    def _notify(self, params: Json) -> None:
        self._server.protocol.notify("octod/status", params)

    def _log(self, message: str, *, warning: bool = False) -> None:
        from lsprotocol import types

        kind = types.MessageType.Warning if warning else types.MessageType.Info
        self._server.window_log_message(types.LogMessageParams(type=kind, message=message))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _percent(job: Json) -> int | None:
    share = job.get("share")
    return round(100 * share) if isinstance(share, float | int) else None
