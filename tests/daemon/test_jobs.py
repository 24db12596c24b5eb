"""Jobs tell of their beginning and end, of what is between at most five times a second."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from octod.daemon.jobs import Jobs, Report


def test_begin_end_and_the_newest_between_are_told() -> None:
    """A hundred reports in a moment become one or two notifications; the last state is always told."""

    async def play() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        jobs = Jobs(lambda method, params: told.append(params), interval=0.05)

        async def work(report: Report) -> int:
            for number in range(100):
                report(number / 100, f"{number}")
            await asyncio.sleep(0.12)
            return 7

        assert 7 == await jobs.start("index", work)
        assert ("done", 1.0) == (jobs.listing()[0]["state"], jobs.listing()[0]["share"])
        return told

    told = asyncio.run(play())
    assert ("running", None) == (told[0]["state"], told[0]["share"])
    assert ("done", 1.0) == (told[-1]["state"], told[-1]["share"])
    assert "99" == told[-2]["message"]
    assert len(told) <= 4


def test_reports_may_come_from_any_thread() -> None:
    """A thread's report is told by the loop."""

    async def play() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        jobs = Jobs(
            lambda method, params: told.append({**params, "thread": threading.current_thread()}), interval=0
        )

        async def work(report: Report) -> None:
            await asyncio.to_thread(report, 0.5, "half")
            await asyncio.sleep(0.02)

        await jobs.start("index", work)
        return told

    told = asyncio.run(play())
    assert [None, 0.5, 1.0] == [params["share"] for params in told]
    assert {threading.main_thread()} == {params["thread"] for params in told}


def test_a_failed_job_says_why_and_a_cancelled_one_that_it_was() -> None:
    """How a job ended stays in the listing."""

    async def play() -> list[tuple[str, str]]:
        jobs = Jobs(lambda method, params: None)

        async def fails(report: Report) -> None:
            raise ValueError("no space")

        async def waits(report: Report) -> None:
            await asyncio.sleep(60)

        failing, waiting = jobs.start("train", fails), jobs.start("index", waits)
        with pytest.raises(ValueError, match="no space"):
            await failing
        await jobs.stop()
        assert waiting.cancelled()
        return [(job["state"], job["message"]) for job in jobs.listing()]

    assert [("failed", "no space"), ("cancelled", "")] == asyncio.run(play())


def test_only_the_last_ended_jobs_are_listed() -> None:
    """A daemon that runs for weeks does not collect jobs."""

    async def play() -> int:
        jobs = Jobs(lambda method, params: None)

        async def work(report: Report) -> None:
            report(1.0, "")

        for _ in range(50):
            await jobs.start("index", work)
        return len(jobs.listing())

    assert 20 == asyncio.run(play())
