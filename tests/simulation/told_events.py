"""What random workflows publish, and the handlers that hear of it: each event starts one execution. What handlers do to executions is in
``event_scenarios``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batuta_core.engine import catalog, handlers
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.event_ports import ActionStatus
from batuta_core.engine.fetch import read_payload
from batuta_core.engine.ports import Ports
from batuta_core.model import ids
from batuta_core.model.event import TaskUpdated, WorkflowStarted
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_core.simulator.world import World
from tests.simulation.invariants import Watcher, require
from tests.simulation.workload import TOLD_SINK

_STARTED = "told"


def listen(ports: Ports, namespace: str, names: Sequence[str]) -> None:
    """To what the workflows of these names publish."""
    started = {"name": _STARTED, "version": 1, "tasks": [{"name": "n", "taskReferenceName": "n", "type": "NOOP"}]}
    catalog.register_workflows(ports, namespace, [started], no_javascript)
    start = {"action": "start_workflow", "start_workflow": {"name": _STARTED, "input": {"of": "${workflowInstanceId}"}}}
    for name in names:
        event = TOLD_SINK.replace(":", f":{name}:")
        handlers.register(ports, namespace, {"name": f"h-{name}", "event": event, "active": True, "actions": [start]})


def each_has_its_effect_once(world: World, watcher: Watcher) -> None:
    """Of every EVENT task that completed."""
    for execution, records in watcher.records.items():
        for record in records:
            for event in record.events:
                if (
                    isinstance(event, TaskUpdated)
                    and event.status is TaskStatus.COMPLETED
                    and _is_published(world, execution, event.output)
                ):
                    task_id = ids.task_id(execution.workflow_id, *event.place)
                    message_id = f"{task_id}.{event.place.rerun}" if event.place.rerun else task_id
                    _has_its_effect(world, watcher, execution, message_id)


def _is_published(world: World, execution: ExecutionId, output: Any) -> bool:
    if isinstance(output, PayloadRef):
        is_there = (execution, output.key) in world.payloads.objects
        output = read_payload(world.plain, execution, output) if is_there else {}
    return isinstance(output, dict) and "event_produced" in output


def _has_its_effect(world: World, watcher: Watcher, execution: ExecutionId, message_id: str) -> None:
    (start,) = world.actions.of_message(execution.namespace, message_id)
    require(start.status is ActionStatus.COMPLETED, "an event that was published has started what its handler wants", execution, start)
    started = watcher.records.get(ExecutionId(execution.namespace, start.output["workflowId"]))
    require(started is not None, "and that is there", execution, start)
    first = started[0].events[0] if started else None
    is_told = isinstance(first, WorkflowStarted) and first.input["of"] == execution.workflow_id
    require(is_told, "with the event's payload", execution, first)
