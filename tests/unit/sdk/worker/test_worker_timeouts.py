"""Tasks that take longer than they may."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from tests.unit.sdk.memory import FAST, MemoryQueues, until, working
from tests.unit.sdk.worker import heavy
from tests.unit.sdk.worker.functions import Gate

from batuta import task
from batuta_core.model.event import TaskHandedBack
from batuta_core.model.execution import TaskStatus


def started_ago(ms: int) -> int:
    return int(time.time() * 1000) - ms


def test_a_coroutine_that_times_out_is_cancelled_and_fails(queues: MemoryQueues) -> None:
    ended: list[str] = []

    @task("slow")
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    queues.put("slow", timeout_s=1, started_ms=started_ago(960))
    with working(slow, queues=queues):
        result = until(queues.results)[0]
        until(lambda: queues.left() == 0)
    assert (result.status, result.reason) == (TaskStatus.FAILED, "the function ran longer than its timeout of 1 s")
    assert ended == ["cancelled"]


def test_the_server_may_judge_a_timeout_first(queues: MemoryQueues) -> None:
    """It knows the policy. A worker that stops meanwhile gives the task back instead of judging."""

    @task("slow")
    async def slow() -> None:
        await asyncio.sleep(60)

    queues.put("slow", timeout_s=1, started_ms=started_ago(960))
    with working(slow, queues=queues, timing=replace(FAST, timeout_grace_s=10.0), graceful_shutdown_s=0.0) as worker:
        until(lambda: worker.health().in_progress)
        time.sleep(0.1)
        assert queues.results() == []
        worker.stop()
    assert queues.results() == []
    assert queues.events(TaskHandedBack)


def test_a_plain_function_that_times_out_fails_and_keeps_its_place_until_it_ends(queues: MemoryQueues) -> None:
    gate = Gate()
    queues.put("gated", timeout_s=1, started_ms=started_ago(960))
    with working(gate.function(max_in_progress=1), queues=queues) as worker:
        assert until(queues.results)[0].status is TaskStatus.FAILED
        until(lambda: queues.left() == 0)
        queues.put("gated")
        time.sleep(0.05)
        assert gate.entered["gated"] == 1
        assert worker.health().in_progress == 1
        gate.opened.set()
        until(lambda: len(queues.results()) == 2)
    assert [result.status for result in queues.results()] == [TaskStatus.FAILED, TaskStatus.COMPLETED]  # the late result is dropped


def test_a_child_process_that_times_out_is_killed(queues: MemoryQueues) -> None:
    queues.put("sleep", timeout_s=1, started_ms=started_ago(900))
    with working(heavy.sleep, queues=queues) as worker:
        result = until(queues.results)[0]
        until(lambda: worker.health().in_progress == 0)
    assert result.reason == "the function ran longer than its timeout of 1 s"


def test_the_total_deadline_counts_too_and_a_task_that_is_over_is_not_begun(queues: MemoryQueues) -> None:
    gate = Gate()
    queues.put("gated", timeout_s=3600, total_deadline_ms=started_ago(-60))
    with working(gate.function(), queues=queues):
        assert "total time of all its attempts" in (until(queues.results)[0].reason or "")
        gate.opened.set()
        queues.put("gated", total_deadline_ms=started_ago(1))
        until(lambda: len(queues.results()) == 2)
    assert gate.entered["gated"] == 1
    assert "was over before" in (queues.results()[1].reason or "")
