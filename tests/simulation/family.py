"""Executions that start each other: their workloads, what must hold between them, and what users do to them."""

from __future__ import annotations

from random import Random
from typing import Any

from batuta_core.decider import lives
from batuta_core.model.command import StartChild, StartFailureWorkflow, TellParent
from batuta_core.model.event import WorkflowStarted, WorkflowTerminated
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.family_event import ChildEnded, ChildRevived, StoppedByParent
from batuta_core.model.names import ExecutionId, is_segment
from batuta_core.model.operation_event import Revival
from batuta_core.model.payload import PayloadRef
from batuta_core.model.place import ParentTask
from batuta_core.model.record import Record
from batuta_core.simulator.world import World
from tests.simulation import invariants
from tests.simulation.comparison import loaded
from tests.simulation.invariants import require
from tests.simulation.workload import Workload, draw

CHILD_ID = "subWorkflowId"


def draw_family(random: Random, workloads: list[Workload], failure_workflow: str) -> list[Workload]:
    """One to three workflows that others run as children, each also by those drawn after it; the workloads run them, too."""
    has_timeouts = workloads[0].has_timeouts
    children: list[Workload] = []
    for n in range(random.randint(1, 3)):
        handler = failure_workflow if random.random() < 0.3 else ""
        child = draw(random, f"c{n}", has_timeouts=has_timeouts, failure_workflow=handler)
        if children and random.random() < 0.7:
            add_children(random, child, children)
        children.append(child)
    for workload in workloads:
        add_children(random, workload, children)
    return children


def add_children(random: Random, workload: Workload, children: list[Workload]) -> None:
    """Puts one to three tasks that start executions between the workload's own, or into its cases."""
    for n in range(random.randint(1, 3)):
        ref = f"s{n}"
        child = random.choice(children)
        lists = [workload.tasks, *(case for task in workload.tasks if task["type"] == "SWITCH" for case in task["decisionCases"].values())]
        branches = [branch for task in workload.tasks for branch in task.get("forkTasks", ())]
        chosen = random.choice([*lists, *branches])
        task = _start(random, workload, ref, child) if random.random() < 0.2 else _run(random, workload, ref, child)
        is_branch = any(chosen is branch for branch in branches)  # the join names the last of it
        places = [place for place in range(len(chosen) + (not is_branch)) if place == len(chosen) or chosen[place]["type"] != "JOIN"]
        chosen.insert(random.choice(places), task)
        if random.random() < 0.5 and not is_branch:
            workload.outputs[f"of_{ref}"] = f"${{{ref}.output}}"


def _common(random: Random, workload: Workload, ref: str, kind: str) -> dict[str, Any]:
    definition = {
        "name": f"{workload.name}_{ref}",
        "retryCount": random.choice((0, 0, 1, 2)),
        "retryDelaySeconds": random.choice((0, 0, 2)),
        "responseTimeoutSeconds": 2,
        "timeoutSeconds": random.choice((0, 5, 100)) if workload.has_timeouts else 0,
        "timeoutPolicy": random.choice(("RETRY", "TIME_OUT_WF")),
    }
    workload.task_definitions.append(definition)
    return {
        "name": definition["name"],
        "taskReferenceName": ref,
        "type": kind,
        "optional": random.random() < 0.2,
        "permissive": random.random() < 0.1,
        "startDelay": random.choice((0, 0, 0, 3)),
    }


def _run(random: Random, workload: Workload, ref: str, child: Workload) -> dict[str, Any]:
    param: dict[str, Any] = {"name": child.name}
    how = random.random()
    if how < 0.3:
        param["workflowDefinition"] = child.definition
    elif how < 0.5:
        param["version"] = 99 if how < 0.33 else 1
    inputs = {"a": "${workflow.input.a}", "text": random.choice(("hi", "${t0.output.text}"))} if random.random() < 0.8 else {}
    return {**_common(random, workload, ref, "SUB_WORKFLOW"), "inputParameters": inputs, "subWorkflowParam": param}


def _start(random: Random, workload: Workload, ref: str, child: Workload) -> dict[str, Any]:
    wish = {"name": child.name if random.random() < 0.9 else "nobody", "input": {"a": "${workflow.input.a}"}}
    return {**_common(random, workload, ref, "START_WORKFLOW"), "inputParameters": {"startWorkflow": wish}}


# --- what must hold


def look_at_family(last: Record | None, record: Record) -> None:
    """At each record: what is asked again after 13 days is a last resort that no schedule may need."""
    if last is None:
        return
    is_again = set(record.head.stops) & set(last.head.stops) and record.head.stops_ms > last.head.stops_ms
    require(not is_again, "no stop is lost", record.seq, record.head)
    _look_at_revival(last, record)
    tells = [command for command in record.head.last if isinstance(command, TellParent)]
    require(len({tell.life for tell in tells}) == len(tells), "a life ends once", record.seq, tells)


def _look_at_revival(last: Record, record: Record) -> None:
    """What ended an execution after the user had looked at it stays, unless that was the very child which lives again."""
    if record.head.life != record.seq or any(isinstance(event, Revival) for event in record.events):
        return
    events = [event for event in record.events if isinstance(event, ChildRevived | ChildEnded) and event.life > 1]
    require(last.head.status is not WorkflowStatus.REMOVED, "what was removed stays removed", record.seq, events)
    end = last.head.output_record
    is_seen = any(event.seen and event.seen[0] >= end for event in events)
    is_by_user = last.head.status is WorkflowStatus.TERMINATED and _is_by_user(last)
    require(is_seen or not is_by_user, "a late revival undoes nothing", events, end)


def _is_by_user(last: Record) -> bool:
    return any(isinstance(event, WorkflowTerminated | StoppedByParent) for event in last.events)


def families_are_right(world: World, watcher: invariants.Watcher) -> None:
    """At the end."""
    links: set[ParentTask] = set()
    for execution, records in watcher.records.items():
        head = records[-1].head
        require(head.status.is_terminal, "nobody is left running", execution, head)
        require(not head.stops, "every stop is heard in the end", execution, head)
        started = records[0].events[0]
        if not isinstance(started, WorkflowStarted):
            raise invariants.Violation(f"a journal begins with its start: {execution}")
        for link in (started.parent, started.starter):
            if link is not None:
                require(link not in links, "a task starts one execution", execution, link)
                links.add(link)
        if started.parent is not None:
            _is_heard(world, watcher, execution, records, started.parent)
        for record in records:
            for command in record.commands:
                if isinstance(command, StartChild):
                    _is_there(watcher, execution, command)


def _is_there(watcher: invariants.Watcher, execution: ExecutionId, command: StartChild) -> None:
    """A child that was ordered has a journal, if it was only stopped before it began."""
    is_child = any(
        change.fields.get("ref") == command.ref and CHILD_ID in (change.output or {})
        for record in watcher.records[execution]
        for change in record.changes
        if change.is_new and not isinstance(change.output, PayloadRef)
    )
    child = ExecutionId(execution.namespace, lives.child_id(execution.workflow_id, command.place))
    require(not is_child or child in watcher.last, "a child that was ordered has a journal", execution, command)


def _is_heard(world: World, watcher: invariants.Watcher, child: ExecutionId, records: list[Record], link: ParentTask) -> None:
    parent = ExecutionId(child.namespace, link.workflow_id)
    heard = [
        (record, place, event)
        for record in watcher.records.get(parent, ())
        for place, event in enumerate(record.events)
        if isinstance(event, ChildEnded) and event.place == link.place
    ]
    require(heard, "a parent hears of its child's end", child, parent)
    ends: dict[int, Record] = {}  # by life
    for record in records:
        if record.head.status.is_terminal:
            ends.setdefault(lives.life_of(record.head), record)
    for record, place, event in heard:
        require(event.life in ends, "a parent hears of a life that was", child, event)
        end = ends[event.life]
        status = end.head.status if end.head.status is not WorkflowStatus.REMOVED else WorkflowStatus.TERMINATED
        output = loaded(world, child, end.output)
        require(event.status is status, "a parent hears how its child ended", child, event, status)
        is_of_segment = is_segment(end.head.definition)
        is_told_why = (
            event.reason == end.head.reason
            if is_of_segment
            else (event.reason or "").endswith(f"failure reason: {end.head.reason or 'null'}")
        )
        require(status is WorkflowStatus.COMPLETED or is_told_why, "a parent hears why its child ended so", child, event, end.head.reason)
        told = loaded(world, parent, event.output)
        is_task_ended = any(change.output_event == place for change in record.changes)
        if is_task_ended and not isinstance(told, PayloadRef) and not isinstance(output, PayloadRef):
            kept = {key: value for key, value in (output or {}).items() if key != "conductor.failure_workflow"}
            wanted = kept if is_of_segment else {**kept, CHILD_ID: child.workflow_id}
            require(told == wanted, "the parent's task has its child's output", child, told, wanted)
    is_stopped = any(isinstance(event, StoppedByParent) for record in records for event in record.events)
    for end in ends.values():
        is_handled = any(isinstance(command, StartFailureWorkflow) for command in end.commands)
        is_stop = any(isinstance(event, StoppedByParent) for event in end.events)
        require(not (is_handled and is_stop), "a child that its parent stops runs no failure workflow", child)
    has_stop = any(command.place == link.place for record in watcher.records[parent] for command in record.head.stops)
    require(has_stop or not is_stopped, "nobody but its parent stops a child", child)
