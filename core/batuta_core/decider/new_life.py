"""How an ended execution begins another life in the same journal: a retry, a restart, a rerun.

* The tasks of a new life have places of their own, so whatever the former life still sends finds nothing that it could apply to. The armed
  timer, whatever it was armed for, stays the head's mark.
* Joins and loops that the end had cut short, or that had failed with what is begun again, are **open again**, the same tasks, as they
  stood. What they wait for lies in the head or is begun again.
* A retried task that the flow had gone on without (a permissive one) runs **beside** the flow: what follows it is not begun twice
  (``Head.passed``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from batuta_core.decider import past
from batuta_core.decider.forked import roots_read
from batuta_core.decider.rewind import fork_of, rewind
from batuta_core.decider.step import Anew, Step
from batuta_core.decider.view import output_in
from batuta_core.model.command import StartFailureWorkflow, TellParent, TellRevival, WriteSummary
from batuta_core.model.error import InvalidInput, OperationRefused
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.operation_event import Revival, WorkflowRerun, WorkflowRestarted, WorkflowRetried
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Begin, TaskChange

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.past import PastTask, Standing
    from batuta_core.model.record import OpenTask, Tolerated


@dataclass(frozen=True, slots=True)
class Reopened:
    """A task whose child lives again."""

    task: PastTask
    life: int
    definition: str  # content hash of what the child runs


def begin(step: Step, event: Revival) -> bool:
    """Whether the execution had ended. Raises what the journal says against it."""
    if not step.status.is_terminal or step.status is WorkflowStatus.REMOVED:
        return False
    _run_again(step)
    match event:
        case WorkflowRetried():
            _retry(step)
            changes: dict[str, Any] = {"last_retried_ms": step.now_ms}
        case WorkflowRestarted():
            _begin_anew(step)
            changes = {"created_ms": step.now_ms, "last_retried_ms": 0, "output_record": 0, "definition": step.graph.hash}
        case WorkflowRerun():
            changes = _rerun(step, event)
        case _:
            assert_never(event)
    _named(step, event.seen, **changes)
    return True


def reopen(step: Step, task: PastTask, *, life: int, definition: str, seen: tuple[int, ...]) -> None:
    """The child of ``task`` lives again, so the execution that had ended with it does: as after a retry, but with that task, open
    again. ``seen`` is what the execution's own parents are told."""
    _run_again(step)
    step.failed_refs.clear()
    _retry(step, Reopened(task, life, definition))
    _named(step, seen, last_retried_ms=step.now_ms)


def _named(step: Step, seen: tuple[int, ...], **changes: Any) -> None:
    """The life has the name of the record that begins it."""
    step.before = replace(step.before, status=step.status, reason=None, ended_ms=0, life=step.draft.seq, seen=seen, **changes)


def _run_again(step: Step) -> None:
    step.status = WorkflowStatus.RUNNING
    step.reason = None
    step.ended_ms = 0
    # The failure workflow of the ended life was started before (engine/dispatch.py); who hears of a new life knows that the last is over.
    step.last = tuple(command for command in step.last if not isinstance(command, WriteSummary | StartFailureWorkflow | TellParent))
    step.command(WriteSummary())
    if step.before.about.parent is not None:
        step.command(TellRevival(life=step.draft.seq))


def _begin_anew(step: Step) -> None:
    """An ended head has nothing open and no outputs to be read."""
    step.skipped.clear()
    step.tolerated.clear()
    step.last_task = None
    step.todo = deque([Begin(step.graph.first)])


# --- retry


def _retry(step: Step, reopened: Reopened | None = None) -> None:
    standing = past.standing_after(step, step.before_seq)
    tolerated = {item.ref: item for item in step.tolerated}
    tasks = {ref: task for ref, task in standing.bad.items() if ref not in tolerated}
    left, step.todo = step.todo, deque()
    if not tasks and not tolerated and not left and step.before.status is not WorkflowStatus.TIMED_OUT:
        raise OperationRefused("There are no retryable tasks! Use restart if you want to attempt entire workflow execution again.")
    step.ended = standing.ended
    step.last_task = standing.last_task
    for item in tolerated.values():
        task = past.tolerated_task(step, item)
        if task is not None:
            tasks[item.ref] = task
    nodes = {ref: _node(step, standing, ref) for ref in tasks}
    step.passed = [*standing.passed, *past.passed(step, tuple(tolerated.values()))]
    step.tolerated.clear()
    again = sorted(tasks.values(), key=lambda task: task.number)
    for task in again:  # first, since what lies in a loop begins in its round
        if nodes[task.ref].type.is_waiting:
            is_attempt = task.status is not TaskStatus.CANCELED and not any(_is_waited_for(nodes[task.ref], ref) for ref in tolerated)
            _open_again(step, standing, nodes[task.ref], task, attempt=task.task.attempt + is_attempt)
    for task in again:
        if reopened is not None and task.number == reopened.task.number:
            _open_child_again(step, nodes[task.ref], reopened)
        elif not nodes[task.ref].type.is_waiting:
            _retry_task(step, standing, task, is_beside=task.ref in tolerated or step.is_beside(nodes[task.ref]))
    step.todo.extend(left)


def _node(step: Step, standing: Standing, ref: str) -> Node:
    node = past.node_of(step, ref, standing)
    if node is None:
        raise OperationRefused(f"Task {ref} belongs to a dynamic fork that is over: rerun the execution from there.")
    return node


def _is_waited_for(join: Node, ref: str) -> bool:
    return join.type.name == "JOIN" and (ref in join.task["joinOn"] or not join.task["joinOn"])


def _open_again(step: Step, standing: Standing, node: Node, task: PastTask, *, attempt: int, own: Any = None) -> None:
    """Opens a join or a loop as it was. ``own``: what the loop had written of itself."""
    fields: dict[str, Any] = {"status": TaskStatus.IN_PROGRESS, "ended_ms": 0}
    if attempt != task.task.attempt:
        fields["attempt"] = attempt
    again = replace(task.task, status=TaskStatus.IN_PROGRESS, attempt=attempt, updated_ms=step.now_ms)
    if node.type.is_loop:
        again = replace(again, is_over=True)  # where nothing of its body is open or begins, the flow has come to the end of it
        if own is not None:
            fields["iteration"] = again.rounds
            again = replace(again, output_record=step.draft.seq)
    elif node.fork is not None and again.fork is None and (fork := fork_of(step, standing, node.ref)):
        again = replace(again, fork=fork, reads=roots_read(step.forked_by(fork)))
    step.draft.changes.append(TaskChange(task.number, fields, None, own))
    step.open_again(node, again)


def _open_child_again(step: Step, node: Node, reopened: Reopened) -> None:
    open_child(step, node, reopened.task.task, reopened.life, reopened.definition)


def open_child(step: Step, node: Node, task: OpenTask, life: int, definition: str) -> None:
    """Opens the task again for which a child runs that lives again."""
    again = replace(
        task,
        status=TaskStatus.IN_PROGRESS,
        updated_ms=step.now_ms,
        sent_ms=step.now_ms,
        due_ms=0,
        child=definition,
        life=life,
        calls=max(task.calls, 1),
    )
    step.draft.changes.append(TaskChange(task.number, {"status": TaskStatus.IN_PROGRESS, "ended_ms": 0, "reason": ""}))
    step.open_again(node, again)


def _retry_task(step: Step, standing: Standing, task: PastTask, *, is_beside: bool) -> None:
    step.draft.changes.append(TaskChange(task.number, {"is_retried": True}))
    # Beside the flow, what its input is made of may be forgotten by now.
    given = step.old_input(task.number, task.place) if is_beside else None
    retried = step.task_id_at(task.place)
    attempt, rerun = task.task.attempt + 1, task.place.rerun
    step.anew[task.ref] = Anew(attempt, retried, retried_rerun=rerun, input=given, iteration=task.task.iteration)
    step.todo.append(Begin(task.ref, fork=fork_of(step, standing, task.ref)))


# --- rerun


def _rerun(step: Step, event: WorkflowRerun) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if event.input is not None:
        changes["input_record"] = step.draft.seq
    if event.correlation_id is not None:
        changes["about"] = replace(step.before.about, correlation_id=event.correlation_id)
    if event.place is None:
        _begin_anew(step)
    else:
        _rerun_from(step, event.place, event.task_input)
    return changes


def _rerun_from(step: Step, place: TaskPlace, task_input: Any) -> None:
    found = past.target(step, place)
    task_id = step.task_id_at(place)
    if found is None:
        raise InvalidInput(f"Task {task_id} not found", task_id=task_id)
    if found.task.ref in step.skipped:
        raise InvalidInput(f"Task {task_id} was skipped: rerun one before it", task_id=task_id)
    back = rewind(step, found.task, step.before_seq)
    standing = back.standing
    step.ended = {**standing.ended, **step.skipped}
    step.last_task = standing.last_task
    step.passed = list(standing.passed)
    step.tolerated = [item for item in step.known_record(place.record).head.tolerated if _is_before(step, item, standing, found.task)]
    for task in sorted(standing.open.values(), key=lambda task: task.number):
        node = _node(step, standing, task.ref)
        own = output_in(step.reader.record(task.task.output_record), task.number) if node.type.is_loop else None
        _open_again(step, standing, node, task, attempt=task.task.attempt, own=own)
    step.todo = deque()
    for number, task in sorted(standing.anew.items()):
        is_target = number == found.task.number
        given = step.reader.payload(task_input) if is_target and task_input is not None else None
        if given is None:
            given = step.old_input(number, TaskPlace(*place.named, found.rerun) if is_target else task.place)
        anew_at = TaskPlace(*task.place.named, step.draft.seq)
        step.anew[task.ref] = Anew(attempt=task.task.attempt, number=number, place=anew_at, input=given, iteration=task.task.iteration)
        step.todo.append(Begin(task.ref, fork=fork_of(step, standing, task.ref)))
    for ref, change in back.attempts.items():
        fields, given = change.fields, step.reader.payload(change.input) or {}
        again = Anew(
            attempt=fields["attempt"], retried_task_id=fields["retried_task_id"], input=given, iteration=fields.get("iteration", 0)
        )
        step.anew[ref] = again
    step.todo.extend(back.begins)
    for task in back.done:
        step.go_to(_node(step, standing, task.ref).next)


def _is_before(step: Step, item: Tolerated, standing: Standing, task: PastTask) -> bool:
    """Whether a permissive task had failed when ``task`` was scheduled, and stays so."""
    other = past.tolerated_task(step, item)
    return other is not None and other.number < task.number and other.number not in standing.anew
