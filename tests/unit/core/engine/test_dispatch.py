"""What goes out: task messages, summaries, the failure workflow; and what can never be sent."""

from __future__ import annotations

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine import operate
from batuta_core.engine.dispatch import dispatch, open_commands
from batuta_core.engine.poll import poll
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import MESSAGE_MAX_BYTES, TASK_INPUT_MAX_BYTES
from batuta_core.model.names import resource_name
from batuta_core.model.payload import INLINE_MAX_BYTES, PayloadRef
from batuta_core.model.record import Record


def with_input(chars: int, unit: str = "x") -> Server:
    server = Server()
    server.register(simple("a", inputParameters={"x": "${workflow.input.x}"}))
    server.start(input={"x": unit * chars})
    return server


@pytest.mark.parametrize("chars", [0, INLINE_MAX_BYTES + 1, TASK_INPUT_MAX_BYTES - 100])
def test_an_input_that_a_message_can_hold_comes_with_it(chars: int) -> None:
    assert with_input(chars).taken("a").input == {"x": "x" * chars}


def test_a_larger_input_comes_by_reference_and_can_be_read_there() -> None:
    server = with_input(TASK_INPUT_MAX_BYTES)
    message = server.taken("a")
    assert isinstance(message.input, PayloadRef)
    assert server.world.payloads.get(message.execution, message.input) == b'{"x":"' + b"x" * TASK_INPUT_MAX_BYTES + b'"}'


def test_an_input_that_grows_by_escaping_comes_by_reference() -> None:
    server = with_input(60_000, "\ud800")  # three bytes stored, six in a message
    message = server.taken("a")
    assert isinstance(message.input, PayloadRef)
    assert len(message.to_text()) < MESSAGE_MAX_BYTES


def test_a_task_whose_queue_is_gone_gets_one_and_is_sent() -> None:
    server = Server()
    server.register(simple("a"), simple("b"))
    execution = server.start()
    del server.world.queues._queues[server.queue("b")]
    server.run_task("a")
    server.settle()
    assert server.waiting(server.queue("b")) == 1
    server.run_task("b")
    assert server.status(execution) == "COMPLETED"


def test_a_function_of_ours_whose_queue_is_gone_fails_the_task_with_the_reason() -> None:
    server = Server()
    server.register({"name": "h", "taskReferenceName": "h", "type": "HTTP", "inputParameters": {"uri": "http://x", "method": "GET"}})
    del server.world.queues._queues[resource_name(server.ports.stage, "http")]
    execution = server.start()
    server.settle()
    assert server.status(execution) == "FAILED"
    assert "no queue for this task type" in (server.newest(execution).head.reason or "")


def test_task_types_that_share_a_queue_lie_on_it_together() -> None:
    server = Server()
    server.register(simple("a"), task_definitions=[{"name": "a", "queue": "shared"}, {"name": "b", "queue": "shared"}])
    server.register(simple("b"), name="v")
    server.start()
    server.start("v")
    assert {server.taken("shared").task_type for _ in range(2)} == {"a", "b"}


def test_a_delayed_task_shows_up_when_it_is_due() -> None:
    server = Server()
    server.register(simple("a", startDelay=600))
    server.start()
    server.world.now_ms += 599_999
    assert server.take("a") is None
    server.world.now_ms += 1
    assert server.take("a") is not None


def test_a_task_delayed_by_a_day_shows_up_when_it_is_due() -> None:
    server = Server()
    server.register(simple("a", startDelay=86_400))
    server.start()
    began_ms = server.world.now_ms
    server.settle(for_ms=86_300_000)
    assert server.take("a") is None
    server.world.now_ms = began_ms + 86_400_000 + 1000  # timers are a second late at most
    assert server.take("a") is not None


def test_commands_that_the_head_has_overtaken_are_left_out() -> None:
    server = Server()
    server.register(simple("a"), simple("b"))
    execution = server.start()
    old: Record = server.newest(execution)
    server.run_task("a")
    dispatch(server.ports, execution, server.newest(execution), open_commands(old.head))
    assert (server.waiting(server.queue("a")), server.waiting(server.queue("b"))) == (0, 1)


def test_the_command_of_an_earlier_attempt_does_not_send_the_present_one() -> None:
    server = Server()
    server.register(simple("a"), task_definitions=[{"name": "a", "retryCount": 1, "retryDelaySeconds": 0}])
    execution = server.start()
    old = server.newest(execution)
    server.report(server.taken("a"), TaskStatus.FAILED)
    dispatch(server.ports, execution, server.newest(execution), old.commands)
    assert server.waiting(server.queue("a")) == 1


def test_a_repeated_command_sends_one_message() -> None:
    server = Server()
    server.register(simple("a"))
    execution = server.start()
    server.taken("a")
    newest = server.newest(execution)
    dispatch(server.ports, execution, newest, (*newest.commands, *newest.commands))
    assert server.waiting(server.queue("a")) == 1


def test_the_summary_says_how_it_stands_and_an_older_one_does_not_overwrite_it() -> None:
    server = Server()
    server.register(simple("a"), task_definitions=[{"name": "a", "retryCount": 0}])
    execution = server.start(correlation_id="c", request_id="r", priority=3)
    old = server.newest(execution)
    server.world.now_ms += 5000
    server.report(server.taken("a"), TaskStatus.FAILED, reason="no luck")
    dispatch(server.ports, execution, old, old.commands)
    summary = server.world.summaries.get(execution)
    assert summary is not None
    assert (summary.status.value, summary.record, summary.correlation_id, summary.request_id, summary.priority) == (
        "FAILED",
        2,
        "c",
        "r",
        3,
    )
    assert (summary.ended_ms - summary.started_ms, summary.failed_refs) == (5000, ("a",))
    assert "no luck" in (summary.reason or "")


def test_the_failure_workflow_gets_the_failed_execution_whole_and_starts_once() -> None:
    server = Server()
    server.register(simple("mend", inputParameters={"all": "${workflow.input}"}), name="handler")
    server.register(simple("a"), failureWorkflow="handler", task_definitions=[{"name": "a", "retryCount": 0}])
    execution = server.start(input={"order": "ü"}, correlation_id="c")
    message = server.taken("a")
    server.report(message, TaskStatus.FAILED, output={"n": 1}, reason="no luck")
    newest = server.newest(execution)
    dispatch(server.ports, execution, newest, newest.commands)
    server.settle()
    child = server.taken("mend")
    assert server.take("mend") is None
    given = child.input["all"]
    assert (given["order"], given["workflowId"], given["failureStatus"]) == ("ü", execution.workflow_id, "FAILED")
    assert given["failureTaskId"] == message.task_id
    assert [task["outputData"] for task in given["failedWorkflow"]["tasks"]] == [{"n": 1}]
    assert "conductor.failure_workflow" not in given["failedWorkflow"]["output"]
    assert child.correlation_id == "c"
    assert server.show(execution)["output"] == {"n": 1, "conductor.failure_workflow": child.execution.workflow_id}


def test_a_purge_leaves_a_tombstone_and_nothing_else() -> None:
    server = Server()
    server.register(simple("a"))
    execution = server.start(input={"x": "x" * 100_000})
    operate.add_log(server.ports, execution.namespace, server.taken("a").task_id, "line")
    assert server.world.payloads.objects
    operate.remove(server.ports, execution, is_archived=False)
    server.settle(for_ms=600_000)
    records = list(server.world.journal.scan(execution))
    assert [(record.seq, record.head.status.value) for record in records] == [(3, "REMOVED")]
    assert server.world.payloads.objects == {}
    assert (server.world.logs.lines(execution), server.world.summaries.get(execution)) == ([], None)


@pytest.mark.parametrize(
    ("listed", "active", "chosen"),
    [
        ({"a": "d1"}, [], "d1"),
        ({"*": "d1"}, [], "d1"),
        ({"*": "d1", "a": "d2"}, [], "d2"),
        ({"a": "NO_DOMAIN"}, [], ""),
        ({"a": "d1, d2 ,d3"}, [], "d3"),
        ({"a": "d1,d2,d3"}, ["d2"], "d2"),
        ({"a": "d1,NO_DOMAIN"}, [], ""),
        ({"a": "d1,NO_DOMAIN"}, ["d1"], "d1"),
        ({"b": "d1"}, [], ""),
    ],
)
def test_a_task_goes_to_the_first_of_its_domains_that_somebody_serves(listed: dict[str, str], active: list[str], chosen: str) -> None:
    server = Server()
    server.register(simple("a"))
    for domain in active:
        poll(server.ports, NAMESPACE, "a", worker_id="w", domain=domain, timeout_ms=0)
    execution = server.start(task_to_domain=listed)
    server.settle()  # the domain's queue is made
    assert [task.get("domain", "") for task in server.show(execution)["tasks"]] == [chosen]
    assert len(poll(server.ports, NAMESPACE, "a", worker_id="w", domain=chosen, timeout_ms=0)) == 1
