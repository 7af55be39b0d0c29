"""A real worker on queues in memory: from a task message to an acknowledged result."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.sdk.memory import FAST, PATIENCE_S, STAGE, MemoryQueues, make_message, until, working
from tests.unit.sdk.worker import heavy

from batuta import InProgress, TaskContext, Worker, current_task, task
from batuta.worker.queues import Failure
from batuta_core.model.error import Unavailable
from batuta_core.model.event import TaskHandedBack, TaskHeartbeat, TaskStarted, TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import SCHEMA
from batuta_core.model.names import priority_queue_name, task_queue_name
from batuta_core.model.payload import PayloadRef


@pytest.fixture
def queues() -> MemoryQueues:
    return MemoryQueues()


class Gate:
    """Functions that wait until they are let go."""

    def __init__(self) -> None:
        self.entered = Counter[str]()
        self.opened = threading.Event()

    def function(self, task_type: str = "gated", **options: Any) -> Callable[..., Any]:
        @task(task_type, **options)
        def gated(context: TaskContext) -> dict[str, Any]:
            self.entered[task_type] += 1
            assert self.opened.wait(10)
            return {"ref": context.ref}

        return gated


@task("add")
def add(a: int, b: int = 1) -> int:
    return a + b


@task("greet")
async def greet(name: str) -> str:
    await asyncio.sleep(0.001)
    return f"hello {name}"


@task("fail")
def fail() -> None:
    raise ValueError("no")


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
    with working(add, queues=queues, timing=replace(FAST, linger_s=0.02)):
        until(lambda: queues.left() == 0)
    assert len(queues.results()) == 50
    assert queues.count("send") <= 15
    assert queues.count("delete") <= 15


def test_the_result_of_a_lone_task_goes_at_once(queues: MemoryQueues) -> None:
    queues.put("add", {"a": 1})
    with working(add, queues=queues, timing=replace(FAST, linger_s=2 * PATIENCE_S)):
        until(lambda: len(queues.results()) == 1)


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


# --- context


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


# --- leases


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


# --- time-outs


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


# --- messages that are not for us


def test_messages_that_are_not_ours_are_left_alone(queues: MemoryQueues, caplog: pytest.LogCaptureFixture) -> None:
    queue = queues.ensure("add")
    for text in ("not json", '{"v": 1}', '{"v": 99, "some": "future"}', "[]"):
        queues.put_text(queue, text)
    queues.put("add", {"a": 1})
    with working(add, queues=queues, max_in_progress=1):
        until(queues.results)
        until(lambda: queues.left() == 4)
        assert queues.count("renew") == 0
        assert queues.count("release") == 0
    assert sum("is left alone" in message for message in caplog.messages) == 4


def test_a_newer_message_is_handed_back_and_hidden_until_a_newer_worker_may_have_come(
    queues: MemoryQueues, caplog: pytest.LogCaptureFixture
) -> None:
    """Five receives that nobody takes back would fail the attempt: its workers died."""
    message = make_message(50, "add", {"a": 1}, send=4)
    newer = {**json.loads(message.to_text()), "v": SCHEMA + 1, "in": "in another form", "sched": message.scheduled_ms - 100_000}
    queues.put_text(queues.ensure("add"), json.dumps(newer))
    queues.put("add", {"a": 1})
    with working(add, queues=queues, max_in_progress=1):
        until(queues.results)
        until(lambda: queues.count("renew") == 1)
        until(lambda: queues.left() == 1)
        (event,) = queues.events(TaskHandedBack)
        assert (event.place, event.send) == (message.place, 4)
        queues.push_clock(95_000)
        assert queues.visible("add") == 0
        queues.push_clock(10_000)
        until(lambda: len(queues.events(TaskHandedBack)) == 2)
        until(lambda: queues.count("renew") == 2)
        assert queues.left() == 1
    assert any("waits for a newer worker" in line for line in caplog.messages)
    assert not any("is left alone" in line for line in caplog.messages)


def test_a_strangers_task_on_a_shared_queue_is_handed_back_at_once_and_said_so(
    queues: MemoryQueues, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = queues.put("unknown", queue="shared")
    elsewhere = queues.put("add", {"a": 1}, namespace="other")
    queues.put_text(task_queue_name(STAGE, "default", "shared"), elsewhere.to_text())
    queues.put("add", {"a": 1}, queue="shared")
    with working(add, greet, queues=queues, queue="shared", timing=replace(FAST, stranger_pause_s=0.2)):
        until(queues.results)
        until(lambda: len(queues.events(TaskHandedBack)) == 2)
        until(lambda: queues.visible("shared") == 2)
    assert {event.place for event in queues.events(TaskHandedBack)} == {stranger.place, elsewhere.place}
    assert any("unknown in namespace default is not served here" in message for message in caplog.messages)
    shared = task_queue_name(STAGE, "default", "shared")
    assert queues.polled() == {shared, priority_queue_name(shared)}


def test_one_process_serves_many_queues_and_namespaces(queues: MemoryQueues) -> None:
    def named(name: str, **options: Any) -> Callable[..., Any]:
        return task("same", **options)(lambda: name)

    for namespace in ("default", "shop", "bank"):
        queues.put("same", namespace=namespace)
    queues.put("same", queue="slow-lane")
    functions = [named("default"), named("shop", namespace="shop"), named("bank", namespace="bank"), named("slow", queue="slow-lane")]
    with working(*functions, queues=queues):
        until(lambda: len(queues.results()) == 4)
    by_namespace = Counter((message.execution.namespace, message.event.to_dict()["out"]["result"]) for message in queues.sent())
    assert set(by_namespace) == {("default", "default"), ("default", "slow"), ("shop", "shop"), ("bank", "bank")}


def test_a_domain_of_a_shared_queue_has_a_queue_of_its_own(queues: MemoryQueues) -> None:
    """As the server names it."""
    message = queues.put("elsewhere", {"a": 1})
    queues.put_text(task_queue_name(STAGE, "default", "shared", "eu"), replace(message, task_type="add", domain="eu").to_text())
    with working(task("add", domain="eu", queue="shared")(lambda a: a), queues=queues):
        assert until(queues.results)[0].output == {"result": 1}


def test_a_domain_has_a_queue_of_its_own(queues: MemoryQueues) -> None:
    function = task("add", domain="eu")(lambda a: a)
    message = queues.put("elsewhere", {"a": 1})
    queues.put_text(task_queue_name(STAGE, "default", "add", "eu"), replace(message, task_type="add", domain="eu").to_text())
    with working(function, queues=queues):
        assert until(queues.results)[0].output == {"result": 1}


# --- large payloads and old messages, without a URL


def test_an_input_by_reference_needs_a_url(queues: MemoryQueues) -> None:
    queues.put("add", PayloadRef("k", 300_000))
    with working(add, queues=queues):
        result = until(queues.results)[0]
    assert result.status is TaskStatus.FAILED
    assert "its input has 300000 bytes" in (result.reason or "")
    assert "BATUTA_URL" in (result.reason or "")


@pytest.mark.parametrize(("size", "said"), [(200_000, "set BATUTA_URL"), (2_000_000, "the limit is 1000000")])
def test_a_large_output_needs_a_url(queues: MemoryQueues, size: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batuta.worker.report.EXTERNAL_MAX_BYTES", 1_000_000)
    large = task("large")(lambda: {"text": "x" * size})
    queues.put("large")
    with working(large, queues=queues):
        result = until(queues.results)[0]
    assert result.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert said in (result.reason or "")


def test_an_output_that_grows_by_escapes_is_measured_as_it_is_sent(queues: MemoryQueues) -> None:
    text = "ä" * 60_000 + "\uffff"  # 120 KB in UTF-8, 360 KB in escapes, which the last character demands
    large = task("large")(lambda: {"text": text})
    queues.put("large")
    with working(large, queues=queues):
        result = until(queues.results)[0]
    assert "BATUTA_URL" in (result.reason or "")


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
