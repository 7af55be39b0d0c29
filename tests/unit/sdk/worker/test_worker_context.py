"""What a worker's functions know of their task, and what they say while they run."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from tests.unit.sdk.memory import FAST, MemoryQueues, until, working
from tests.unit.sdk.worker.functions import Gate, add

from batuta import TaskContext, current_task, task
from batuta_core.model.event import TaskHeartbeat, TaskStarted, TaskUpdated


def test_the_context_says_what_the_message_says(queues: MemoryQueues) -> None:
    seen: list[TaskContext] = []

    @task("look")
    def look(context: TaskContext) -> None:
        assert current_task() is context
        seen.append(context)
        context.log("a line")

    message = queues.put("look", attempt=2, iteration=3, correlation_id="c", timeout_s=60, ref="ref__3")
    with working(look, queues=queues):
        result = until(queues.results)[0]
    context = seen[0]
    assert (context.workflow_id, context.task_id, context.ref, context.task_type) == (
        message.execution.workflow_id,
        message.task_id,
        "ref__3",
        "look",
    )
    assert (context.attempt, context.iteration, context.correlation_id, context.namespace, context.worker_id) == (
        2,
        3,
        "c",
        "default",
        "w1",
    )
    assert (context.workflow_name, context.workflow_version, context.call) == ("order", 1, 0)
    assert context.deadline_ms == result.started_ms + 60_000
    assert context.deadline is not None
    assert 58 < (context.remaining_s() or 0) <= 60
    assert not context.is_cancelled
    assert [line["log"] for line in result.logs] == ["a line"]


def test_idempotency_keys_are_stable_over_attempts_and_differ_else() -> None:
    base: dict[str, Any] = {"workflow_id": "w", "ref": "pay", "iteration": 0}
    key = TaskContext(**base, attempt=1, task_id="t1").idempotency_key
    assert TaskContext(**base, attempt=4, task_id="t9").idempotency_key == key
    others: list[dict[str, Any]] = [{"workflow_id": "x"}, {"ref": "pay2"}, {"iteration": 1}, {"namespace": "shop"}]
    assert len({TaskContext(**{**base, **other}).idempotency_key for other in others} | {key}) == 5


def test_only_tasks_that_take_a_while_say_that_they_began_and_heartbeats_follow(queues: MemoryQueues) -> None:
    gate = Gate()
    queues.put("gated", response_timeout_s=1)
    with working(gate.function(), queues=queues, timing=replace(FAST, heartbeat_share=0.02)):
        until(lambda: len(queues.events(TaskHeartbeat)) >= 3)
        gate.opened.set()
        until(queues.results)
        until(lambda: queues.left() == 0)
        beats = len(queues.events(TaskHeartbeat))
        time.sleep(0.06)
        assert len(queues.events(TaskHeartbeat)) == beats
    began = queues.events(TaskStarted)
    assert len(began) == 1
    assert (began[0].is_leased, began[0].worker_id, began[0].call) == (False, "w1", 0)
    assert began[0].started_ms == queues.results()[0].started_ms
    kinds = [type(event) for event in queues.events()]
    assert kinds[0] is TaskStarted
    assert kinds[-1] is TaskUpdated


def test_short_tasks_say_nothing_but_their_result(queues: MemoryQueues) -> None:
    queues.put("add", {"a": 1}, response_timeout_s=1)
    with working(add, queues=queues):
        until(lambda: queues.left() == 0)
        time.sleep(0.06)
    assert [type(event) for event in queues.events()] == [TaskUpdated]


def test_a_functions_own_words_are_passed_on_but_not_all(queues: MemoryQueues) -> None:
    @task("chatty")
    def chatty(context: TaskContext) -> None:
        for number in range(200):
            context.progress(number, 199)
        context.log("done")

    queues.put("chatty")
    with working(chatty, queues=queues, timing=replace(FAST, words_every_s=10.0, started_after_s=10.0)):
        result = until(queues.results)[0]
        until(lambda: queues.left() == 0)
    assert len(queues.events(TaskStarted)) == 1  # a heartbeat counts only for a task that has begun
    assert len(queues.events(TaskHeartbeat)) == 1
    assert [line["log"] for line in result.logs] == ["done", "199/199"]


def test_too_many_log_lines_keep_the_last(queues: MemoryQueues) -> None:
    @task("verbose")
    def verbose(context: TaskContext) -> None:
        for number in range(10_000):
            context.log(f"{number} " + "x" * 1000)

    queues.put("verbose")
    with working(verbose, queues=queues):
        result = until(queues.results)[0]
    assert result.logs[-1]["log"].startswith("9999 ")
    assert len(json.dumps(result.logs)) < 64 * 1024
