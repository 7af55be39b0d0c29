"""One of each event and each command, with every field set, and with none."""

from __future__ import annotations

from batuta_core.model.command import (
    ArmTimer,
    Command,
    EnqueueTask,
    Purge,
    StartChild,
    StartFailureWorkflow,
    StopChild,
    TellParent,
    WriteSummary,
)
from batuta_core.model.event import (
    ChildBegan,
    ChildEnded,
    Event,
    ParentTask,
    StoppedByParent,
    TaskDeadLettered,
    TaskHandedBack,
    TaskHeartbeat,
    TaskPlace,
    TaskStarted,
    TaskUndeliverable,
    TaskUpdated,
    TimerFired,
    WorkflowBroken,
    WorkflowRemoved,
    WorkflowStarted,
    WorkflowTerminated,
)
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef

EXECUTION = ExecutionId("shop", "0188bd2e-e01a-4f0e-9a3c-0123456789ab")
PLACE = TaskPlace(300, 7)
PARENT = ParentTask(EXECUTION.workflow_id, 300, 7)
ODD = "ü😀\x00\ud800\u2028"

EVENTS: list[Event] = [
    WorkflowStarted(op="o", definition="hash", name="w", version=1),
    WorkflowStarted(
        op="o",
        definition="hash",
        name=ODD,
        version=2,
        input={"@": 1, "in@": [None, ODD]},
        correlation_id="c",
        request_id="r",
        idempotency_key=ODD,
        created_by="me",
        event="e",
        trigger="FAILURE",
        priority=99,
        task_to_domain={"*": "d"},
        failed_workflow_id="f",
        retention_s=86_400,
        parent=PARENT,
        starter=PARENT,
        depth=2,
    ),
    WorkflowStarted(op="o", definition="hash", name="w", version=1, input=PayloadRef("key", 40_000)),
    TaskStarted(place=PLACE, op="o"),
    TaskStarted(place=PLACE, op="o", worker_id=ODD, started_ms=5, is_leased=True, call=0),
    TaskUpdated(place=PLACE, status=TaskStatus.COMPLETED),
    TaskUpdated(place=PLACE, status=TaskStatus.COMPLETED, output={}, callback_after_s=0, call=0),
    TaskUpdated(
        place=PLACE,
        status=TaskStatus.IN_PROGRESS,
        op="o",
        output={"out@": ODD},
        is_merged=True,
        reason=ODD,
        worker_id="w",
        callback_after_s=60,
        started_ms=5,
        call=3,
        logs=({"log": ODD, "createdTime": 1},),
    ),
    TaskUpdated(place=PLACE, status=TaskStatus.FAILED, output=PayloadRef("key", 40_000)),
    TaskHeartbeat(place=PLACE, op="o"),
    TaskHandedBack(place=PLACE, op="o"),
    TaskHandedBack(place=PLACE, op="o", worker_id="w", send=0),
    TaskDeadLettered(place=PLACE, op="o", receives=5),
    TaskDeadLettered(place=PLACE, op="o", receives=5, send=2),
    TaskUndeliverable(place=PLACE, op="o", reason=ODD),
    TimerFired(timer=3, due_ms=1_764_000_000_000),
    ChildBegan(place=PLACE, workflow_id="c"),
    ChildEnded(place=PLACE, status=WorkflowStatus.COMPLETED),
    ChildEnded(place=PLACE, status=WorkflowStatus.TIMED_OUT, life=3, output={"out@": ODD}, reason=ODD),
    ChildEnded(place=PLACE, status=WorkflowStatus.COMPLETED, output=PayloadRef("key", 40_000)),
    StoppedByParent(op="o", parent=PARENT, definition="hash", name=ODD, version=1),
    StoppedByParent(op="o", parent=PARENT, definition="hash", name="w", version=2, life=3, reason=ODD, correlation_id=ODD, retention_s=60),
    WorkflowTerminated(op="o"),
    WorkflowTerminated(op="o", reason="", is_failure_workflow_wanted=True),
    WorkflowRemoved(op="o"),
    WorkflowBroken(op="o", reason=ODD),
]

COMMANDS: list[Command] = [
    EnqueueTask(place=PLACE, ref=ODD),
    EnqueueTask(place=PLACE, ref="a", due_ms=5),
    ArmTimer(timer=3, due_ms=5),
    StartChild(place=PLACE, ref=ODD, definition="hash"),
    StartChild(place=PLACE, ref="a", definition="hash", wanted=ODD),
    StopChild(place=PLACE, definition="hash"),
    StopChild(place=PLACE, definition="hash", life=3),
    TellParent(status=WorkflowStatus.COMPLETED, record=2),
    TellParent(status=WorkflowStatus.TIMED_OUT, record=9, life=3),
    StartFailureWorkflow(workflow_id="c", definition="hash", name=ODD, version=1),
    StartFailureWorkflow(workflow_id="c", definition="hash", name="w", version=1, failed_task_id="t"),
    WriteSummary(),
    Purge(),
]
