"""The worker and the production engine on the same queues: what the one says, the other understands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.sdk.memory import FAST, SIGNER, STAGE, MemoryQueues, until, working
from tests.unit.sdk.worker.functions import Gate

from batuta import Fatal, InProgress, RetryLater, TaskContext, task
from batuta_core.engine import advance, dead_letters, operate, query, timers
from batuta_core.engine.catalog import register_tasks, register_workflows
from batuta_core.engine.ports import Incoming, Ports
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId
from batuta_core.simulator.world import World


class Locked:
    """The simulator's queues as a port, for several threads."""

    def __init__(self, queues: MemoryQueues) -> None:
        self._queues = queues

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            with self._queues._changed:
                found = getattr(self._queues.simulated, name)(*args)
                self._queues._changed.notify_all()
            return found

        return call


class Clock:
    def __init__(self, queues: MemoryQueues) -> None:
        self.now_ms = queues.now_ms

    def sleep(self, ms: int) -> None: ...

    def pause(self, tries: int) -> None: ...


class Server:
    """The engine, with a thread that feeds it what lies on its queues."""

    def __init__(self, queues: MemoryQueues) -> None:
        locked: Any = Locked(queues)
        self.ports: Ports = replace(World().plain, stage=STAGE, queues=locked, clock=Clock(queues), signer=SIGNER)
        self._is_closing = False
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        port, simulated = self.ports.queues, self.ports.queues._queues.simulated  # type: ignore[attr-defined]
        handlers: list[tuple[str, Callable[[Sequence[Incoming]], list[str]]]] = [
            (simulated.inbox, lambda batch: advance.advance_batch(self.ports, batch)),
            (simulated.timers, lambda batch: timers.fire(self.ports, batch)),
            (simulated.task_dead_letters, lambda batch: dead_letters.drain_tasks(self.ports, batch)),
        ]
        while not self._is_closing:
            for queue, handle in handlers:
                batch = port.receive(queue, 10, 0)
                if batch:
                    failed = handle(batch)
                    assert failed == []
                    port.delete(queue, [item.receipt for item in batch])
            time.sleep(0.001)

    def close(self) -> None:
        self._is_closing = True
        self._thread.join()

    def start(self, *tasks: dict[str, Any], task_input: dict[str, Any] | None = None, **fields: Any) -> ExecutionId:
        definition = {"name": "w", "version": 1, "ownerEmail": "a@b.c", "tasks": list(tasks), **fields}
        register_workflows(self.ports, "default", [definition], lambda source: None)
        request = StartRequest(namespace="default", name="w", input=task_input or {})
        return ExecutionId("default", start(request, self.ports, lambda source: None))

    def show(self, execution: ExecutionId) -> dict[str, Any]:
        return query.workflow_json(self.ports, execution)

    def ended(self, execution: ExecutionId) -> dict[str, Any]:
        return until(lambda: (found := self.show(execution))["status"] != "RUNNING" and found)  # type: ignore[no-any-return]


@pytest.fixture
def server(queues: MemoryQueues) -> Iterator[Server]:
    found = Server(queues)
    yield found
    found.close()


def simple(name: str, ref: str | None = None, **inputs: Any) -> dict[str, Any]:
    return {"name": name, "taskReferenceName": ref or name, "type": "SIMPLE", "inputParameters": inputs}


@task("double")
def double(number: int) -> int:
    return 2 * number


def test_a_line_of_tasks_hands_on_its_results(server: Server, queues: MemoryQueues) -> None:
    @task("add")
    async def add(a: int, b: int) -> dict[str, int]:
        return {"sum": a + b}

    execution = server.start(
        simple("double", number="${workflow.input.number}"),
        simple("double", "again", number="${double.output.result}"),
        simple("add", a="${double.output.result}", b="${again.output.result}"),
        task_input={"number": 5},
        outputParameters={"all": "${add.output.sum}"},
    )
    with working(double, add, queues=queues):
        found = server.ended(execution)
    assert (found["status"], found["output"]) == ("COMPLETED", {"all": 30})
    assert all(item["startTime"] and item["workerId"] == "w1" and item["pollCount"] == 1 for item in found["tasks"])


def test_failures_are_retried_and_fatal_ones_are_not(server: Server, queues: MemoryQueues) -> None:
    register_tasks(server.ports, "default", [{"name": name, "retryCount": 2, "retryDelaySeconds": 0} for name in ("shaky", "hopeless")])
    attempts: list[int] = []

    @task("shaky")
    def shaky(context: TaskContext) -> str:
        attempts.append(context.attempt)
        if context.attempt < 3:
            raise RetryLater("not yet") if context.attempt == 1 else ValueError("no")
        return context.idempotency_key

    @task("hopeless")
    def hopeless() -> None:
        raise Fatal("never", {"why": "so"})

    with working(shaky, hopeless, queues=queues):
        found = server.ended(server.start(simple("shaky"), simple("hopeless")))
    assert found["status"] == "FAILED"
    assert attempts == [1, 2, 3]
    assert [(item["status"], item.get("reasonForIncompletion")) for item in found["tasks"]] == [
        ("FAILED", "not yet"),
        ("FAILED", "ValueError: no"),
        ("COMPLETED", None),
        ("FAILED_WITH_TERMINAL_ERROR", "never"),
    ]
    assert found["tasks"][3]["outputData"] == {"why": "so"}
    assert "ValueError: no" in query.log_lines(server.ports, "default", found["tasks"][1]["taskId"])[0]["log"]


def test_a_task_that_asks_to_be_called_again_is(server: Server, queues: MemoryQueues) -> None:
    calls: list[int] = []

    @task("job")
    def job(context: TaskContext) -> Any:
        calls.append(context.call)
        if context.call == 0:
            return InProgress(0, {"page": 1})
        if context.call == 1:
            raise RetryLater("busy", delay_s=0)
        return {"page": 3}

    with working(job, queues=queues):
        found = server.ended(server.start(simple("job")))
    assert (found["status"], calls) == ("COMPLETED", [0, 1, 2])
    (only,) = found["tasks"]
    assert (only["retryCount"], only["outputData"], only["pollCount"]) == (0, {"page": 3}, 3)


@pytest.mark.parametrize("reply_s", [0.0, 0.005])
def test_the_next_call_may_arrive_before_the_last_report_is_acknowledged(server: Server, queues: MemoryQueues, reply_s: float) -> None:
    calls: list[int] = []

    @task("job")
    def job(context: TaskContext) -> Any:
        calls.append(context.call)
        return InProgress(0) if context.call < 30 else {}

    queues.reply_s = reply_s
    with working(job, queues=queues, graceful_shutdown_s=0.5):
        found = server.ended(server.start(simple("job")))
        until(lambda: len(queues.simulated.texts()) == 0 or all("job" not in queue for queue, _text in queues.simulated.texts()))
    assert (found["status"], calls) == ("COMPLETED", list(range(31)))


def test_a_next_call_that_arrives_at_the_end_of_a_shutdown_is_handed_back(server: Server, queues: MemoryQueues) -> None:
    calls: list[int] = []

    @task("job")
    def job(context: TaskContext) -> Any:
        calls.append(context.call)
        return InProgress(0) if context.call == 0 else {}

    queues.reply_s = 0.4  # longer than it takes the engine to send the next call, and this worker to take it
    execution = server.start(simple("job"))
    with working(job, queues=queues, graceful_shutdown_s=0.0, timing=replace(FAST, flush_s=5.0)) as worker:
        until(lambda: server.show(execution)["tasks"][0]["pollCount"] == 1)
        until(lambda: queues.visible("job") == 0)
        time.sleep(0.05)
        worker.stop()
    assert calls == [0]
    queues.reply_s = 0.0
    with working(job, queues=queues):
        assert server.ended(execution)["status"] == "COMPLETED"
    assert calls == [0, 1]


def test_a_callback_waits_for_its_time(server: Server, queues: MemoryQueues) -> None:
    @task("job")
    def job(context: TaskContext) -> Any:
        return InProgress(60, {"page": 1}) if context.call == 0 else {"page": 2}

    with working(job, queues=queues):
        execution = server.start(simple("job"))
        until(lambda: server.show(execution)["tasks"][0]["callbackAfterSeconds"] == 60)
        time.sleep(0.02)
        assert server.show(execution)["tasks"][0]["status"] == "SCHEDULED"
        queues.push_clock(61_000)
        assert server.ended(execution)["output"] == {"page": 2}


def test_a_long_task_is_in_progress_and_its_heartbeats_hold_it(server: Server, queues: MemoryQueues) -> None:
    register_tasks(server.ports, "default", [{"name": "gated", "responseTimeoutSeconds": 1, "retryCount": 0}])
    gate = Gate()
    with working(gate.function(), queues=queues, timing=replace(FAST, heartbeat_share=0.1)):
        execution = server.start(simple("gated"))
        until(lambda: server.show(execution)["tasks"][0]["status"] == "IN_PROGRESS")
        for _ in range(6):  # three seconds in all
            before = server.show(execution)["tasks"][0]["updateTime"]
            until(lambda before=before: server.show(execution)["tasks"][0]["updateTime"] > before)
            queues.push_clock(500)
        gate.opened.set()
        assert server.ended(execution)["status"] == "COMPLETED"


def test_a_task_that_outlives_its_timeout_ends_as_the_server_says(server: Server, queues: MemoryQueues) -> None:
    """The worker's clock is the real one, the server's is pushed: its timer comes first."""
    register_tasks(
        server.ports,
        "default",
        [
            {
                "name": "gated",
                "timeoutSeconds": 5,
                "responseTimeoutSeconds": 5,
                "timeoutPolicy": "RETRY",
                "retryCount": 1,
                "retryDelaySeconds": 0,
            }
        ],
    )
    gate = Gate()
    with working(gate.function(), queues=queues):
        execution = server.start(simple("gated"))
        until(lambda: server.show(execution)["tasks"][0]["status"] == "IN_PROGRESS")
        queues.push_clock(6000)
        until(lambda: len(server.show(execution)["tasks"]) == 2)
        gate.opened.set()
        found = server.ended(execution)
    assert [item["status"] for item in found["tasks"]] == ["TIMED_OUT", "COMPLETED"]


def test_a_task_handed_back_is_done_by_the_next_worker(server: Server, queues: MemoryQueues) -> None:
    first, second = Gate(), Gate()
    execution = server.start(simple("gated"))
    with working(first.function(), queues=queues, graceful_shutdown_s=0.0, worker_id="first") as worker:
        until(lambda: server.show(execution)["tasks"][0]["status"] == "IN_PROGRESS")
        worker.stop()
        until(lambda: server.show(execution)["tasks"][0]["status"] == "SCHEDULED")
        first.opened.set()
    second.opened.set()
    with working(second.function(), queues=queues, worker_id="second"):
        found = server.ended(execution)
    assert (found["status"], found["tasks"][0]["workerId"], len(found["tasks"])) == ("COMPLETED", "second", 1)


def test_many_hand_backs_do_not_fail_a_task(server: Server, queues: MemoryQueues) -> None:
    execution = server.start(simple("gated"))
    for _ in range(20):
        gate = Gate()
        with working(gate.function(), queues=queues, graceful_shutdown_s=0.0) as worker:
            until(lambda gate=gate: gate.entered["gated"])
            worker.stop()
            gate.opened.set()
    assert server.show(execution)["tasks"][0]["status"] == "SCHEDULED"
    gate = Gate()
    gate.opened.set()
    with working(gate.function(), queues=queues):
        assert server.ended(execution)["status"] == "COMPLETED"


def test_a_task_held_longer_than_sqs_allows_is_completed_and_may_be_handed_back(server: Server, queues: MemoryQueues) -> None:
    timing = replace(FAST, hold_max_s=0.08, leased_heartbeat_s=0.02)
    gate = Gate()
    execution = server.start(simple("gated"))
    with working(gate.function(), queues=queues, timing=timing, graceful_shutdown_s=0.0) as worker:
        until(lambda: gate.entered["gated"])
        until(lambda: queues.count("delete") == 1)
        worker.stop()
        gate.opened.set()
    until(lambda: server.show(execution)["tasks"][0]["status"] == "SCHEDULED")
    gate = Gate()
    with working(gate.function(), queues=queues, timing=timing):
        until(lambda: gate.entered["gated"])
        until(lambda: queues.count("delete") >= 2)
        gate.opened.set()
        assert server.ended(execution)["status"] == "COMPLETED"


def test_a_shared_queue_serves_a_task_type_by_its_queues_name(server: Server, queues: MemoryQueues) -> None:
    with working(double, queues=queues, queue="double"):
        assert server.ended(server.start(simple("double", number=4)))["output"] == {"result": 8}


def test_an_input_that_does_not_fit_fails_once_with_the_field(server: Server, queues: MemoryQueues) -> None:
    with working(double, queues=queues):
        found = server.ended(server.start(simple("double", number="${workflow.input.missing}")))
    (only,) = found["tasks"]
    assert only["status"] == "FAILED_WITH_TERMINAL_ERROR"
    assert only["reasonForIncompletion"] == "the input does not fit double: number: must be a whole number, not null"


def test_a_result_that_comes_too_late_changes_nothing(server: Server, queues: MemoryQueues) -> None:
    gate = Gate()
    execution = server.start(simple("gated"))
    with working(gate.function(), queues=queues):
        until(lambda: gate.entered["gated"])
        task_id = server.show(execution)["tasks"][0]["taskId"]
        report = operate.TaskReport(status=TaskStatus.COMPLETED, output={"by": "hand"})
        operate.update_task(server.ports, "default", execution.workflow_id, task_id, report)
        gate.opened.set()
        until(lambda: queues.count("delete"))
    assert server.ended(execution)["output"] == {"by": "hand"}
