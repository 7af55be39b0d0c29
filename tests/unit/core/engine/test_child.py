"""Executions that start each other, on the production engine: what is found, what goes along, what comes back."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Json, Server, simple

from batuta_core.decider import on_child
from batuta_core.decider.tasks.registry import task_type
from batuta_core.engine import export, operate, operations, replay
from batuta_core.engine.advance import advance_alone
from batuta_core.engine.ports import Incoming, SummaryQuery
from batuta_core.engine.signal import signal
from batuta_core.engine.start import IdempotencyStrategy
from batuta_core.model.error import WorkflowDefinitionNotFound
from batuta_core.model.event import WorkflowStarted
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.family_event import ChildEnded
from batuta_core.model.message import InboxMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_core.model.place import TaskPlace


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(simple("work", inputParameters={"v": "${workflow.input.v}"}), name="child")
    return found


def run(ref: str = "s", **fields: Any) -> Json:
    return {"name": ref, "taskReferenceName": ref, "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "child"}, **fields}


def begin(ref: str = "s", **wish: Any) -> Json:
    inputs = {"startWorkflow": {"name": "child", **wish}}
    return {"name": ref, "taskReferenceName": ref, "type": "START_WORKFLOW", "inputParameters": inputs}


def child_of(server: Server, parent: ExecutionId, ref: str = "s") -> ExecutionId:
    shown = next(task for task in reversed(server.show(parent)["tasks"]) if task["referenceTaskName"] == ref)
    return ExecutionId(NAMESPACE, shown.get("subWorkflowId") or shown["outputData"]["workflowId"])


def test_a_child_is_shown_with_its_parent_and_the_parent_with_its_child(server: Server) -> None:
    server.register(run(inputParameters={"v": 3}))
    parent = server.start(correlation_id="c", priority=9, task_to_domain={"other": "d"})
    server.settle()
    child = child_of(server, parent)
    shown, task = server.show(child), server.show(parent)["tasks"][0]
    assert (shown["parentWorkflowId"], shown["parentWorkflowTaskId"]) == (parent.workflow_id, task["taskId"])
    assert (shown["input"], shown["correlationId"], shown["priority"], shown["taskToDomain"]) == ({"v": 3}, "c", 0, {"other": "d"})
    assert (task["outputData"], task["subWorkflowId"]) == ({"subWorkflowId": child.workflow_id}, child.workflow_id)
    summary = server.world.summaries.get(child)
    assert summary is not None
    assert (summary.parent_workflow_id, summary.trigger) == (parent.workflow_id, "SUB_WORKFLOW")
    server.run_task("work", {"n": 1})
    assert server.show(parent)["tasks"][0]["outputData"] == {"n": 1, "subWorkflowId": child.workflow_id}
    assert (server.status(parent), server.status(child)) == ("COMPLETED", "COMPLETED")


def test_what_the_param_says_goes_before_what_is_inherited(server: Server) -> None:
    param = {"name": "child", "taskToDomain": {"work": "own"}, "priority": "${workflow.input.p}", "idempotencyKey": "k"}
    server.register(run(subWorkflowParam=param))
    parent = server.start(input={"p": 4}, task_to_domain={"work": "d"})
    server.settle()
    shown = server.show(child_of(server, parent))
    assert (shown["taskToDomain"], shown["priority"], shown["idempotencyKey"]) == ({"work": "own"}, 4, "k")


def test_the_latest_version_is_that_of_the_parents_start(server: Server) -> None:
    server.register(simple("a"), run())
    early = server.start()
    server.register(simple("new"), name="child", version=2)
    late = server.start()
    server.run_task("a")
    server.run_task("a")
    versions = [server.show(child_of(server, parent))["workflowVersion"] for parent in (early, late)]
    assert versions == [1, 2]
    assert server.show(early)["workflowDefinition"]["tasks"][1]["subWorkflowParam"] == {"name": "child", "version": 1}


@pytest.mark.parametrize(
    "definition", [{"name": "nobody"}, {"name": "${workflow.input.x}"}, {"name": "y", "workflowDefinition": "${workflow.input.d}"}]
)
def test_a_child_that_nobody_registered_is_missed_at_the_parents_start(server: Server, definition: Json) -> None:
    server.register(simple("a"), run(subWorkflowParam=definition))
    with pytest.raises(WorkflowDefinitionNotFound, match=r"^The Task .* defined as a sub-workflow has no workflow definition available $"):
        server.start()
    assert not server.world.journal.executions()


def test_a_version_that_nobody_registered_fails_the_task(server: Server) -> None:
    server.register(run(subWorkflowParam={"name": "child", "version": 7}))
    parent = server.start()
    assert server.show(parent)["tasks"][0]["reasonForIncompletion"] == "No such workflow defined. name=child, version=7"
    assert server.status(parent) == "FAILED"
    assert replay.replay(export.export(server.world.plain, parent)) is None


def test_a_definition_that_comes_along_needs_no_registration(server: Server) -> None:
    server.register(run(subWorkflowParam={"name": "y", "version": 1, "workflowDefinition": "${workflow.input.d}"}))
    parent = server.start(input={"d": {"name": "inline", "tasks": [simple("fresh")]}})
    server.settle()
    server.run_task("fresh", {"n": 5})
    assert server.show(parent)["output"] == {"n": 5, "subWorkflowId": child_of(server, parent).workflow_id}
    assert server.show(child_of(server, parent))["input"]["_systemMetadata"] == {"dynamic": True}
    assert replay.replay(export.export(server.world.plain, parent)) is None


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ({"name": "inline", "tasks": []}, "The inline workflow definition is not valid: "),
        ("text", "subWorkflowParam.workflowDefinition is no workflow definition"),
    ],
)
def test_a_definition_that_comes_along_is_checked(server: Server, definition: Any, reason: str) -> None:
    server.register(run(subWorkflowParam={"name": "y", "version": 1, "workflowDefinition": "${workflow.input.d}"}))
    parent = server.start(input={"d": definition})
    assert server.status(parent) == "FAILED"
    assert reason in server.show(parent)["tasks"][0]["reasonForIncompletion"]


def test_registration_makes_the_queues_of_inline_children(server: Server) -> None:
    inline = {"name": "inline", "tasks": [simple("deep")]}
    server.register(run(subWorkflowParam={"workflowDefinition": inline}))
    assert server.queue("deep") in server.world.queues.names()


@pytest.mark.parametrize("size", [40_000, 400_000])
def test_large_payloads_travel_both_ways(server: Server, size: int) -> None:
    server.register(run(inputParameters={"v": "${workflow.input.v}"}), outputParameters={"back": "${s.output.text}"})
    parent = server.start(input={"v": "x" * size})
    server.settle()
    child = child_of(server, parent)
    assert len(server.show(child)["input"]["v"]) == size
    message = server.taken("work")
    operate.update_task(
        server.ports,
        NAMESPACE,
        child.workflow_id,
        message.task_id,
        operate.TaskReport(status=TaskStatus.COMPLETED, output={"text": "y" * size}),
    )
    server.settle()
    assert len(server.show(parent)["output"]["back"]) == size
    event = next(event for record in server.world.journal.scan(parent) for event in record.events if isinstance(event, ChildEnded))
    assert isinstance(event.output, PayloadRef)
    operate.remove(server.ports, child, is_archived=True)
    server.settle(200_000)
    assert len(server.show(parent)["output"]["back"]) == size, "the parent's copy is its own"


def test_the_childs_failure_workflow_is_no_part_of_what_the_parent_hears(server: Server) -> None:
    server.register(simple("h"), name="handler")
    failing = {"name": "work", "retryCount": 0, "responseTimeoutSeconds": 10}
    server.register(simple("work"), name="child", version=2, failureWorkflow="handler", task_definitions=[failing])
    server.register(run())
    parent = server.start()
    server.settle()
    server.report(server.taken("work"), TaskStatus.FAILED, {"e": 1}, reason="boom")
    child = child_of(server, parent)
    shown = server.show(parent)
    assert shown["output"] == {"e": 1, "subWorkflowId": child.workflow_id}
    assert shown["tasks"][0]["reasonForIncompletion"].startswith(f"Sub workflow child.2/{child.workflow_id} failure reason: Task ")
    assert "conductor.failure_workflow" in server.show(child)["output"]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("stop all", "Parent workflow has been terminated with reason: stop all"),
        (None, "Parent workflow has been terminated with status TERMINATED"),
    ],
)
def test_a_stop_goes_down_to_the_last_child(server: Server, reason: str | None, told: str) -> None:
    server.register(run(), name="middle")
    server.register(run(subWorkflowParam={"name": "middle"}))
    top = server.start()
    server.settle()
    middle = child_of(server, top)
    bottom = child_of(server, middle)
    operate.terminate(server.ports, top, reason)
    server.settle()
    assert [server.status(execution) for execution in (top, middle, bottom)] == ["TERMINATED"] * 3
    assert server.show(middle)["reasonForIncompletion"] == told
    assert server.show(bottom)["reasonForIncompletion"] == f"Parent workflow has been terminated with reason: {told}"
    assert not any(server.newest(execution).head.stops for execution in (top, middle, bottom))


def test_a_child_that_is_terminated_terminates_its_parent(server: Server) -> None:
    server.register(run())
    parent = server.start()
    server.settle()
    operate.terminate(server.ports, child_of(server, parent), "kid")
    server.settle()
    shown = server.show(parent)
    assert (shown["status"], shown["tasks"][0]["status"]) == ("TERMINATED", "CANCELED")
    assert shown["reasonForIncompletion"].endswith(
        "failed with status: TERMINATED and reason: '" + shown["tasks"][0]["reasonForIncompletion"] + "'"
    )


def test_children_are_kept_as_long_as_their_parent() -> None:
    server = Server(retention_s=60)
    server.register(simple("work"), name="child")
    server.register(run())
    parent = server.start()
    server.settle()
    child = child_of(server, parent)
    server.run_task("work")
    server.settle(70_000)
    assert (server.status(parent), server.status(child)) == ("REMOVED", "REMOVED")


def test_a_start_that_can_never_be_decided_fails_the_child_and_so_its_task(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.register(run())
    parent = server.start()
    (received,) = server.world.queues.receive(server.world.queues.inbox, 10, 0)
    broken = type(task_type("SIMPLE"))
    monkeypatch.setattr(broken, "begin", lambda *_args: 1 / 0)
    assert advance_alone(server.ports, Incoming(received.message_id, received.text, received.receipt, 5))
    server.settle()
    assert server.status(child_of(server, parent)) == "FAILED"
    assert "ZeroDivisionError" in server.show(parent)["reasonForIncompletion"]


def test_a_stop_that_can_never_be_decided_ends_the_child_that_never_began(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop has overtaken the start, and something is wrong with deciding it: the journal begins all the same, and the stop is heard."""
    server.register(run())
    parent = server.start()
    (start,) = server.world.queues.receive(server.world.queues.inbox, 10, 0)
    server.world.queues.delete(server.world.queues.inbox, [start.receipt])
    operate.terminate(server.ports, parent, "enough")
    (received,) = server.world.queues.receive(server.world.queues.inbox, 10, 0)
    calls: list[int] = []

    def broken_once(_step: Any, _event: Any) -> bool:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return False

    monkeypatch.setattr(on_child, "stopped", broken_once)
    assert advance_alone(server.ports, Incoming(received.message_id, received.text, received.receipt, 5))
    server.settle()
    assert server.status(child_of(server, parent)) == "FAILED"
    assert not server.world.journal.newest(parent).head.stops  # type: ignore[union-attr]


def test_a_retry_finds_the_child_in_which_the_failure_began(server: Server) -> None:
    server.register(run(), name="middle", version=1)
    server.register({**run(), "subWorkflowParam": {"name": "middle"}})
    top = server.start()
    server.settle()
    middle = child_of(server, top)
    child = child_of(server, middle)
    server.report(server.taken("work"), status=TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    server.settle()
    assert [server.status(execution) for execution in (top, middle, child)] == ["FAILED"] * 3
    operations.retry(server.ports, top, is_deep=True)
    server.settle()
    assert [server.status(execution) for execution in (top, middle, child)] == ["RUNNING"] * 3
    server.report(server.taken("work"), status=TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    server.settle()
    task_id = server.show(child)["tasks"][0]["taskId"]
    operations.rerun(server.ports, top, task_id=task_id, task_input={"of": "the rerun"})
    server.settle()
    message = server.taken("work")
    assert message.input == {"of": "the rerun"}
    server.report(message)
    server.settle()
    assert [server.status(execution) for execution in (top, middle, child)] == ["COMPLETED"] * 3


def test_a_signal_finds_what_waits_in_a_child(server: Server) -> None:
    server.register({"name": "w", "taskReferenceName": "w", "type": "WAIT"}, name="child", version=2)
    server.register(run("gone", optional=True), run())
    parent = server.start()
    server.settle()
    report = operate.TaskReport(status=TaskStatus.COMPLETED, output={"s": 1}, is_merged=True, callback_after_s=None)
    assert signal(server.ports, parent, report) is not None
    server.settle()
    assert server.show(parent)["tasks"][0]["outputData"]["s"] == 1
    operate.remove(server.ports, child_of(server, parent), is_archived=False)
    assert signal(server.ports, parent, report) is None


# --- START_WORKFLOW


def test_what_is_started_has_no_parent(server: Server) -> None:
    server.register(begin(input={"v": 8}), simple("z"))
    starter = server.start(correlation_id="c", task_to_domain={"work": "d"})
    server.settle()
    started = child_of(server, starter)
    shown = server.show(started)
    assert (shown["input"], shown["correlationId"], shown["taskToDomain"]) == ({"v": 8}, "c", {"work": "d"})
    assert "parentWorkflowId" not in shown
    operate.terminate(server.ports, starter, None)
    server.settle()
    assert (server.status(starter), server.status(started)) == ("TERMINATED", "RUNNING")


def test_one_key_is_one_execution_however_often_it_is_started(server: Server) -> None:
    server.register(begin(idempotencyKey="k"))
    starters = [server.start() for _ in range(2)]
    server.settle()
    first, second = (child_of(server, starter) for starter in starters)
    assert first == second == server.start("child", idempotency_key="k", idempotency_strategy=IdempotencyStrategy.RETURN_EXISTING)
    assert len(server.world.summaries.find(SummaryQuery(namespace=NAMESPACE, name="child")).summaries) == 1


def test_what_cannot_be_started_is_said(server: Server) -> None:
    server.register(begin(version=7))
    starter = server.start()
    assert (server.status(starter), server.show(starter)["tasks"][0]["reasonForIncompletion"]) == (
        "FAILED",
        "No such workflow defined. name=child, version=7",
    )
    assert replay.replay(export.export(server.world.plain, starter)) is None


# --- who may say what


@pytest.mark.parametrize(
    "event",
    [
        ChildEnded(place=TaskPlace(1, 0), status=WorkflowStatus.COMPLETED),
        WorkflowStarted(op="o", definition="h", name="child", version=1),
    ],
)
def test_a_stranger_cannot_speak_for_an_execution(server: Server, event: Any) -> None:
    server.register(run())
    parent = server.start()
    server.settle()
    before = server.newest(parent).seq
    server.send(InboxMessage(execution=parent, event=event, token="guess", attempt=1))
    server.settle()
    assert server.newest(parent).seq == before
    assert "message_refused" in server.log.events
