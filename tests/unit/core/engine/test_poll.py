"""HTTP workers' polls: who gets which task, and who holds it then."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Json, Server, simple

from batuta_core.engine import operate
from batuta_core.engine.dead_letters import drain_tasks
from batuta_core.engine.operate import TaskReport
from batuta_core.engine.poll import poll
from batuta_core.engine.ports import MAX_RECEIVES, TASK_VISIBILITY_S, Incoming, Outgoing
from batuta_core.model.error import RecordTooLarge
from batuta_core.model.event import TaskStarted, WorkflowTerminated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import SCHEMA, InboxMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(simple("a"), task_definitions=[{"name": "a", "retryCount": 1, "retryDelaySeconds": 0, "responseTimeoutSeconds": 60}])
    return found


def polled(server: Server, task_type: str = "a", **fields: Any) -> list[Json]:
    return poll(server.ports, NAMESPACE, task_type, **{"worker_id": "me", "timeout_ms": 0, **fields})


def report(server: Server, task: Json, status: TaskStatus = TaskStatus.COMPLETED, **fields: Any) -> None:
    answer = TaskReport(status=status, output=fields.pop("output", {}), worker_id="me", **fields)
    operate.update_task(server.ports, NAMESPACE, task["workflowInstanceId"], task["taskId"], answer)


def test_a_polled_task_is_in_progress_and_shows_what_the_worker_needs(server: Server) -> None:
    execution = server.start(input={"x": 1}, correlation_id="c", priority=4)
    [task] = polled(server)
    assert (task["workflowInstanceId"], task["referenceTaskName"], task["taskType"]) == (execution.workflow_id, "a", "a")
    assert (task["status"], task["pollCount"], task["workerId"], task["retryCount"]) == ("IN_PROGRESS", 1, "me", 0)
    assert (task["correlationId"], task["workflowPriority"], task["responseTimeoutSeconds"]) == ("c", 4, 60)
    assert server.show(execution)["tasks"] == [task]


def test_a_task_is_handed_out_once(server: Server) -> None:
    server.start()
    assert [len(polled(server)) for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (-1, 0), (1, 1), (3, 3), (10, 5), (1000, 5)])
def test_a_poll_gives_as_many_as_wanted_or_there(server: Server, count: int, expected: int) -> None:
    executions = {server.start().workflow_id for _ in range(5)}
    found = [task["workflowInstanceId"] for task in polled(server, count=count)]
    assert len(found) == len(set(found) & executions) == expected


def test_a_poll_fetches_more_than_one_batch_of_the_queue(server: Server) -> None:
    for _ in range(23):
        server.start()
    assert len(polled(server, count=23)) == 23


@pytest.mark.parametrize("task_type", ["unknown", "", "A", "é" * 200, "a\x00"])
def test_a_type_that_nobody_registered_has_no_tasks(server: Server, task_type: str) -> None:
    server.start()
    assert polled(server, task_type) == []


def test_namespaces_and_domains_do_not_see_each_others_tasks(server: Server) -> None:
    server.start()
    assert poll(server.ports, "other", "a", worker_id="me", timeout_ms=0) == []
    assert polled(server, domain="d") == []
    assert len(polled(server)) == 1


def test_a_polled_task_can_be_finished(server: Server) -> None:
    execution = server.start()
    report(server, polled(server)[0], output={"n": 1})
    assert (server.status(execution), server.show(execution)["output"]) == ("COMPLETED", {"n": 1})


def test_a_task_that_is_not_answered_comes_again_as_the_next_attempt(server: Server) -> None:
    execution = server.start()
    polled(server)
    server.settle(for_ms=61_000)
    [task] = polled(server)
    assert (task["retryCount"], server.show(execution)["tasks"][0]["status"]) == (1, "TIMED_OUT")


def test_a_task_that_asks_to_be_called_again_is_polled_after_its_delay(server: Server) -> None:
    server.start()
    report(server, polled(server)[0], TaskStatus.IN_PROGRESS, output={"half": 1}, callback_after_s=30)
    assert polled(server) == []
    server.world.now_ms += 30_000
    [task] = polled(server)
    assert (task["pollCount"], task["outputData"], task["callbackAfterSeconds"]) == (2, {"half": 1}, 0)


def test_a_task_whose_execution_has_ended_is_not_handed_out(server: Server) -> None:
    operate.terminate(server.ports, server.start(), None)
    operate.remove(server.ports, server.start(), is_archived=False)
    assert polled(server, count=5) == []
    assert server.waiting(server.queue("a")) == 0


def test_a_message_of_an_earlier_call_is_not_handed_out(server: Server) -> None:
    server.start()
    message = server.taken("a")
    server.report(message, TaskStatus.IN_PROGRESS, call=0)
    server.taken("a")  # the present call
    server.world.queues.send(server.queue("a"), [Outgoing(message.to_text())])  # the earlier one once more
    assert polled(server, count=5) == []
    assert server.world.queues.size(server.queue("a")).total == 0


def test_a_task_that_an_sdk_worker_began_and_lost_can_be_polled(server: Server) -> None:
    execution = server.start()
    message = server.taken("a")
    began = TaskStarted(place=message.place, op="x", worker_id="sdk", call=0)
    server.send(InboxMessage(execution=execution, event=began, token=message.token, attempt=1))
    server.settle()
    server.world.queues.send(server.queue("a"), [Outgoing(message.to_text())])  # its lease is over
    assert [(task["workerId"], task["pollCount"]) for task in polled(server)] == [("me", 2)]


def test_what_is_not_ours_on_a_queue_is_dropped_and_logged(server: Server) -> None:
    server.world.queues.send(server.queue("a"), [Outgoing("junk"), Outgoing('{"v":1}')])
    server.start()
    assert len(polled(server, count=5)) == 1
    assert server.log.events == ["message_not_ours"] * 2
    assert server.world.queues.size(server.queue("a")).total == 0


def test_a_message_of_a_newer_version_waits(server: Server) -> None:
    server.world.queues.send(server.queue("a"), [Outgoing('{"v":2}')])
    assert polled(server) == []
    assert server.world.queues.size(server.queue("a")).in_flight == 1


def test_a_newer_message_that_an_older_server_polls_costs_the_attempt_no_lease(server: Server) -> None:
    """As while a deployment is rolled back: five receives must not look like five dead workers."""
    execution = server.start()
    (message,) = server.world.queues.receive(server.queue("a"), 1, 0)
    server.world.queues.delete(server.queue("a"), [message.receipt])
    server.world.queues.send(server.queue("a"), [Outgoing(json.dumps({**json.loads(message.text), "v": SCHEMA + 1}))])
    for _ in range(MAX_RECEIVES):
        assert polled(server) == []
        server.world.now_ms += TASK_VISIBILITY_S * 1000
        server.settle(1000)
    assert len(server.newest(execution).head.open["a"].handed_back) == MAX_RECEIVES
    assert polled(server) == []
    texts = [text for queue, text in server.world.queues.texts() if queue == server.world.queues.task_dead_letters]
    assert len(texts) == 1
    assert drain_tasks(server.ports, [Incoming("m", message.text, "r", 1)]) == []  # by a newer server, to which it is no news
    server.settle(1000)
    assert (server.status(execution), server.newest(execution).head.open["a"].attempt) == ("RUNNING", 1)
    assert len(polled(server)) == 1


def test_a_newer_message_without_its_tasks_token_moves_nobody(server: Server) -> None:
    execution = server.start()
    (message,) = server.world.queues.receive(server.queue("a"), 1, 0)
    forged = {**json.loads(message.text), "v": SCHEMA + 1, "tok": "forged"}
    server.world.queues.send(server.queue("a"), [Outgoing(json.dumps(forged))])
    assert polled(server) == []
    server.settle(1000)
    assert not server.newest(execution).head.open["a"].handed_back


def test_who_polled_is_noted_even_when_there_is_nothing(server: Server) -> None:
    polled(server, "unknown", worker_id="wörker", domain="d")
    assert [(poll.task_type, poll.domain, poll.worker_id) for poll in server.world.definitions.polls(NAMESPACE)] == [
        ("unknown", "d", "wörker")
    ]


def test_large_inputs_and_outputs_are_shown_whole(server: Server) -> None:
    server.register(simple("a", inputParameters={"x": "${workflow.input.x}"}))
    server.start(input={"x": "x" * 300_000})
    assert polled(server)[0]["inputData"] == {"x": "x" * 300_000}


def test_a_poll_hands_out_no_more_than_an_answer_holds(server: Server) -> None:
    """The rest is on its queue again, at once."""
    server.register(simple("a", inputParameters={"x": "${workflow.input.x}"}))
    for _ in range(40):
        server.start(input={"x": "y" * 180_000})
    found = polled(server, count=40)
    assert 20 < len(found) < 40
    assert sum(len(json.dumps(task)) for task in found) < 6_000_000
    assert len(polled(server, count=40)) == 40 - len(found)


def forked(server: Server, width: int = 5) -> ExecutionId:
    branches = [[simple(f"b{number}", name="a")] for number in range(width)]
    join = {"name": "join", "taskReferenceName": "join", "type": "JOIN", "joinOn": [f"b{number}" for number in range(width)]}
    server.register({"name": "fork", "taskReferenceName": "fork", "type": "FORK_JOIN", "forkTasks": branches}, join, name="forked")
    return server.start("forked")


def test_the_tasks_of_one_execution_are_taken_in_one_record(server: Server) -> None:
    execution, other = forked(server), server.start()
    before = server.newest(execution).seq
    found = polled(server, count=10)
    assert sorted(task["referenceTaskName"] for task in found) == ["a", "b0", "b1", "b2", "b3", "b4"]
    assert {task["status"] for task in found} == {"IN_PROGRESS"}
    assert server.newest(execution).seq == before + 1
    assert server.world.queues.size(server.queue("a")).total == 0
    for task in found:
        report(server, task)
    assert server.status(execution) == server.status(other) == "COMPLETED"


def test_a_message_that_is_given_out_twice_at_once_is_one_task(server: Server) -> None:
    forked(server)
    message = server.taken("a")
    for _ in range(2):
        server.world.queues.send(server.queue("a"), [Outgoing(message.to_text())])
    found = polled(server, count=10)
    assert sorted(task["referenceTaskName"] for task in found) == ["b0", "b1", "b2", "b3", "b4"]
    assert {task["pollCount"] for task in found} == {1}
    assert server.world.queues.size(server.queue("a")).total == 0


def test_of_several_messages_only_those_with_something_to_run_are_handed_out(server: Server) -> None:
    execution = forked(server)
    ended, *others = (server.taken("a") for _ in range(5))
    server.report(ended)
    for message in (ended, *others):
        server.world.queues.send(server.queue("a"), [Outgoing(message.to_text())])
    assert {task["taskId"] for task in polled(server, count=10)} == {message.task_id for message in others}
    assert server.world.queues.size(server.queue("a")).total == 0
    assert all(server.newest(execution).head.open[message.ref].is_leased for message in others)


def test_tasks_that_do_not_fit_into_one_record_are_taken_one_by_one(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = forked(server)
    together = operate.operate_together

    def narrow(ports: Any, execution: ExecutionId, make: operate.MakeEvents) -> Record:
        if len(make(server.newest(execution))) > 1:
            raise RecordTooLarge("too large")
        return together(ports, execution, make)

    monkeypatch.setattr(operate, "operate_together", narrow)
    before = server.newest(execution).seq
    assert len(polled(server, count=10)) == 5
    assert server.newest(execution).seq == before + 5


def test_a_batch_too_large_for_a_record_ends_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = forked(server)

    def refuse(*_args: Any) -> Any:
        raise RecordTooLarge("too large")

    monkeypatch.setattr(operate, "spill", refuse)
    with pytest.raises(RecordTooLarge):
        operate.operate_together(server.ports, execution, lambda _newest: [WorkflowTerminated(op="x"), WorkflowTerminated(op="y")])
    assert server.status(execution) == "RUNNING"


def test_an_execution_that_cannot_be_decided_holds_up_no_other(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    fine, broken = server.start(), forked(server)
    together = operate.operate_together

    def failing(ports: Any, execution: ExecutionId, make: operate.MakeEvents) -> Record:
        if execution == broken:
            raise RuntimeError("a bug")
        return together(ports, execution, make)

    with monkeypatch.context() as patched:
        patched.setattr(operate, "operate_together", failing)
        assert [task["workflowInstanceId"] for task in polled(server, count=10)] == [fine.workflow_id]
    assert "task_not_taken" in server.log.events
    assert len(polled(server, count=10)) == 5  # at once
