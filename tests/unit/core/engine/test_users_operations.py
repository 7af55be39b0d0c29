"""Operations as the engine carries them out: what stands between the door and the decider."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine import operate, operations, query
from batuta_core.engine.export import Export, export
from batuta_core.engine.failure import started_by_failure
from batuta_core.engine.replay import replay
from batuta_core.model.command import StartFailureWorkflow
from batuta_core.model.error import PayloadTooLarge
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import INLINE_MAX_BYTES, PAYLOAD_MAX_BYTES

ONCE = [{"name": "a", "retryCount": 0}, {"name": "b", "retryCount": 0}]


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(simple("a"), task_definitions=ONCE)
    return found


def shown(server: Server, execution: ExecutionId) -> dict[str, Any]:
    return query.workflow_json(server.ports, execution)


def test_a_journal_over_two_definitions_is_exported_and_decided_again(server: Server) -> None:
    execution = server.start()
    server.report(server.taken("a"), TaskStatus.FAILED)
    server.register(simple("b"), simple("a"), version=2)
    operations.restart(server.ports, execution, is_latest=True)
    server.report(server.taken("b"))
    operations.pause(server.ports, execution)
    exported = Export.from_dict(export(server.ports, execution).to_dict())
    assert len(exported.others) == 1
    assert replay(exported) is None
    found = shown(server, execution)
    assert (found["workflowVersion"], [task["referenceTaskName"] for task in found["tasks"]]) == (2, ["b", "a"])
    assert found["failedReferenceTaskNames"] == ["a"]


def test_large_payloads_of_operations_go_by_reference(server: Server) -> None:
    large = {"text": "x" * (INLINE_MAX_BYTES + 1)}
    execution = server.start()
    operations.update_variables(server.ports, execution, large)
    operate.terminate(server.ports, execution, None)
    task_id = shown(server, execution)["tasks"][0]["taskId"]
    operations.rerun(server.ports, execution, task_id=task_id, task_input=large, workflow_input=large)
    assert len(server.newest(execution).to_json()) < INLINE_MAX_BYTES
    found = shown(server, execution)
    assert (found["input"], found["variables"], found["tasks"][0]["inputData"]) == (large, large, large)
    assert server.taken("a").place.rerun == server.newest(execution).head.life
    assert replay(export(server.ports, execution)) is None


def test_an_input_that_is_too_large_is_refused(server: Server) -> None:
    execution = server.start()
    operate.terminate(server.ports, execution, None)
    with pytest.raises(PayloadTooLarge):
        operations.rerun(server.ports, execution, workflow_input={"text": "x" * PAYLOAD_MAX_BYTES})


def test_a_failure_workflow_that_is_sent_off_late_is_told_of_the_end_and_not_of_the_retry(server: Server) -> None:
    server.register(simple("b"), name="handler")
    server.register(simple("a"), name="fails", failureWorkflow="handler")
    execution = server.start("fails")
    server.report(server.taken("a"), TaskStatus.FAILED)
    ended = server.newest(execution)
    operations.retry(server.ports, execution)
    (command,) = [command for command in ended.commands if isinstance(command, StartFailureWorkflow)]
    event = started_by_failure(server.ports, execution, ended, command, ExecutionId(NAMESPACE, command.workflow_id))  # who ended it, slowly
    assert event is not None
    told = event.input
    assert (told["failureStatus"], [task["status"] for task in told["failedWorkflow"]["tasks"]]) == ("FAILED", ["FAILED"])


def test_an_operation_on_one_namespace_does_not_reach_another(server: Server) -> None:
    execution = server.start()
    with pytest.raises(Exception, match="No such workflow"):
        operations.pause(server.ports, ExecutionId("other", execution.workflow_id))
    assert execution.namespace == NAMESPACE


@pytest.mark.parametrize("status", [TaskStatus.COMPLETED, TaskStatus.FAILED])
def test_a_lookup_by_id_sees_what_operations_made_of_a_task(server: Server, status: TaskStatus) -> None:
    execution = server.start()
    message = server.taken("a")
    server.report(message, status)
    operations.rerun(server.ports, execution, task_id=message.task_id)
    assert query.task_json(server.ports, NAMESPACE, message.task_id)["status"] == "SCHEDULED"
    report = operate.TaskReport(status=TaskStatus.COMPLETED, output={"n": 2})
    operate.update_task(server.ports, NAMESPACE, execution.workflow_id, message.task_id, report)
    assert query.task_json(server.ports, NAMESPACE, message.task_id)["outputData"] == {"n": 2}
    assert shown(server, execution)["status"] == "COMPLETED"
