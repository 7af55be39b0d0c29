"""A real worker on queues in memory: from a task message to an acknowledged result."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.sdk.memory import FAST, PATIENCE_S, STAGE, MemoryQueues, make_message, until, working
from tests.unit.sdk.worker import heavy
from tests.unit.sdk.worker.functions import Gate, add, fail, greet

from batuta import InProgress, TaskContext, Worker, current_task, task
from batuta.worker.queues import Failure
from batuta_core.model.error import Unavailable
from batuta_core.model.event import TaskHandedBack
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import task_queue_name

# --- results


def test_tasks_of_all_kinds_are_done_reported_and_deleted(queues: MemoryQueues) -> None:
    put = [queues.put("add", {"a": 1}), queues.put("greet", {"name": "Ada"}), queues.put("fail"), queues.put("square", {"number": 3})]
    with working(add, greet, fail, heavy.square, queues=queues):
        until(lambda: len(queues.results()) == 4)
        until(lambda: queues.left() == 0)
    found = {result.place: result for result in queues.results()}
    assert found[put[0].place].output == {"result": 2}
    assert found[put[1].place].output == {"result": "hello Ada"}
    assert (found[put[2].place].status, found[put[2].place].reason) == (TaskStatus.FAILED, "ValueError: no")
    assert "ValueError: no" in found[put[2].place].logs[0]["log"]
    assert found[put[3].place].output["square"] == 9
    for result in found.values():
        assert (result.worker_id, result.call) == ("w1", 0)
        assert result.started_ms > 0


def test_results_are_addressed_as_the_decider_wants_them(queues: MemoryQueues) -> None:
    message = queues.put("add", {"a": 1}, namespace="shop", attempt=3, call=2)
    with working(add, queues=queues, namespace="shop"):
        sent = until(queues.sent)[0]  # the token is checked there
    assert (sent.execution, sent.attempt, sent.token) == (message.execution, 3, message.token)
    assert sent.event.call == 2
    inbox = queues.simulated._queues[queues.simulated.inbox]
    assert next(iter(inbox.messages.values())).group == f"shop#{message.execution.workflow_id}"


def test_a_message_is_deleted_only_after_its_result_is_acknowledged(queues: MemoryQueues) -> None:
    left = 5

    def trouble(call: str, _queue: str, _items: Any) -> None:
        nonlocal left
        if call == "send" and left:
            left -= 1
            assert queues.count("delete") == 0
            raise Unavailable("throttled")

    queues.before = trouble
    queues.put("add", {"a": 1})
    with working(add, queues=queues, timing=replace(FAST, started_after_s=10.0)):
        until(lambda: queues.left() == 0)
    names = [name for name, _queue, _number in queues.calls if name in ("send", "delete")]
    assert names == ["send"] * 6 + ["delete"]
    assert len(queues.results()) == 1


def test_many_results_share_requests(queues: MemoryQueues) -> None:
    for number in range(50):
        queues.put("add", {"a": number})
    with working(add, queues=queues, timing=replace(FAST, linger_s=0.02, delete_linger_s=0.02)):
        until(lambda: queues.left() == 0)
    assert len(queues.results()) == 50
    assert queues.count("send") <= 15
    assert queues.count("delete") <= 15


def test_the_result_of_a_lone_task_goes_at_once(queues: MemoryQueues) -> None:
    queues.put("add", {"a": 1})
    with working(add, queues=queues, timing=replace(FAST, linger_s=2 * PATIENCE_S)):
        until(lambda: len(queues.results()) == 1)


def test_deletions_of_tasks_one_after_the_other_share_a_request(queues: MemoryQueues) -> None:
    with working(add, queues=queues, timing=replace(FAST, delete_linger_s=2 * PATIENCE_S)):
        for number in range(10):
            queues.put("add", {"a": number})
            until(lambda number=number: len(queues.results()) == number + 1)
        until(lambda: queues.left() == 0)
    assert queues.count("delete") == 1


def test_a_worker_ends_after_the_deletions_that_linger(queues: MemoryQueues) -> None:
    with working(add, queues=queues, timing=replace(FAST, delete_linger_s=0.2)):
        queues.put("add", {"a": 1})
        until(lambda: len(queues.results()) == 1)
    assert queues.left() == 0


def test_a_result_that_cannot_be_encoded_hurts_nobody_beside_it(queues: MemoryQueues) -> None:
    @task("nan")
    def nan() -> float:
        return float("nan")

    for _ in range(3):
        queues.put("nan")
        queues.put("add", {"a": 1})
    with working(add, nan, queues=queues):
        until(lambda: len(queues.results()) == 6)
    assert Counter(result.status for result in queues.results()) == {TaskStatus.COMPLETED: 3, TaskStatus.FAILED_WITH_TERMINAL_ERROR: 3}


def test_a_result_that_the_queue_refuses_becomes_a_failure_with_the_reason(queues: MemoryQueues) -> None:
    @task("odd")
    def odd() -> str:
        return "odd"

    original = queues.send

    def send(queue: str, batch: Any) -> Any:
        bad = [Failure(index, "InvalidMessageContents", is_final=True) for index, item in enumerate(batch) if '"odd"' in item.text]
        original(queue, [item for item in batch if '"odd"' not in item.text]) if len(bad) < len(batch) else None
        return bad

    queues.send = send  # type: ignore[method-assign]
    queues.put("odd")
    queues.put("add", {"a": 1})
    with working(odd, add, queues=queues):
        until(lambda: len(queues.results()) == 2)
        until(lambda: queues.left() == 0)
    reasons = [result.reason for result in queues.results() if result.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR]
    assert reasons == ["its result was refused by the queue: InvalidMessageContents"]


def test_call_me_again(queues: MemoryQueues) -> None:
    calls: list[int] = []

    @task("job")
    def job(context: TaskContext) -> Any:
        calls.append(context.call)
        return InProgress(5, {"page": 1}) if context.call == 0 else {"page": 2}

    first = queues.put("job")
    with working(job, queues=queues):
        until(lambda: len(queues.results()) == 1)
        until(lambda: queues.left() == 0)
        queues.put_text(task_queue_name(STAGE, "default", "job"), replace(first, call=1).to_text())  # as the server would
        until(lambda: len(queues.results()) == 2)
    results = queues.results()
    assert (results[0].status, results[0].callback_after_s, results[0].output) == (TaskStatus.IN_PROGRESS, 5, {"page": 1})
    assert (results[1].status, results[1].output, results[1].call) == (TaskStatus.COMPLETED, {"page": 2}, 1)
    assert calls == [0, 1]


# --- caps


def test_no_more_than_the_process_may_and_each_function_may(queues: MemoryQueues) -> None:
    gate = Gate()
    for _ in range(10):
        queues.put("small")
        queues.put("large")
    with working(gate.function("small", max_in_progress=2), gate.function("large"), queues=queues, max_in_progress=6):
        until(lambda: gate.entered.total() == 6)
        time.sleep(0.03)
        assert gate.entered["small"] <= 2
        assert gate.entered.total() == 6
        assert queues.visible("small") + queues.visible("large") == 14  # nothing was taken that cannot run
        gate.opened.set()
        until(lambda: len(queues.results()) == 20)


def test_blocked_coroutines_hold_up_neither_leases_nor_plain_functions(queues: MemoryQueues) -> None:
    release = threading.Event()

    @task("rude")
    async def rude() -> None:
        release.wait(10)  # blocks the loop of the coroutines

    queues.put("rude")
    with working(rude, add, queues=queues) as worker:
        until(lambda: queues.count("renew") > 2)
        queues.put("add", {"a": 1})
        until(queues.results)
        assert worker.health().is_healthy
        release.set()
        until(lambda: len(queues.results()) == 2)


def test_coroutines_do_not_hold_up_each_other(queues: MemoryQueues) -> None:
    async def wait() -> str:
        await asyncio.sleep(0.1)
        return current_task().ref

    waiting = task("wait")(wait)
    for _ in range(30):
        queues.put("wait")
    began = time.monotonic()
    with working(waiting, queues=queues):
        until(lambda: len(queues.results()) == 30)
        assert time.monotonic() - began < 2  # one after the other they would take 3 s
    assert len({result.output["result"] for result in queues.results()}) == 30


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_functions_that_try_to_end_the_process_end_only_their_task(queues: MemoryQueues, error: BaseException) -> None:
    @task("plain")
    def plain() -> None:
        raise error

    @task("coroutine")
    async def coroutine() -> None:
        raise error

    @task("background")
    async def background() -> str:
        async def inner() -> None:
            raise error

        inner_task = asyncio.get_running_loop().create_task(inner())
        await asyncio.wait({inner_task})
        inner_task.exception()
        return "went on"

    for name in ("plain", "coroutine", "background"):
        queues.put(name)
    with working(plain, coroutine, background, add, queues=queues):
        until(lambda: len(queues.results()) == 3)
        queues.put("add", {"a": 1})
        until(lambda: len(queues.results()) == 4)
    assert Counter(result.status for result in queues.results()) == {TaskStatus.FAILED: 2, TaskStatus.COMPLETED: 2}


def test_tasks_of_a_shared_queue_take_only_the_places_of_their_function(queues: MemoryQueues) -> None:
    one, other = task("one", max_in_progress=1)(lambda: 1), task("other", max_in_progress=1)(lambda: 2)
    for _ in range(5):
        queues.put("one", queue="shared")
        queues.put("other", queue="shared")
    with working(one, other, queues=queues, queue="shared"):
        until(lambda: len(queues.results()) == 10)


# --- construction


@task("unreadable")
def unreadable(x: bytes) -> None: ...


def test_mistakes_are_said_before_anything_runs(queues: MemoryQueues) -> None:
    with pytest.raises(ValueError, match="at least one function"):
        Worker()
    with pytest.raises(TypeError, match="not decorated"):
        Worker(print)
    with pytest.raises(ValueError, match="both serve add in namespace default"):
        Worker(add, task("add")(lambda: 1))
    with pytest.raises(ValueError, match="max_in_progress must be 1 or more"):
        Worker(add, max_in_progress=0)
    with pytest.raises(ValueError, match="processes must be 1 or more"):
        Worker(add, processes=0)
    with pytest.raises(ValueError, match="graceful_shutdown_s must not be negative"):
        Worker(add, graceful_shutdown_s=-1)
    with pytest.raises(TypeError, match="parameter 'x'"):
        Worker(unreadable)
    worker = Worker(add, queues=queues)
    with pytest.raises(ValueError, match="no stage is known"):
        worker.start()
    with pytest.raises(RuntimeError, match="this worker is stopped"):
        worker.start()


def test_nothing_is_logged_to_the_root_logger(queues: MemoryQueues) -> None:
    before = list(logging.getLogger().handlers)
    with working(add, queues=queues):
        pass
    assert logging.getLogger().handlers == before


def test_a_task_with_a_limit_on_starts_that_was_given_out_before_is_not_begun_but_sent_back_into_line(queues: MemoryQueues) -> None:
    gate = Gate()
    message = replace(make_message(1, "gated", {}), is_rated=True)
    queue = task_queue_name(STAGE, "default", "gated")
    queues.ensure("gated")
    queues.put_text(queue, message.to_text())
    received = queues.simulated.receive(queue, 1, 0)  # by one that dies
    queues.simulated.release(queue, [item.receipt for item in received])
    with working(gate.function(), queues=queues):
        until(lambda: queues.left() == 0)
    [event] = queues.events(TaskHandedBack)
    assert (event.is_gone, event.send) == (True, 0)
    assert not gate.entered
