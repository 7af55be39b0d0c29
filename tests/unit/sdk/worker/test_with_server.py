"""A worker that knows a URL: it asks where its queues are, registers, and carries by HTTP what is too large for a queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.unit.sdk.memory import FAST, STAGE, MemoryQueues, until, working
from tests.unit.sdk.stub import TASK, Answer, Asked, StubServer
from tests.unit.sdk.worker.functions import add

from batuta import Fixed, NoAnswer, SettingsError, TaskContext, Worker, task
from batuta_core.model.event import TaskHandedBack
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import task_queue_name
from batuta_core.model.payload import PayloadRef

INFO = {"stage": STAGE, "region": "us-east-1", "endpoint": "http://127.0.0.1:1", "account": "000000000000", "version": "1"}
NOT_FOUND = Answer(404, {"code": "task_definition_not_found", "message": "none"})


class Server:
    """Answers as a server would; ``routes`` by method and path come first."""

    def __init__(self, stub: StubServer) -> None:
        self.stub = stub
        self.routes: dict[str, Callable[[Asked], Answer] | Answer] = {}
        stub.answer = self._answer

    def _answer(self, asked: Asked) -> Answer:
        for prefix, answer in self.routes.items():
            if f"{asked.method} {asked.target}".startswith(prefix):
                return answer if isinstance(answer, Answer) else answer(asked)
        if asked.target == "/api/batuta":
            return Answer(body=INFO)
        return NOT_FOUND if "/taskdefs/" in asked.target else Answer()

    def asked(self, prefix: str) -> list[Asked]:
        return [asked for asked in self.stub.asked if f"{asked.method} {asked.target}".startswith(prefix)]


@pytest.fixture
def server(stub: StubServer) -> Server:
    return Server(stub)


@task("large", retry=Fixed(delay_s=1, limit=2))
def large(size: int = 300_000) -> dict[str, str]:
    return {"text": "x" * size}


def test_the_stage_comes_from_the_server(server: Server, queues: MemoryQueues) -> None:
    queues.put("add", {"a": 1})
    with working(add, queues=queues, url=server.stub.url, stage=None):
        until(queues.results)
    assert server.asked("GET /api/batuta")


def test_a_server_that_is_starting_is_asked_again(server: Server, queues: MemoryQueues) -> None:
    answers = [Answer(is_dropped=True)] * 6
    server.routes["GET /api/batuta"] = lambda _asked: answers.pop() if answers else Answer(body=INFO)
    worker = Worker(add, queues=queues, url=server.stub.url, timing=replace(FAST, settle_s=10.0))
    worker.start()
    worker.stop()
    assert len(server.asked("GET /api/batuta")) == 7


def test_a_server_that_never_answers_ends_the_start(queues: MemoryQueues) -> None:
    worker = Worker(add, queues=queues, url="http://127.0.0.1:1", timing=replace(FAST, settle_s=0.0))
    with pytest.raises(NoAnswer):
        worker.start()
    assert worker.health().state == "stopped"


def test_a_local_server_with_queues_elsewhere_is_refused(server: Server, queues: MemoryQueues) -> None:
    with pytest.raises(SettingsError, match="the server is a local one"):
        Worker(add, queues=queues, url=server.stub.url, endpoint="https://sqs.us-east-1.amazonaws.com").start()


def test_decorators_are_registered_and_work_goes_on_meanwhile(server: Server, queues: MemoryQueues) -> None:
    queues.put("add", {"a": 1}, namespace="shop")
    with working(add, large, queues=queues, url=server.stub.url, namespace="shop"):
        until(lambda: server.asked("POST /ns/shop/api/metadata/taskdefs"))
        until(queues.results)
    assert server.asked("POST /ns/shop/api/metadata/taskdefs")[0].body == [
        {"name": "large", "retryLogic": "FIXED", "retryCount": 2, "retryDelaySeconds": 1}
    ]


def test_tasks_are_taken_from_the_queue_that_the_servers_definition_names(server: Server, queues: MemoryQueues) -> None:
    server.routes["GET /api/metadata/taskdefs/add"] = Answer(body={"name": "add", "queue": "theirs"})
    for queue in ("theirs", "mine"):
        queues.put("add", {"a": 1}, queue=queue)
    with working(add, large, queues=queues, url=server.stub.url, queue="mine") as worker:
        until(lambda: len(queues.results()) == 2)
        assert set(worker.health().queues) >= {task_queue_name(STAGE, "default", queue) for queue in ("theirs", "mine")}
    assert [result.status for result in queues.results()] == [TaskStatus.COMPLETED] * 2


def test_a_functions_cap_holds_over_all_its_queues(server: Server, queues: MemoryQueues) -> None:
    server.routes["GET /api/metadata/taskdefs/one"] = Answer(body={"name": "one", "queue": "theirs"})
    at_once, most = 0, 0

    @task("one", max_in_progress=1)
    def one() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.005)
        at_once -= 1

    for queue in ("theirs", "mine") * 5:
        queues.put("one", queue=queue)
    with working(one, queues=queues, url=server.stub.url, queue="mine"):
        until(lambda: len(queues.results()) == 10)
    assert most == 1


# --- results


def test_a_large_output_is_posted_and_then_its_message_deleted(server: Server, queues: MemoryQueues) -> None:
    message = queues.put("large")
    with working(large, queues=queues, url=server.stub.url):
        until(lambda: queues.left() == 0)
    (posted,) = server.asked("POST /api/tasks")
    body = posted.body
    assert (body["workflowInstanceId"], body["taskId"], body["status"], body["workerId"]) == (
        message.execution.workflow_id,
        message.task_id,
        "COMPLETED",
        "w1",
    )
    assert len(body["outputData"]["text"]) == 300_000
    assert queues.results() == []


def test_a_large_output_is_posted_until_it_is_answered(server: Server, queues: MemoryQueues) -> None:
    answers = [Answer(is_dropped=True), Answer(503), Answer(500, {"code": "unavailable", "message": "m", "retryable": True}), Answer(429)]

    def answer(_asked: Asked) -> Answer:
        assert queues.left() == 1
        return answers.pop(0) if answers else Answer(body=b"id")

    server.routes["POST /api/tasks"] = answer
    queues.put("large")
    with working(large, queues=queues, url=server.stub.url):
        until(lambda: queues.left() == 0)
    assert len(server.asked("POST /api/tasks")) == 5


def test_a_large_output_that_the_server_refuses_is_a_failure_with_its_words(server: Server, queues: MemoryQueues) -> None:
    server.routes["POST /api/tasks"] = Answer(413, {"code": "payload_too_large", "message": "too much"})
    queues.put("large")
    with working(large, queues=queues, url=server.stub.url):
        result = until(queues.results)[0]
    assert result.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert "was refused by the server: too much Store the data elsewhere" in (result.reason or "")


def test_a_large_output_of_a_task_that_is_gone_needs_no_report(server: Server, queues: MemoryQueues) -> None:
    server.routes["POST /api/tasks"] = Answer(404, {"code": "workflow_not_found", "message": "gone"})
    queues.put("large")
    with working(large, queues=queues, url=server.stub.url):
        until(lambda: queues.left() == 0)
    assert queues.results() == []


# --- inputs


def test_an_input_by_reference_is_read_from_the_server(server: Server, queues: MemoryQueues) -> None:
    message = queues.put("add", PayloadRef("k", 300_000), namespace="shop")
    server.routes[f"GET /ns/shop/api/tasks/{message.task_id}"] = Answer(
        body={**TASK, "status": "IN_PROGRESS", "inputData": {"a": 5, "b": 7}}
    )
    with working(add, queues=queues, url=server.stub.url, namespace="shop"):
        assert until(queues.results)[0].output == {"result": 12}


def test_an_input_by_reference_is_asked_for_until_it_comes_and_its_lease_kept(server: Server, queues: MemoryQueues) -> None:
    message = queues.put("add", PayloadRef("k", 300_000))
    answers = [Answer(503)] * 12

    def answer(_asked: Asked) -> Answer:
        time.sleep(0.003)
        return answers.pop() if answers else Answer(body={**TASK, "status": "SCHEDULED", "inputData": {"a": 1}})

    server.routes[f"GET /api/tasks/{message.task_id}"] = answer
    with working(add, queues=queues, url=server.stub.url):
        until(queues.results)
    assert queues.count("renew") > 0


@pytest.mark.parametrize(
    "answer",
    [Answer(404, {"code": "task_not_found", "message": "gone"}), Answer(body={**TASK, "status": "CANCELED"})],
)
@pytest.mark.parametrize("is_stale", [True, False])
def test_a_task_that_has_ended_meanwhile_is_not_run(server: Server, queues: MemoryQueues, answer: Answer, is_stale: bool) -> None:
    message = queues.put("add", {"a": 1} if is_stale else PayloadRef("k", 300_000))
    server.routes[f"GET /api/tasks/{message.task_id}"] = answer
    timing = replace(FAST, stale_after_s=-1.0 if is_stale else 3600.0)
    with working(add, queues=queues, url=server.stub.url, timing=timing):
        until(lambda: queues.left() == 0)
    assert queues.results() == []


@pytest.mark.parametrize("answer", [Answer(403), Answer(body={**TASK, "status": "SCHEDULED"})])
def test_an_old_message_is_run_when_its_task_is_open_or_nobody_can_say(server: Server, queues: MemoryQueues, answer: Answer) -> None:
    message = queues.put("add", {"a": 1})
    server.routes[f"GET /api/tasks/{message.task_id}"] = answer
    with working(add, queues=queues, url=server.stub.url, timing=replace(FAST, stale_after_s=-1.0)):
        assert until(queues.results)[0].output == {"result": 2}
    assert server.asked(f"GET /api/tasks/{message.task_id}")


def test_fresh_messages_are_not_asked_after(server: Server, queues: MemoryQueues) -> None:
    queues.put("add", {"a": 1})
    with working(add, queues=queues, url=server.stub.url):
        until(queues.results)
    assert server.asked("GET /api/tasks/") == []


def test_an_input_that_the_server_refuses_fails_the_attempt(server: Server, queues: MemoryQueues) -> None:
    message = queues.put("add", PayloadRef("k", 300_000))
    server.routes[f"GET /api/tasks/{message.task_id}"] = Answer(403, {"message": "Forbidden"})
    with working(add, queues=queues, url=server.stub.url):
        result = until(queues.results)[0]
    assert (result.status, "HTTP 403: Forbidden" in (result.reason or "")) == (TaskStatus.FAILED, True)


def test_a_task_whose_input_does_not_come_is_handed_back_at_the_end(server: Server, queues: MemoryQueues) -> None:
    message = queues.put("add", PayloadRef("k", 300_000))
    server.routes[f"GET /api/tasks/{message.task_id}"] = Answer(503)
    with working(add, queues=queues, url=server.stub.url, graceful_shutdown_s=0.02) as worker:
        until(lambda: server.asked(f"GET /api/tasks/{message.task_id}"))
        worker.stop()
    assert {event.place for event in queues.events(TaskHandedBack)} == {message.place}
    assert queues.results() == []


# --- progress


def test_progress_is_visible_at_once_and_not_said_twice(server: Server, queues: MemoryQueues) -> None:
    @task("walk")
    def walk(context: TaskContext) -> None:
        context.progress(1, 2, "half")
        until(lambda: server.asked("POST /api/tasks/"))
        time.sleep(0.03)

    message = queues.put("walk")
    with working(walk, queues=queues, url=server.stub.url):
        result = until(queues.results)[0]
    (posted,) = server.asked(f"POST /api/tasks/{message.task_id}/log")
    assert posted.body == "1/2: half"
    assert result.logs == ()


def test_progress_that_could_not_be_shown_comes_with_the_result(server: Server, queues: MemoryQueues) -> None:
    server.routes["POST /api/tasks/"] = Answer(500)

    @task("walk")
    def walk(context: TaskContext) -> None:
        context.progress(2)
        until(lambda: server.asked("POST /api/tasks/"))

    queues.put("walk")
    with working(walk, queues=queues, url=server.stub.url):
        result = until(queues.results)[0]
    assert [line["log"] for line in result.logs] == ["2"]
