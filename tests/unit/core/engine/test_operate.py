"""What users and HTTP workers do to an execution."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine import operate
from batuta_core.engine.operate import TaskReport
from batuta_core.model import ids
from batuta_core.model.error import BatutaError, InvalidInput, OperationRefused, PayloadTooLarge, TaskNotFound, WorkflowNotFound
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PAYLOAD_MAX_BYTES

UNKNOWN = "00000000-0000-4000-8000-000000000000"
DONE = TaskReport(status=TaskStatus.COMPLETED, output={"n": 1})
WAIT = {"name": "w", "taskReferenceName": "w", "type": "WAIT"}


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(simple("a"), task_definitions=[{"name": "a", "retryCount": 0}])
    return found


def into(server: Server, status: str) -> ExecutionId:
    execution = server.start()
    if status == "TERMINATED":
        operate.terminate(server.ports, execution, "first")
    elif status == "REMOVED":
        operate.remove(server.ports, execution, is_archived=False)
    elif status != "RUNNING":
        server.report(server.taken("a"), TaskStatus(status))
    return execution


def update(server: Server, message: TaskMessage, report: TaskReport) -> None:
    operate.update_task(server.ports, NAMESPACE, message.execution.workflow_id, message.task_id, report)


# --- terminate and remove


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("RUNNING", "TERMINATED second"),
        ("FAILED", "TERMINATED second"),
        ("TERMINATED", "TERMINATED first"),
        ("COMPLETED", OperationRefused),
        ("REMOVED", WorkflowNotFound),
    ],
)
def test_terminating_an_execution_by_its_status(server: Server, status: str, expected: str | type[BatutaError]) -> None:
    execution = into(server, status)
    if isinstance(expected, str):
        operate.terminate(server.ports, execution, "second")
        head = server.newest(execution).head
        assert f"{head.status.value} {head.reason}" == expected
    else:
        with pytest.raises(expected):
            operate.terminate(server.ports, execution, "second")


@pytest.mark.parametrize("reason", [None, "", "día 😀\x00\ud800"])
def test_the_reason_of_a_terminate_is_kept_as_it_is(server: Server, reason: str | None) -> None:
    execution = server.start()
    operate.terminate(server.ports, execution, reason)
    assert server.newest(execution).head.reason == reason


@pytest.mark.parametrize("workflow_id", [UNKNOWN, "", "x", "#", UNKNOWN.upper(), "../" * 12])
def test_an_execution_that_is_not_there(server: Server, workflow_id: str) -> None:
    execution = ExecutionId(NAMESPACE, workflow_id)
    with pytest.raises(WorkflowNotFound, match="No such workflow found by id"):
        operate.terminate(server.ports, execution, None)
    with pytest.raises(WorkflowNotFound):
        operate.remove(server.ports, execution, is_archived=False)
    with pytest.raises(WorkflowNotFound):
        operate.update_by_ref(server.ports, execution, "a", DONE)


def test_an_execution_of_another_namespace_is_not_there(server: Server) -> None:
    with pytest.raises(WorkflowNotFound):
        operate.terminate(server.ports, ExecutionId("other", server.start().workflow_id), None)


@pytest.mark.parametrize(("status", "is_refused"), [("RUNNING", True), ("COMPLETED", False), ("FAILED", False), ("TERMINATED", False)])
def test_archiving_takes_ended_executions_only(server: Server, status: str, is_refused: bool) -> None:
    execution = into(server, status)
    if is_refused:
        with pytest.raises(InvalidInput, match=f"Cannot archive workflow: {execution.workflow_id} with status: RUNNING"):
            operate.remove(server.ports, execution, is_archived=True)
    else:
        operate.remove(server.ports, execution, is_archived=True)
    assert server.status(execution) == (status if is_refused else "REMOVED")


def test_a_removed_execution_takes_no_results_any_more(server: Server) -> None:
    execution = server.start()
    message = server.taken("a")
    operate.remove(server.ports, execution, is_archived=False)
    with pytest.raises(WorkflowNotFound):
        update(server, message, DONE)
    server.report(message)
    assert server.status(execution) == "REMOVED"
    with pytest.raises(WorkflowNotFound):
        operate.remove(server.ports, execution, is_archived=False)


# --- results


def test_a_result_over_http_moves_the_execution_on(server: Server) -> None:
    execution = server.start()
    update(server, server.taken("a"), DONE)
    assert (server.status(execution), server.show(execution)["output"]) == ("COMPLETED", {"n": 1})


def test_a_second_result_is_taken_and_changes_nothing(server: Server) -> None:
    execution = server.start()
    message = server.taken("a")
    update(server, message, DONE)
    before = server.newest(execution)
    update(server, message, TaskReport(status=TaskStatus.FAILED, output={"n": 2}))
    assert server.newest(execution) == before


def test_a_heartbeat_reports_nothing_else(server: Server) -> None:
    execution = server.start()
    message = server.taken("a")
    heartbeat = TaskReport(status=TaskStatus.COMPLETED, output={"n": 1}, is_lease_extended=True)
    update(server, message, heartbeat)
    assert server.newest(execution).seq == 1  # nobody holds the task
    assert server.status(execution) == "RUNNING"


@pytest.mark.parametrize("place", [(1, 1), (2, 0), (0, 0), (2**40, 0)])
def test_a_task_that_never_was_is_not_found(server: Server, place: tuple[int, int]) -> None:
    execution = server.start()
    task_id = ids.task_id(execution.workflow_id, *place)
    with pytest.raises(TaskNotFound, match=task_id):
        operate.update_task(server.ports, NAMESPACE, execution.workflow_id, task_id, DONE)


@pytest.mark.parametrize("task_id", ["", "x", UNKNOWN, "é"])
def test_what_is_no_task_id_is_not_found(server: Server, task_id: str) -> None:
    with pytest.raises(TaskNotFound):
        operate.update_task(server.ports, NAMESPACE, server.start().workflow_id, task_id, DONE)


def test_a_task_of_another_execution_is_not_found(server: Server) -> None:
    other = server.start()
    message = server.taken("a")
    execution = server.start()
    with pytest.raises(TaskNotFound):
        operate.update_task(server.ports, NAMESPACE, execution.workflow_id, message.task_id, DONE)
    assert (server.status(execution), server.status(other)) == ("RUNNING", "RUNNING")


@pytest.mark.parametrize("unit", ["x", "😀"])
def test_an_output_is_limited_by_its_bytes(server: Server, unit: str) -> None:
    execution = server.start()
    room = (PAYLOAD_MAX_BYTES - len('{"k":""}')) // len(unit.encode())
    message = server.taken("a")
    with pytest.raises(PayloadTooLarge):
        update(server, message, TaskReport(status=TaskStatus.COMPLETED, output={"k": unit * (room + 1)}))
    assert server.status(execution) == "RUNNING"
    update(server, message, TaskReport(status=TaskStatus.COMPLETED, output={"k": unit * room}))
    assert server.status(execution) == "COMPLETED"


# --- by reference name, by signal


def test_a_report_by_reference_name_finds_the_open_task(server: Server) -> None:
    execution = server.start()
    message = server.taken("a")
    assert operate.update_by_ref(server.ports, execution, "nobody", DONE) is None
    assert operate.update_by_ref(server.ports, execution, "a", DONE) == message.task_id
    assert operate.update_by_ref(server.ports, execution, "a", DONE) is None
    assert server.status(execution) == "COMPLETED"


@pytest.mark.parametrize("ref", ["", "__", "a__1", "é"])
def test_a_reference_name_that_is_only_alike_finds_nothing(server: Server, ref: str) -> None:
    assert operate.update_by_ref(server.ports, server.start(), ref, DONE) is None


def test_a_signal_goes_to_the_task_that_waits_and_to_no_other(server: Server) -> None:
    server.register(simple("a"), WAIT, name="v")
    execution = server.start("v")

    def is_signalled(ref: str) -> bool:
        return ref == "w"

    assert operate.signal(server.ports, execution, DONE, is_signalled) is None
    server.run_task("a")
    assert operate.signal(server.ports, execution, DONE, is_signalled) is not None
    assert server.show(execution)["output"] == {"n": 1}
    assert operate.signal(server.ports, execution, DONE, is_signalled) is None


# --- logs


@pytest.mark.parametrize("text", ["", "line", "día 😀\n\x00"])
def test_a_log_line_is_kept(server: Server, text: str) -> None:
    execution = server.start()
    operate.add_log(server.ports, NAMESPACE, server.taken("a").task_id, text)
    assert [line.text for line in server.world.logs.lines(execution)] == [text]


@pytest.mark.parametrize(("task_id", "error"), [("x", TaskNotFound), (ids.task_id(UNKNOWN, 1, 0), WorkflowNotFound)])
def test_a_log_line_of_nothing_is_refused(server: Server, task_id: str, error: type[BatutaError]) -> None:
    with pytest.raises(error):
        operate.add_log(server.ports, NAMESPACE, task_id, "line")


# --- what an operation leaves on the queues


@pytest.mark.parametrize(("report", "guards"), [(DONE, 1), (TaskReport(status=TaskStatus.IN_PROGRESS, output={}), 1)])
def test_a_record_with_commands_has_a_guard(server: Server, report: TaskReport, guards: int) -> None:
    server.start()
    before = server.waiting(server.world.queues.timers)
    update(server, server.taken("a"), report)
    assert server.waiting(server.world.queues.timers) == before + guards


def test_an_operation_that_changes_nothing_sends_nothing(server: Server) -> None:
    execution = into(server, "TERMINATED")
    before = server.world.queues.texts()
    operate.terminate(server.ports, execution, "again")
    assert server.world.queues.texts() == before


def test_logs_and_workers_of_a_report_are_shown(server: Server) -> None:
    execution = server.start()
    line: dict[str, Any] = {"log": "done", "createdTime": 5, "taskId": "x"}
    update(server, server.taken("a"), TaskReport(status=TaskStatus.COMPLETED, output={}, worker_id="me", reason="fine", logs=[line]))
    [task] = server.show(execution)["tasks"]
    assert (task["workerId"], task["reasonForIncompletion"]) == ("me", "fine")
