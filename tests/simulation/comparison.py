"""The journal of an execution that has ended, compared with what a plain interpreter makes of what its workers said."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from batuta_core.decider.compile import Graph
from batuta_core.decider.loop import JoinOutput, LoopOutput
from batuta_core.decider.on_task import LOST_LEASES_MAX
from batuta_core.engine import segments
from batuta_core.engine.fetch import graph_of, read_payload
from batuta_core.engine.fold import fold
from batuta_core.model import ids
from batuta_core.model.event import (
    TaskDeadLettered,
    TaskHandedBack,
    TaskUndeliverable,
    TaskUpdated,
    TimerFired,
    WorkflowTerminated,
)
from batuta_core.model.execution import TaskExecution, TaskStatus, WorkflowExecution, WorkflowStatus
from batuta_core.model.family_event import ChildBegan, ChildEnded, StoppedByParent
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_core.model.record import Record
from batuta_core.simulator.worker import Report
from batuta_core.simulator.world import World
from tests.simulation import lives
from tests.simulation.interpreter import ANYTHING, OPEN, RAN, SCRIPT_TYPES, Ending, Interpreter
from tests.simulation.invariants import Watcher, require


def only_lost_leases_count(world: World, execution: ExecutionId, records: list[Record], folded: WorkflowExecution) -> None:
    """An attempt that failed because its workers died was taken so often without being given back."""
    backs: dict[str, set[str]] = {}
    for record in records:
        for event in record.events:
            if isinstance(event, TaskHandedBack):
                backs.setdefault(ids.task_id(execution.workflow_id, *event.place), set()).add(event.op)
    for task in folded.tasks:
        is_worker = task.task_type != "JOIN"  # which fails with the reasons of its branches
        if (
            is_worker
            and task.status is TaskStatus.FAILED
            and (task.reason or "").startswith("its workers died")
            and task.attempt == _attempts(folded, task.ref)
        ):
            taken = sum(count for text, count in world.queues.receives.items() if task.task_id in text and '"att"' in text)
            given_back = len(backs.get(task.task_id, ()))
            require(taken - given_back >= LOST_LEASES_MAX, "hand-backs never count as lost leases", execution, task, taken, given_back)


def _attempts(folded: WorkflowExecution, ref: str) -> int:
    return sum(task.ref == ref for task in folded.tasks)


def journal_is_right(
    world: World,
    watcher: Watcher,
    execution: ExecutionId,
    outcome: Any,
    reports: list[Report],
    frozen: Mapping[str, Any],
    workflow_input: Mapping[str, Any],
) -> WorkflowExecution:
    """At the end: each accepted result is what the worker said, and the execution is what a plain interpreter makes of them."""
    records = watcher.records[execution]
    left = [record for record in records if record.head.status is not WorkflowStatus.REMOVED]
    is_cut_short = len(left) < len(records) and not left[-1].head.status.is_terminal
    records = records[: len(left) + 1] if is_cut_short else left
    graph = graph_of(world.plain, execution.namespace, records[-1].head.definition)
    folded = fold(execution, records, graph)
    _load_payloads(world, execution, folded)
    told = lives.read(execution, records, graph, functools.partial(_variables, world, execution, records, graph))
    only_lost_leases_count(world, execution, records, folded)
    found_endings = _endings(execution, records, folded, outcome, told)
    if folded.segments:

        def read(segment: ExecutionId) -> tuple[WorkflowExecution, Graph] | None:
            below = _segment(world, watcher, segment)
            if below is not None:
                only_lost_leases_count(world, segment, watcher.records[segment], below[0])
                of_segment = lives.read(segment, watcher.records[segment], below[1], lambda _head: {})
                found_endings.update(_endings(segment, watcher.records[segment], below[0], outcome, of_segment))
            return below

        folded.tasks = segments.spliced(execution, folded.tasks, folded.segments, read).tasks
        for task in folded.tasks:
            if task.is_retried and task.status.is_terminal:
                told.retried.add((task.ref, task.attempt))  # with its segment
                found_endings.setdefault((task.ref, task.attempt), Ending(task.status.value, dict(task.output or {}), task.reason))
    endings = {**_ended_scripts(folded), **found_endings}
    for report in reports:
        ending = next((task for task in folded.tasks if task.task_id == report.task_id), None)
        if ending is not None and report.status is not TaskStatus.IN_PROGRESS:
            require(ending.status.is_terminal, "no accepted result is lost", execution, report)
    if told.user_value is not None:
        got_value = (folded.variables or {}).get(lives.USER_VARIABLE)
        require(got_value == told.user_value, "what a user set stays set", execution, got_value, told.user_value)
    if told.is_beside:
        return folded
    registered = world.definitions.tasks(execution.namespace)
    wanted = Interpreter(frozen, workflow_input, lambda ref, attempt: endings.get((ref, attempt), OPEN), told, registered).run()
    shown = [task for task in folded.tasks if task.status is not TaskStatus.SKIPPED]
    inputs = dict(zip([task[:2] for task in wanted.tasks], wanted.inputs, strict=True))
    for task in shown:
        wanted_input = inputs.get((task.ref, task.attempt), ANYTHING)
        # What a task before the skip read of a skipped one depends on the moment of the skip.
        if not isinstance(task.input, PayloadRef) and not told.skipped and wanted_input is not ANYTHING:
            require(
                (task.input or {}) == wanted_input,
                "an input is that of a plain interpreter",
                execution,
                task.ref,
                task.attempt,
                task.input,
                wanted_input,
            )
    waits = ("JOIN", "EXCLUSIVE_JOIN", "DO_WHILE")  # a retry goes on with the same task
    shown_as = [(task.ref, 1 if task.task_type in waits else task.attempt) for task in shown]
    got = [(*name, "OPEN" if not task.status.is_terminal else task.status.value) for name, task in zip(shown_as, shown, strict=True)]
    if any(node.type.is_fork for node in graph.nodes.values()):  # which branch was first, the interpreter does not know
        if folded.status.is_terminal:  # what failed at once, or in a pause, ended the execution before the other branches went on
            begun = {task[:2] for task in got}
            wanted.tasks = [task for task in wanted.tasks if task[:2] in begun or task[2] not in ("CANCELED", "OPEN")]
        got, wanted.tasks = sorted(got), sorted(wanted.tasks)
    cut = next((e for record in told.last_life for e in record.events if isinstance(e, WorkflowTerminated | StoppedByParent)), None)
    was_paused = any(a.head.status is WorkflowStatus.PAUSED and b.head.status.is_terminal for a, b in pairwise(told.last_life))
    if folded.segments and (told.is_cut_in_pause or was_paused):  # which went on in the pause
        return folded
    if told.is_cut_in_pause or (was_paused and graph.waiting):  # joins and loops are not looked at in a pause
        got_refs, wanted_refs = [task[:2] for task in got], [task[:2] for task in wanted.tasks]
        is_prefix = got_refs == wanted_refs[: len(got_refs)] or (bool(graph.waiting) and set(got_refs) <= set(wanted_refs))
        require(is_prefix, "up to the pause, as a plain interpreter", execution, got, wanted_refs)
        return folded
    timed_out = folded.status is WorkflowStatus.TIMED_OUT and (folded.reason or "").startswith("Workflow timed out")
    if folded.segments and folded.status is not WorkflowStatus.COMPLETED:
        # What ended one segment, the others heard of later, and went on until then; and what they did the execution may not have heard of.
        if cut is None and not timed_out and not is_cut_short:
            begun = {task[:2] for task in got}
            require(wanted.status != "COMPLETED", "it fails as a plain interpreter says", execution, folded.status)
            require({task[:2] for task in wanted.tasks} <= begun, "what was to begin has begun", execution, got, wanted.tasks)
        return folded
    if folded.status is not WorkflowStatus.COMPLETED and any(record.head.todo or record.head.has_news for record in records[-2:]):
        # What was left for the next decision never began.
        may_be = {task for ref, attempt, status in wanted.tasks for task in ((ref, attempt, status), (ref, attempt, "CANCELED"))}
        require(may_be.issuperset(got), "what began is as a plain interpreter says", execution, got, wanted.tasks)
        return folded
    if cut is not None or timed_out or is_cut_short:
        wanted_tasks = [task if task[2] != "OPEN" else (task[0], task[1], "CANCELED") for task in wanted.tasks]
        require(got == wanted_tasks, "the tasks are those of a plain interpreter, up to the cut", execution, got, wanted_tasks)
        return folded
    if any(segment.is_retried for segment in folded.segments):  # what a segment did until it heard of its stop, the next one does again
        ends, wanted_ends = ({task[0]: task[2] for task in tasks} for tasks in (got, wanted.tasks))
        require(ends == wanted_ends, "after a retry all ends as a plain interpreter says", execution, got, wanted.tasks)
        return folded
    require(got == wanted.tasks, "the tasks are those of a plain interpreter", execution, got, wanted.tasks)
    require(folded.status.value == wanted.status, "the execution ends as a plain interpreter says", execution, folded.status, wanted.status)
    if folded.status.is_terminal:
        output = {key: value for key, value in (folded.output or {}).items() if key != "conductor.failure_workflow"}
        # What a join that was cut short had seen by then, and an output may show, the interpreter does not know.
        is_open = bool(told.skipped) or any(
            task.task_type == "JOIN" and task.status is TaskStatus.CANCELED and task.output for task in shown
        )
        require(is_open or output == wanted.output, "the output is that of a plain interpreter", execution, output, wanted.output)
    variables = {key: value for key, value in (folded.variables or {}).items() if key != lives.USER_VARIABLE}
    require(
        bool(told.skipped) or variables == wanted.variables, "the variables are those of a plain interpreter", execution, folded.variables
    )
    return folded


def loaded(world: World, execution: ExecutionId, value: Any) -> Any:
    """The payload, where it is still there."""
    is_there = isinstance(value, PayloadRef) and (execution, value.key) in world.payloads.objects
    return read_payload(world.plain, execution, value) if is_there else value


def _segment(world: World, watcher: Watcher, segment: ExecutionId) -> tuple[WorkflowExecution, Graph] | None:
    """A segment of a wide fork, as it was before it was removed."""
    records = [record for record in watcher.records.get(segment, ()) if record.head.status is not WorkflowStatus.REMOVED]
    if not records:
        return None
    graph = graph_of(world.plain, segment.namespace, records[-1].head.definition)
    folded = fold(segment, records, graph)
    _load_payloads(world, segment, folded)
    return folded, graph


def _load_payloads(world: World, execution: ExecutionId, folded: WorkflowExecution) -> None:
    """In place of references; payloads of a removed execution are gone, and stay references."""
    load = functools.partial(loaded, world, execution)
    folded.input, folded.output, folded.variables = load(folded.input), load(folded.output), load(folded.variables)
    for task in folded.tasks:
        task.input = load(task.input)
        task.output = task.output.resolved(load) if isinstance(task.output, LoopOutput | JoinOutput) else load(task.output)


STARTING = ("SUB_WORKFLOW", "START_WORKFLOW")
_OF_CHILD = {"TERMINATED": "CANCELED"}


def _of_child(
    execution: ExecutionId, record: Record, event: ChildEnded | ChildBegan, by_id: Mapping[str, TaskExecution]
) -> tuple[TaskExecution, Ending] | None:
    """The task that this ended, and how. None: it was over."""
    task = by_id.get(ids.task_id(execution.workflow_id, *event.place))
    if task is None:  # of a former life
        return None
    if isinstance(event, ChildBegan):
        return task, Ending("COMPLETED", dict(task.output or {}))
    index = record.events.index(event)
    if not any(change.number == task.number and change.output_event == index for change in record.changes):
        return None
    return task, Ending(_OF_CHILD.get(event.status.value, event.status.value), dict(task.output or {}), event.reason)


def _variables(world: World, execution: ExecutionId, records: list[Record], graph: Any, head: Any) -> dict[str, Any]:
    """Those that hold after ``head``, without the one that users set."""
    found = records[head.variables_record - 1].variables if head.variables_record else graph.definition["variables"]
    return {key: value for key, value in loaded(world, execution, found).items() if key != lives.USER_VARIABLE}


def _ended_scripts(folded: WorkflowExecution) -> dict[tuple[str, int], Ending]:
    """Which attempts of tasks with scripts have been run; what came of them the interpreter says itself."""
    of_scripts = [task for task in folded.tasks if task.task_type in SCRIPT_TYPES and task.status.is_terminal]
    return {(task.ref, task.attempt): RAN for task in of_scripts if task.status is not TaskStatus.CANCELED}


def _endings(
    execution: ExecutionId, records: list[Record], folded: WorkflowExecution, outcome: Any, told: lives.Lives
) -> dict[tuple[str, int], Ending]:
    """How each attempt ended by the journal. What a worker reported must be what its function does."""
    by_id = {task.task_id: task for task in folded.tasks}

    def output_of(event: TaskUpdated, task: TaskExecution) -> dict[str, Any]:
        return dict(task.output or {}) if isinstance(event.output, PayloadRef) else dict(event.output or {})

    found: dict[tuple[str, int], Ending] = {}
    calls: dict[str, int] = {}
    for record in records:
        for begun in [task for task in folded.tasks if lives.is_begun_anew(record, task.number)]:
            found.pop((begun.ref, begun.attempt), None)
        for event in record.events:
            if isinstance(event, TaskUpdated):
                task = by_id.get(ids.task_id(execution.workflow_id, *event.place))
                if task is None or event.place.rerun != told.places.get(task.task_id, 0):
                    continue  # an operation took it out of view, or made it begin anew
                call = calls.get(task.task_id, 0)
                if event.status is TaskStatus.IN_PROGRESS:
                    calls[task.task_id] = call + 1
                elif task.task_type not in ("WAIT", "EVENT", *STARTING):
                    said = outcome(task.ref, task.attempt)
                    require((event.status, output_of(event, task)) in said, "a result is what the worker said", execution, event, said)
                if event.status is not TaskStatus.IN_PROGRESS:
                    said_output = dict(task.output or {}) if task.task_type in STARTING else output_of(event, task)
                    found[task.ref, task.attempt] = Ending(event.status.value, said_output, event.reason)
            if isinstance(event, ChildEnded | ChildBegan) and (of_child := _of_child(execution, record, event, by_id)):
                found[of_child[0].ref, of_child[0].attempt] = of_child[1]
    ended = [record for record in records if record.head.status.is_terminal]  # a user may terminate what has failed
    by_system = [
        e
        for record in records
        for e in record.events
        if isinstance(e, TimerFired | TaskDeadLettered | TaskUndeliverable) or (isinstance(e, TaskHandedBack) and e.is_gone)
    ]
    for task in folded.tasks:
        ends = [record.head for record in ended if record.seq >= told.places.get(task.task_id, 0)]
        if (
            (task.ref, task.attempt) not in found
            and task.status.is_terminal
            and (task.status is not TaskStatus.CANCELED or (task.ref, task.attempt) in told.retried)
            and (task.status is TaskStatus.CANCELED or task.task_type not in SCRIPT_TYPES)
            and (by_system or (task.ref, task.attempt) in told.retried or task.task_type in ("WAIT", *STARTING))
        ):
            shown = task.status.value if task.status is not TaskStatus.COMPLETED_WITH_ERRORS else "FAILED"
            status = next((end.status.value for end in ends if end.reason and end.reason == task.reason), None)
            found[task.ref, task.attempt] = Ending(shown, dict(task.output or {}), task.reason, status)
        ending = found.get((task.ref, task.attempt))
        for end in ends:
            if ending and (end.reason or "").startswith(f"Task {task.task_id}/") and "exceeded total timeout" in (end.reason or ""):
                ending.ends_workflow = end.status.value
    return found
