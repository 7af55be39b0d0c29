"""Both clients against a server: every call goes where Conductor has it, and comes back typed."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from tests.unit.sdk.stub import EXECUTION, TASK, Answer, Asked, StubServer

from batuta import AsyncClient, Client, PayloadTooLarge, TaskStatus, WaitTimeout, WorkflowStatus, calls, operations, waiting

SUMMARY = {
    "workflowId": "w1",
    "workflowType": "order",
    "version": 1,
    "status": "FAILED",
    "startTime": "2026-11-21T10:00:00.250Z",
    "updateTime": "2026-11-21T10:00:01.000Z",
    "reasonForIncompletion": "no",
}
PAGE = {"totalHits": 1, "results": [TASK]}
BULK = {"bulkSuccessfulResults": ["w1"], "bulkErrorResults": {"w2": "No such workflow found by id: w2"}}
ROUTES: list[tuple[Callable[[Any], Any], str, Any, Any]] = [
    (lambda c: c.server_info(), "GET /api/batuta", None, {"stage": "dev", "region": "r", "endpoint": "e", "version": "1"}),
    (lambda c: c.register_workflow({"name": "n"}), "POST /api/metadata/workflow?overwrite=true", {"name": "n"}, b""),
    (lambda c: c.register_workflow({"name": "n"}, overwrite=False), "POST /api/metadata/workflow?overwrite=false", {"name": "n"}, b""),
    (lambda c: c.register_workflows([{"name": "n"}]), "PUT /api/metadata/workflow", [{"name": "n"}], {}),
    (lambda c: c.validate_workflow({"name": "n"}), "POST /api/metadata/workflow/validate", {"name": "n"}, b""),
    (lambda c: c.workflow_definition("a/b"), "GET /api/metadata/workflow/a%252Fb", None, {"name": "a/b"}),
    (lambda c: c.workflow_definition("n", 3), "GET /api/metadata/workflow/n?version=3", None, {"name": "n"}),
    (lambda c: c.workflow_definitions(), "GET /api/metadata/workflow", None, []),
    (lambda c: c.latest_workflow_definitions(), "GET /api/metadata/workflow/latest-versions", None, []),
    (lambda c: c.workflow_versions("n"), "GET /api/metadata/workflow/n/versions", None, [{"name": "n", "version": 1, "createTime": 5}]),
    (lambda c: c.delete_workflow_definition("n", 2), "DELETE /api/metadata/workflow/n/2", None, b""),
    (lambda c: c.register_tasks([{"name": "t"}]), "POST /api/metadata/taskdefs", [{"name": "t"}], b""),
    (lambda c: c.update_task_definition({"name": "t"}), "PUT /api/metadata/taskdefs", {"name": "t"}, b""),
    (lambda c: c.task_definition("t"), "GET /api/metadata/taskdefs/t", None, {"name": "t"}),
    (lambda c: c.task_definitions(), "GET /api/metadata/taskdefs", None, [{"name": "t"}]),
    (lambda c: c.delete_task_definition("t"), "DELETE /api/metadata/taskdefs/t", None, b""),
    (lambda c: c.start("order"), "POST /api/workflow", {"name": "order", "input": {}, "priority": 0}, b"w1"),
    (lambda c: c.get("w1"), "GET /api/workflow/w1?includeTasks=true", None, EXECUTION),
    (lambda c: c.get("w1", has_tasks=False), "GET /api/workflow/w1?includeTasks=false", None, EXECUTION),
    (
        lambda c: c.status("w1"),
        "GET /api/workflow/w1/status?includeOutput=false&includeVariables=false",
        None,
        {"workflowId": "w1", "status": "RUNNING"},
    ),
    (lambda c: c.tasks("w1"), "GET /api/workflow/w1/tasks?start=0&count=100", None, PAGE),
    (
        lambda c: c.tasks("w1", statuses=[TaskStatus.FAILED, TaskStatus.CANCELED], start=5, size=7),
        "GET /api/workflow/w1/tasks?start=5&count=7&status=FAILED&status=CANCELED",
        None,
        PAGE,
    ),
    (lambda c: c.executions(), "GET /api/workflow/search?start=0&size=100", None, {"totalHits": 1, "results": [SUMMARY]}),
    (
        lambda c: c.executions("order", WorkflowStatus.FAILED, start=10, size=5),
        "GET /api/workflow/search?query=workflowType%3D%22order%22+AND+status%3D%22FAILED%22&start=10&size=5",
        None,
        {"totalHits": 1, "results": [SUMMARY]},
    ),
    (lambda c: c.pause("w1"), "PUT /api/workflow/w1/pause", None, b""),
    (lambda c: c.resume("w1"), "PUT /api/workflow/w1/resume", None, b""),
    (lambda c: c.retry("w1"), "POST /api/workflow/w1/retry", None, b""),
    (lambda c: c.restart("w1"), "POST /api/workflow/w1/restart", None, b""),
    (lambda c: c.restart("w1", is_latest=True), "POST /api/workflow/w1/restart?useLatestDefinitions=true", None, b""),
    (lambda c: c.rerun("w1"), "POST /api/workflow/w1/rerun", {}, b"w1"),
    (
        lambda c: c.rerun("w1", from_task_id="t1", task_input={"a": 1}, workflow_input={}, correlation_id="c"),
        "POST /api/workflow/w1/rerun",
        {"reRunFromTaskId": "t1", "taskInput": {"a": 1}, "workflowInput": {}, "correlationId": "c"},
        b"w1",
    ),
    (lambda c: c.skip_task("w1", "pay/ment"), "PUT /api/workflow/w1/skiptask/pay%252Fment", None, b""),
    (lambda c: c.update_variables("w1", {"k": 1}), "POST /api/workflow/w1/variables", {"k": 1}, b""),
    (lambda c: c.reset_callbacks("w1"), "POST /api/workflow/w1/resetcallbacks", None, b""),
    (lambda c: c.pause_all(["w1"]), "PUT /api/workflow/bulk/pause", ["w1"], BULK),
    (lambda c: c.resume_all(["w1"]), "PUT /api/workflow/bulk/resume", ["w1"], BULK),
    (lambda c: c.retry_all(["w1"]), "POST /api/workflow/bulk/retry", ["w1"], BULK),
    (lambda c: c.restart_all(["w1"], is_latest=True), "POST /api/workflow/bulk/restart?useLatestDefinitions=true", ["w1"], BULK),
    (lambda c: c.terminate_all(["w1"], "why"), "POST /api/workflow/bulk/terminate?reason=why", ["w1"], BULK),
    (lambda c: c.delete_all(["w1"]), "DELETE /api/workflow/bulk/remove?archiveWorkflow=false", ["w1"], BULK),
    (lambda c: c.terminate("w1", "why not"), "DELETE /api/workflow/w1?reason=why+not", None, b""),
    (lambda c: c.terminate("w1"), "DELETE /api/workflow/w1", None, b""),
    (lambda c: c.delete("w1"), "DELETE /api/workflow/w1/remove?archiveWorkflow=false", None, b""),
    (lambda c: c.task("t1"), "GET /api/tasks/t1", None, TASK),
    (
        lambda c: c.update_task("w1", "t1", TaskStatus.IN_PROGRESS, {"a": 1}, reason="r", worker_id="w", callback_after_s=5, log=["l"]),
        "POST /api/tasks",
        {
            "workflowInstanceId": "w1", "taskId": "t1", "status": "IN_PROGRESS", "outputData": {"a": 1}, "callbackAfterSeconds": 5,
            "logs": [{"log": "l", "taskId": "t1"}], "reasonForIncompletion": "r", "workerId": "w",
        },
        b"t1",
    ),
    (
        lambda c: c.complete_task("w1", "t1", 5),
        "POST /api/tasks",
        {
            "workflowInstanceId": "w1", "taskId": "t1", "status": "COMPLETED", "outputData": {"result": 5}, "callbackAfterSeconds": 0,
            "logs": [],
        },
        b"t1",
    ),
    (
        lambda c: c.fail_task("w1", "t1", "no", is_final=True),
        "POST /api/tasks",
        {
            "workflowInstanceId": "w1", "taskId": "t1", "status": "FAILED_WITH_TERMINAL_ERROR", "outputData": {}, "callbackAfterSeconds": 0,
            "logs": [], "reasonForIncompletion": "no",
        },
        b"t1",
    ),
    (
        lambda c: c.update_task_by_ref("w1", "pay", TaskStatus.FAILED, {"a": 1}, worker_id="w"),
        "POST /api/tasks/w1/pay/FAILED?workerid=w",
        {"a": 1},
        b"t1",
    ),
    (lambda c: c.complete_task_by_ref("w1", "pay"), "POST /api/tasks/w1/pay/COMPLETED", {}, b"t1"),
    (lambda c: c.fail_task_by_ref("w1", "pay"), "POST /api/tasks/w1/pay/FAILED", {}, b""),
    (lambda c: c.fail_task_by_ref("w1", "pay", is_final=True), "POST /api/tasks/w1/pay/FAILED_WITH_TERMINAL_ERROR", {}, b""),
    (lambda c: c.signal("w1", {"a": 1}), "POST /api/tasks/w1/COMPLETED/signal", {"a": 1}, b""),
    (lambda c: c.task_log("t1"), "GET /api/tasks/t1/log", None, [{"log": "l", "createdTime": 5}]),
    (lambda c: c.add_task_log("t1", "a line"), "POST /api/tasks/t1/log", "a line", b""),
]  # fmt: skip


@pytest.fixture
def client(stub: StubServer) -> Iterator[Client]:
    with Client(stub.url) as found:
        yield found


def both(stub: StubServer, ask: Callable[[Any], Any], **options: Any) -> list[Any]:
    """What the two clients answer."""

    async def await_it() -> Any:
        async with AsyncClient(stub.url, **options) as client:
            found = ask(client)
            return [item async for item in found] if inspect.isasyncgen(found) else await found

    with Client(stub.url, **options) as client:
        found = ask(client)
        blocking = list(found) if inspect.isgenerator(found) else found
    return [blocking, asyncio.run(await_it())]


@pytest.mark.parametrize(("ask", "target", "body", "answer"), ROUTES, ids=[route[1] for route in ROUTES])
def test_every_call_goes_where_conductor_has_it(stub: StubServer, ask: Any, target: str, body: Any, answer: Any) -> None:
    stub.will(Answer(body=answer))
    blocking, awaited = both(stub, ask)
    assert blocking == awaited
    assert stub.targets() == [target] * 2
    assert [asked.body or None for asked in stub.asked] == [body or None] * 2


def test_no_call_is_missing_from_either_client_or_from_the_test_above(stub: StubServer) -> None:
    described = {
        name
        for module in (calls, operations)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__ == module.__name__
    }
    methods = described - {"report_task"} | {"start_and_wait", "wait", "iterate_tasks", "iterate_executions"}
    for client in (Client, AsyncClient):
        public = {name for name in vars(client) if not name.startswith("_")} - {"call", "close"}
        assert public == methods
    asked: set[str] = set()

    class Spy:
        def __getattr__(self, name: str) -> Any:
            asked.add(name)
            return lambda *args, **kwargs: None

    for route in ROUTES:
        route[0](Spy())
    assert asked == described - {"report_task"}


def test_methods_keep_their_signature_and_text() -> None:
    assert "idempotency_key" in inspect.signature(Client.start).parameters
    assert "RETURN_EXISTING" not in (Client.start.__doc__ or "")
    assert "Starts an execution" in (AsyncClient.start.__doc__ or "")


def test_a_bulk_result_says_what_was_done_and_why_not(stub: StubServer, client: Client) -> None:
    stub.will(Answer(body=BULK))
    found = client.pause_all(["w1", "w2"])
    assert (found.done, found.errors) == (("w1",), {"w2": "No such workflow found by id: w2"})


def test_results_are_typed(stub: StubServer, client: Client) -> None:
    stub.will(Answer(body=EXECUTION))
    execution = client.get("w1")
    assert (execution.status, execution.name, execution.version, execution.output, execution.ended_ms) == (
        WorkflowStatus.COMPLETED,
        "order",
        2,
        {"y": 2},
        30,
    )
    task = execution.tasks[0]
    assert (task.status, task.attempt, task.ref, task.reason, task.number) == (TaskStatus.FAILED, 2, "pay", "no", 3)
    assert task.data["iteration"] == 0
    stub.will(Answer(body={"totalHits": 7, "results": [SUMMARY]}))
    page = client.executions("order")
    assert (page.total, page.items[0].started_ms, page.items[0].ended_ms) == (7, 1795255200250, 0)
    stub.will(Answer(body=b""))
    assert client.task_log("t") == []
    assert client.update_task_by_ref("w", "r", TaskStatus.COMPLETED) is None


@dataclass
class Order:
    number: int
    amount: Decimal


def test_a_start_says_all_that_it_was_told(stub: StubServer) -> None:
    stub.will(Answer(body=b"w1"))
    found = both(
        stub,
        lambda c: c.start(
            "order",
            Order(1, Decimal("2.50")),
            version=3,
            correlation_id="c",
            request_id="q",
            idempotency_key="k",
            idempotency_strategy="FAIL_ON_RUNNING",
            priority=5,
            definition={"name": "order", "tasks": []},
            task_to_domain={"*": "d"},
        ),
        namespace="shop",
    )
    assert found == ["w1", "w1"]
    assert stub.targets() == ["POST /ns/shop/api/workflow"] * 2
    assert stub.asked[0].body == {
        "name": "order",
        "input": {"number": 1, "amount": "2.50"},
        "version": 3,
        "correlationId": "c",
        "requestId": "q",
        "idempotencyKey": "k",
        "idempotencyStrategy": "FAIL_ON_RUNNING",
        "priority": 5,
        "workflowDef": {"name": "order", "tasks": []},
        "taskToDomain": {"*": "d"},
    }


def test_a_keyed_start_is_repeated_and_returns_the_first(stub: StubServer, client: Client) -> None:
    stub.will(Answer(is_dropped=True), Answer(status=503), Answer(body=b"w1"))
    assert client.start("order", idempotency_key="k") == "w1"
    assert [asked.body["idempotencyStrategy"] for asked in stub.asked] == ["RETURN_EXISTING"] * 3


def test_too_large_an_input_is_not_even_sent(stub: StubServer, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "EXTERNAL_MAX_BYTES", 5 * 1024 * 1024)
    with pytest.raises(PayloadTooLarge):
        client.start("order", {"x": "y" * (5 * 1024 * 1024)})
    assert stub.asked == []


def test_names_that_the_search_cannot_quote_are_refused(stub: StubServer, client: Client) -> None:
    for name in ('a"b', "a,b", "a AND b", "a*"):
        with pytest.raises(ValueError, match="no way to quote"):
            client.executions(name)


# --- waiting and walking


def statuses(*texts: str) -> Callable[[Asked], Answer]:
    left = list(texts)

    def answer(asked: Asked) -> Answer:
        if "/status" in asked.target:
            return Answer(body={"workflowId": "w1", "status": left.pop(0) if len(left) > 1 else left[0]})
        if asked.method == "POST":
            return Answer(body=b"w1")
        return Answer(body=EXECUTION)

    return answer


def test_waiting_asks_until_the_end_and_then_for_all_of_it(stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_ASK_FIRST_S", 0.001)
    asks: list[Callable[[Any], Any]] = [lambda c: c.wait("w1"), lambda c: c.start_and_wait("order", {"a": 1}, timeout_s=5)]
    for ask in asks:
        stub.answer = statuses("RUNNING", "RUNNING", "PAUSED", "COMPLETED")
        with Client(stub.url) as client:
            assert ask(client).workflow_id == "w1"
        stub.answer = statuses("RUNNING", "COMPLETED")
        assert both(stub, ask)[1].status is WorkflowStatus.COMPLETED


def test_waiting_survives_answers_that_fail_to_come(stub: StubServer, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_ASK_FIRST_S", 0.001)
    plain = statuses("RUNNING", "COMPLETED")
    count = 0

    def answer(asked: Asked) -> Answer:
        nonlocal count
        count += 1
        return Answer(status=504) if count % 2 else plain(asked)

    stub.answer = answer
    assert client.wait("w1").workflow_id == "w1"


def test_waiting_ends_and_says_what_to_wait_for(stub: StubServer, client: Client) -> None:
    stub.answer = statuses("RUNNING")
    with pytest.raises(WaitTimeout, match=r"execution w1 is still RUNNING after 0\.02 s") as raised:
        client.start_and_wait("order", timeout_s=0.02)
    assert (raised.value.workflow_id, raised.value.status) == ("w1", WorkflowStatus.RUNNING)
    assert isinstance(raised.value, TimeoutError)


def test_pages_are_walked_to_their_end(stub: StubServer) -> None:
    def answer(asked: Asked) -> Answer:
        start = int(asked.target.partition("start=")[2].partition("&")[0])
        numbers = range(start, min(start + 2, 5))
        if "/tasks" in asked.target:
            return Answer(body={"totalHits": 5, "results": [{**TASK, "seq": number} for number in numbers]})
        return Answer(body={"totalHits": 5, "results": [{**SUMMARY, "version": number} for number in numbers]})

    stub.answer = answer
    for found in both(stub, lambda c: c.iterate_tasks("w1", size=2)):
        assert [task.number for task in found] == [0, 1, 2, 3, 4]
    for found in both(stub, lambda c: c.iterate_executions("order", size=2)):
        assert [item.version for item in found] == [0, 1, 2, 3, 4]


def test_the_event_loop_does_not_wait_for_the_network(stub: StubServer) -> None:
    together = threading.Barrier(5, timeout=10)

    def slow(_asked: Asked) -> Answer:
        together.wait()  # all five at once, or none is answered
        time.sleep(0.03)
        return Answer(body=EXECUTION)

    stub.answer = slow

    async def main() -> int:
        async with AsyncClient(stub.url) as client:
            ticks = 0
            requests = asyncio.gather(*(client.get("w1") for _ in range(5)))
            while not requests.done():
                await asyncio.sleep(0.001)
                ticks += 1
            return ticks

    assert asyncio.run(main()) > 5
