"""What the end of a task means for the flow, and the end of the flow for the execution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batuta_core.decider import lives, retry, segments
from batuta_core.decider.known import DefinitionName, FoundDefinition, NotStartable
from batuta_core.decider.step import Step
from batuta_core.decider.view import output_in
from batuta_core.model import ids
from batuta_core.model.command import Command, Purge, StartFailureWorkflow, WriteSummary
from batuta_core.model.error import PayloadTooLarge
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.payload import assembled, check_size
from batuta_core.model.record import Ended, HeldFailure, OpenTask, Tolerated

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node

# How a task that cannot be retried ends its execution (Conductor, recorded).
_WORKFLOW_STATUS_OF = {
    TaskStatus.CANCELED: WorkflowStatus.TERMINATED,
    TaskStatus.TIMED_OUT: WorkflowStatus.TIMED_OUT,
    TaskStatus.FAILED: WorkflowStatus.FAILED,
    TaskStatus.FAILED_WITH_TERMINAL_ERROR: WorkflowStatus.FAILED,
}
FAILURE_WORKFLOW_KEY = "conductor.failure_workflow"  # Conductor's key in the output of the failed execution
FAILED_REFS_MAX = 100  # more names than that would make the head grow; the folded execution lists all
_MAX_REASON_TASKS = 20
PURGE_AFTER_MS = 120_000  # twice as long as any function lives


def begin_next(step: Step) -> None:
    """Begins what comes next, or steps over it."""
    begin = step.next_begin()
    node = step.node(begin.ref)
    if begin.ref in step.skipped:
        step.go_to(node.next)
        return
    try:
        node.type.begin(step, node, begin.hidden)
    except PayloadTooLarge as error:  # what its input asks for cannot be built: no retry mends that
        local_task_failed(step, node, {}, TaskStatus.FAILED_WITH_TERMINAL_ERROR, error.message)


def task_succeeded(step: Step, node: Node) -> None:
    """Goes on behind ``node``, whose task has just ended well."""
    step.go_to(node.next)


def task_failed(
    step: Step, node: Node, task: OpenTask, status: TaskStatus, *, reason: str | None, output: Any = None, output_event: int = -1
) -> None:
    """An open task has ended badly: another attempt, or on without it, or the end of the execution. While the execution is paused,
    only that it has ended."""
    if step.is_paused:
        ended = step.close_task(task, status, output=output, output_event=output_event, reason=reason)
        step.held.append(HeldFailure(task, status, reason, ended))
        return
    can_retry = status.is_retriable and node.type.is_retried and task.attempt <= node.retry_limit
    total_ms = node.timeouts.total_ms
    elapsed_ms = step.now_ms - task.first_scheduled_ms
    is_over_budget = can_retry and total_ms > 0 and elapsed_ms >= total_ms
    if can_retry and not is_over_budget:
        step.close_task(task, status, output=output, output_event=output_event, reason=reason, is_retried=True)
        _note_failed(step, task.shown_ref, status)
        _retry(step, node, task, reason)
        return
    is_tolerated = (node.is_optional or node.is_permissive) and not is_over_budget
    shown = TaskStatus.COMPLETED_WITH_ERRORS if is_tolerated and node.is_optional else status
    ended = step.close_task(task, shown, output=output, output_event=output_event, reason=reason)
    if not node.type.is_segment:  # of which the branches that failed are known
        _note_failed(step, task.shown_ref, shown)
    _after_failure(step, node, ended, status, reason, is_tolerated=is_tolerated, over_budget_ms=elapsed_ms if is_over_budget else 0)


def resume_failure(step: Step, held: HeldFailure) -> None:
    """As ``task_failed``, of a task that has ended while the execution was paused."""
    task = replace(held.task, output_record=held.ended.output_record)
    step.open[task.ref] = task  # as it was, to be closed again
    task_failed(step, step.node_of(task), task, held.status, reason=held.reason)


def local_task_failed(step: Step, node: Node, task_input: Any, status: TaskStatus, reason: str, output: Any = None) -> None:
    """A task that failed in the step in which it began, for a cause that no retry can mend."""
    is_tolerated = node.is_optional or node.is_permissive
    shown = TaskStatus.COMPLETED_WITH_ERRORS if node.is_optional else status
    ended = step.local_task(node, shown, task_input, output, reason)
    _note_failed(step, step.shown_ref(node), shown)
    _after_failure(step, node, ended, status, reason, is_tolerated=is_tolerated)


def _note_failed(step: Step, ref: str, shown: TaskStatus) -> None:
    if shown in (TaskStatus.FAILED, TaskStatus.FAILED_WITH_TERMINAL_ERROR):
        note_failed_refs(step, [ref])


def note_failed_refs(step: Step, refs: Iterable[str]) -> None:
    """Adds the names of failed tasks to those that the execution shows."""
    for ref in refs:
        if ref not in step.failed_refs and len(step.failed_refs) < FAILED_REFS_MAX:
            step.failed_refs.append(ref)


def _after_failure(
    step: Step, node: Node, ended: Ended, status: TaskStatus, reason: str | None, *, is_tolerated: bool, over_budget_ms: int = 0
) -> None:
    task_id = step.task_id_at(ended.place)
    if is_tolerated:
        if not node.is_optional and len(step.tolerated) < _MAX_REASON_TASKS:  # more are not shown, and the head must not grow
            step.tolerated.append(Tolerated(node.ref, task_id, status.value, reason, ended.rerun))
        step.go_to(node.next)
        return
    outcome = _WORKFLOW_STATUS_OF[status]
    if node.type.is_segment:
        text = _shown(reason)  # which says it all
        task_id = (step.reader.payload(output_in(step.reader.record(ended.output_record), ended.number)) or {}).get("task") or task_id
    elif over_budget_ms:
        text = (
            f"Task {task_id}/{node.shown_name} exceeded total timeout of {node.timeouts.total_ms // 1000} seconds "
            f"(elapsed {over_budget_ms // 1000} seconds across all attempts). No further retries will be attempted."
        )
    else:
        text = f"Task {task_id} failed with status: {outcome.value} and reason: '{_shown(reason)}'"
    finish(step, outcome, text, failed=task_id)


def _retry(step: Step, node: Node, task: OpenTask, reason: str | None) -> None:
    """The next attempt: a new task of the same reference name, its input evaluated afresh."""
    failed_id = step.task_id_at(task.place)
    wait_s = retry.delay_s(node.retry, task.attempt)
    due_ms = step.now_ms + wait_s * 1000 + retry.jitter_ms(node.retry, failed_id, task.attempt)
    attempt = step.new_task(
        node,
        attempt=task.attempt + 1,
        first_ms=task.first_scheduled_ms,
        due_ms=due_ms if due_ms > step.now_ms else 0,
        delay_s=wait_s,
        callback_s=wait_s,
        task_name=task.task_name,
        domain=step.domain_of(node),
    )
    extra: dict[str, Any] = {"retried_task_id": failed_id}
    if reason is not None:
        extra["reason"] = reason  # Conductor carries it over to the new attempt
    node.type.again(step, node, task, attempt, extra)


def _shown(reason: str | None) -> str:
    return "null" if reason is None else reason  # as Conductor prints it


# --- the end of the execution


def complete(step: Step) -> None:
    """The flow has come to its end: COMPLETED, or FAILED when a permissive task had failed on the way."""
    if step.tolerated:
        texts = [f"Task {item.task_id} failed with status: {item.status} and reason: '{_shown(item.reason)}'" for item in step.tolerated]
        finish(step, WorkflowStatus.FAILED, ". ".join(texts))
    else:
        finish(step, WorkflowStatus.COMPLETED, None)


def finish(
    step: Step,
    status: WorkflowStatus,
    reason: str | None,
    *,
    failed: str | None = None,
    output: Any = None,
    is_failure_handled: bool = True,
    is_shown: bool = True,
) -> None:
    """Ends the execution. ``failed`` is the id of the task to blame, ``output`` what a TERMINATE task said, if one did.

    ``is_failure_handled``: the failure workflow runs unless ``status`` is COMPLETED; a user's terminate leaves it out.
    """
    if step.is_ending:
        return  # something beside it has ended it already
    _begin_beside(step)
    _cancel_open_tasks(step, is_shown=is_shown)
    if step.graph.is_segment and step.told is None and output is None:
        step.told = segments.told_failure(step.failed_refs, failed)
    step.output = assembled(_workflow_output(step) if output is None else output)
    step.end(status, reason)
    step.last = (WriteSummary(), *_undone(step), *lives.told(step, status))
    if status is not WorkflowStatus.COMPLETED and is_failure_handled:
        _handle_failure(step, failed)


def _begin_beside(step: Step) -> None:
    """A fork begins the first tasks of all branches and the join, before one of them that ends here and now can end the
    execution (recorded). No worker hears of those tasks: they are cancelled in this record, and only open ones are sent out."""
    step.is_ending = True
    while step.has_beside:
        begin_next(step)
    step.is_ending = False


def remove(step: Step) -> None:
    """Leaves a tombstone. What the execution left is deleted some time later (``purge``)."""
    _cancel_open_tasks(step)
    cut_short = lives.told(step, WorkflowStatus.TERMINATED) if step.is_running else ()
    step.end(WorkflowStatus.REMOVED, lives.REMOVED if cut_short else step.reason)
    step.last = (*_undone(step), *cut_short)
    lives.keep_output(step)


def purge_due_ms(step: Step) -> int:
    """When a removed execution is to be purged: once nobody lives any more who read an older head and may yet write behind
    it, since a record that is deleted can be written again. 0 when that is done, or not wanted."""
    is_wanted = step.status is WorkflowStatus.REMOVED and Purge() not in step.last
    return step.ended_ms + PURGE_AFTER_MS if is_wanted else 0


def purge(step: Step) -> None:
    """Orders the deletion of everything but the tombstone, and before that once more what may not have been done: a failure
    workflow is told of what is deleted then."""
    step.last = (*_undone(step), Purge())
    lives.keep_output(step)


def bury_again(step: Step) -> None:
    """A removed execution makes one more record: what it left before that is deleted again, if it was."""
    lives.keep_output(step)
    if Purge() in step.last:
        step.command(Purge())


def _undone(step: Step) -> tuple[Command, ...]:
    """Last commands of an end before this one. Whoever ended the execution then may have died before carrying them out."""
    return tuple(command for command in step.last if not isinstance(command, WriteSummary))


def _cancel_open_tasks(step: Step, *, is_shown: bool = False) -> None:
    for task in sorted(step.open.values(), key=lambda task: task.number):
        node = step.node_of(task)
        output = node.type.cut_short(step, node, task) if is_shown else None
        step.close_task(task, TaskStatus.CANCELED, output=output or None)


def _workflow_output(step: Step) -> Any:
    if step.graph.is_segment:
        return step.told
    if step.graph.outputs is not None:
        try:
            output = step.evaluate(step.graph.outputs, takes_parts=True)
            check_size(output, "the output")
            return output
        except PayloadTooLarge as error:
            return {"error": error.message}
    source = step.last_task
    if source is None:
        return {}
    return output_in(step.reader.record(source.output_record), source.number) or {}


def _handle_failure(step: Step, failed: str | None) -> None:
    found: FoundDefinition | NotStartable
    try:
        name = _failure_workflow_name(step)
    except PayloadTooLarge as error:  # the input that names it
        name = str(step.graph.definition["failureWorkflow"])
        found = NotStartable(error.message)
    else:
        if not name:
            return
        found = step.definition(DefinitionName(name, step.graph.definition.get("failureWorkflowVersion")))
    output = step.reader.part(step.output)
    if isinstance(found, NotStartable):
        shown = f"Error workflow {name} failed to start.  reason: {found.reason}"  # Conductor's words
    else:
        shown = ids.child_workflow_id(step.execution.workflow_id, step.draft.seq, "failure")
        start = StartFailureWorkflow(
            workflow_id=shown, definition=found.hash, name=found.name, version=found.version, failed_task_id=failed
        )
        step.last = (*step.last, start)
    step.output = assembled({**(output if isinstance(output, Mapping) else {"output": output}), FAILURE_WORKFLOW_KEY: shown})


def _failure_workflow_name(step: Step) -> str:
    """A literal name, or Conductor's own small language: the third part of ``$workflow.input.key`` is a key of the input."""
    text = str(step.graph.definition.get("failureWorkflow") or "")
    if not text.startswith("$"):
        return text
    parts = text.split(".")
    found = step.workflow_input().get(parts[2]) if len(parts) > 2 else None
    return found if isinstance(found, str) else ""


def scheduled_again(step: Step, node: Node, task: OpenTask, **changes: Any) -> OpenTask:
    """The same attempt goes back to its queue with ``changes``, in a new message that nobody has received yet."""
    step.return_permit(task)
    task = replace(task, status=TaskStatus.SCHEDULED, is_leased=False, sends=task.sends + 1, handed_back=(), **changes)
    return step.keep(node, step.enqueue(task))
