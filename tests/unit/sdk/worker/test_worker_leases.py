"""How a worker holds its tasks, loses them, and meets them again."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.sdk.memory import FAST, STAGE, MemoryQueues, until, working
from tests.unit.sdk.worker.functions import Gate

from batuta import TaskContext, task
from batuta_core.model.error import Unavailable
from batuta_core.model.event import TaskHandedBack, TaskHeartbeat, TaskStarted
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import task_queue_name


def test_leases_are_renewed_while_a_function_runs(queues: MemoryQueues) -> None:
    gate = Gate()
    queues.put("gated")
    with working(gate.function(), queues=queues):
        until(lambda: gate.entered["gated"])
        for _ in range(4):
            queues.push_clock(25_000)
            count = queues.count("renew")
            until(lambda count=count: queues.count("renew") > count + 1)
        gate.opened.set()
        until(queues.results)
    assert gate.entered["gated"] == 1
    assert len(queues.results()) == 1


def lose_lease(queues: MemoryQueues) -> None:
    """What befalls a worker that hangs: its message becomes visible, and another worker takes it."""
    queues.before = lambda call, _queue, _items: _stall(call)
    queue = next(name for name in queues.simulated.task_queues() if "gated" in name or "watch" in name)
    queues.push_clock(31_000)
    taken = queues.simulated.receive(queue, 1, 0)
    queues.before = lambda call, _queue, _items: None
    assert taken


def _stall(call: str) -> None:
    if call in ("renew", "receive"):
        raise Unavailable("hangs")


def test_a_completion_after_a_lost_lease_is_reported_if_the_function_did_not_notice(
    queues: MemoryQueues, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    queues.put("gated")
    with working(gate.function(), queues=queues):
        until(lambda: gate.entered["gated"])
        lose_lease(queues)
        until(lambda: any("is lost" in message for message in caplog.messages))
        gate.opened.set()
        assert until(queues.results)[0].status is TaskStatus.COMPLETED


@pytest.mark.parametrize("ending", ["notices", "raises"])
def test_other_results_after_a_lost_lease_are_not_reported(queues: MemoryQueues, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    lost = threading.Event()

    @task("watch")
    def watch(context: TaskContext) -> str:
        if ending == "raises":
            assert lost.wait(10)
            raise ValueError("its connection broke")
        while not context.is_cancelled:
            time.sleep(0.001)
        said.append(context.cancelled_because)
        return "half of it"

    queues.put("watch")
    with working(watch, queues=queues):
        until(lambda: queues.count("renew"))
        lose_lease(queues)
        until(lambda: any("is lost" in message for message in caplog.messages))
        lost.set()
        until(lambda: any("is not reported" in message for message in caplog.messages))
    assert queues.results() == []
    assert said == (["its lease is lost"] if ending == "notices" else [])


def test_a_coroutine_is_cancelled_when_its_lease_is_lost(queues: MemoryQueues) -> None:
    ended: list[str] = []

    @task("watch")
    async def watch() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            return "swallowed"
        return "slept"

    queues.put("watch")
    with working(watch, queues=queues) as worker:
        until(lambda: queues.count("renew"))
        lose_lease(queues)
        until(lambda: ended)
        until(lambda: worker.health().in_progress == 0)
    assert queues.results() == []


def test_a_second_message_of_a_running_task_is_not_run_and_goes_with_the_first(queues: MemoryQueues) -> None:
    gate = Gate()
    message = queues.put("gated")
    with working(gate.function(), queues=queues):
        until(lambda: gate.entered["gated"])
        queues.put_text(task_queue_name(STAGE, "default", "gated"), message.to_text())
        until(lambda: queues.visible("gated") == 0)
        time.sleep(0.02)
        assert queues.left() == 2
        gate.opened.set()
        until(lambda: queues.left() == 0)
    assert gate.entered["gated"] == 1
    assert len(queues.results()) == 1


def test_a_later_call_that_arrives_while_the_function_runs_is_answered_by_its_result(queues: MemoryQueues) -> None:
    """Somebody made the server send the task again. Both messages go, so the result must count for the later one."""
    gate = Gate()
    message = queues.put("gated")
    with working(gate.function(), queues=queues):
        until(lambda: gate.entered["gated"])
        queues.put_text(task_queue_name(STAGE, "default", "gated"), replace(message, call=1).to_text())
        until(lambda: queues.visible("gated") == 0)
        time.sleep(0.02)
        gate.opened.set()
        until(lambda: queues.left() == 0)
    assert [result.call for result in queues.results()] == [1]
    assert gate.entered["gated"] == 1


def test_a_message_that_comes_back_to_its_own_worker_is_held_again(queues: MemoryQueues) -> None:
    gate = Gate()
    queues.put("gated")
    with working(gate.function(), queues=queues):
        until(lambda: gate.entered["gated"])
        queues.before = lambda call, _queue, _items: _stall(call) if call == "renew" else None
        queues.push_clock(31_000)  # visible again, and this worker polls
        until(lambda: queues.visible("gated") == 0)
        queues.before = lambda call, _queue, _items: None
        gate.opened.set()
        until(lambda: queues.left() == 0)
    assert gate.entered["gated"] == 1
    assert len(queues.results()) == 1


def test_a_finished_task_whose_deletion_failed_is_deleted_when_it_comes_again_and_not_run(queues: MemoryQueues) -> None:
    runs: list[int] = []

    @task("once")
    def once() -> None:
        runs.append(1)

    def trouble(call: str, _queue: str, _items: Any) -> None:
        if call == "delete":
            raise Unavailable("no network")

    queues.before = trouble
    queues.put("once")
    with working(once, queues=queues):
        until(queues.results)
        until(lambda: queues.count("delete") >= 6)
        queues.before = lambda call, _queue, _items: None
        queues.push_clock(31_000)
        until(lambda: queues.left() == 0)
    assert runs == [1]


def test_a_task_that_takes_longer_than_sqs_allows_moves_to_the_journal(queues: MemoryQueues) -> None:
    gate = Gate()
    queues.put("gated")
    timing = replace(FAST, hold_max_s=0.08, leased_heartbeat_s=0.02, started_after_s=0.01)
    with working(gate.function(), queues=queues, timing=timing):
        until(lambda: queues.left() == 0)
        assert queues.results() == []
        until(lambda: len(queues.events(TaskHeartbeat)) >= 2)
        gate.opened.set()
        until(queues.results)
    began = queues.events(TaskStarted)
    assert [event.is_leased for event in began] == [False, True]
    assert gate.entered["gated"] == 1


def test_a_task_leased_in_the_journal_that_is_sent_again_is_held_by_its_message_again(queues: MemoryQueues) -> None:
    gate = Gate()
    message = queues.put("gated")
    with working(gate.function(), queues=queues, timing=replace(FAST, hold_max_s=0.05)):
        until(lambda: queues.left() == 0)
        queues.put_text(task_queue_name(STAGE, "default", "gated"), message.to_text())  # the journal's lease had ended
        count = queues.count("renew")
        until(lambda: queues.count("renew") > count)
        until(lambda: queues.left() == 0)  # moved once more
        gate.opened.set()
        until(queues.results)
    assert gate.entered["gated"] == 1
    assert [event.is_leased for event in queues.events(TaskStarted)].count(True) == 2


def test_a_task_leased_in_the_journal_is_handed_back_by_a_report(queues: MemoryQueues) -> None:
    gate = Gate()
    queues.put("gated")
    with working(gate.function(), queues=queues, timing=replace(FAST, hold_max_s=0.05), graceful_shutdown_s=0.0) as worker:
        until(lambda: queues.left() == 0)
        worker.stop()
        result = until(queues.results)[0]
        gate.opened.set()
    assert (result.status, result.callback_after_s, result.call) == (TaskStatus.IN_PROGRESS, 0, 0)
    assert queues.events(TaskHandedBack) == []
