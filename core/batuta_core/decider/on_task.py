"""What an event, or a missed deadline, means for an open task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from batuta_core.decider import outcome
from batuta_core.decider.step import Step
from batuta_core.decider.timeout import Deadline, missed
from batuta_core.decider.view import output_in
from batuta_core.model.definition import TimeoutPolicy
from batuta_core.model.event import (
    QueueMade,
    TaskDeadLettered,
    TaskEvent,
    TaskHandedBack,
    TaskHeartbeat,
    TaskLimited,
    TaskStarted,
    TaskUndeliverable,
    TaskUpdated,
)
from batuta_core.model.execution import REASON_MAX_CHARS, TaskStatus, WorkflowStatus
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import OpenTask

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node

# Five workers that died on the same attempt are no accident: the attempt fails, and the retry policy rules.
LOST_LEASES_MAX = 5
# SQS gives a message up after five receives, so no more of them can have been hand-backs; the rest is room for its copies.
_HAND_BACKS_MAX = 10


def apply(step: Step, event: TaskEvent, event_index: int) -> bool:
    """Whether the event did something. ``event_index`` is where it will stand in the record."""
    task = _open_at(step, event.place)
    if task is None:
        return False  # ended, or overtaken by another attempt: the first result of an attempt has won
    node = step.node_of(task)
    match event:
        case TaskUpdated():
            if _is_late(task, event.call) and (event.status is TaskStatus.IN_PROGRESS or node.type.system_queue):
                return False  # of a function of ours that is run twice the first result counts, IN_PROGRESS too (asyncComplete)
            _updated(step, node, task, event, event_index)
        case TaskStarted():
            if _is_late(task, event.call) or (task.is_leased and not event.is_leased):
                return False
            _started(step, node, task, event)
        case TaskHeartbeat():
            if task.status is not TaskStatus.IN_PROGRESS:
                return False
            step.change(task, {"updated_ms": step.now_ms})
            step.keep(node, replace(task, updated_ms=step.now_ms))
        case TaskHandedBack():
            if task.is_leased or _is_of_old_message(task, event.send) or event.op in task.handed_back:
                return False  # an HTTP worker has taken it since, or it has a new message, or the event is a repeat
            if event.is_gone:  # whoever received it first has died, or handed it back
                _dead_lettered(step, node, task, TaskDeadLettered(place=event.place, op=event.op, receives=1, send=event.send))
                return True
            if len(task.handed_back) == _HAND_BACKS_MAX:
                return False
            _handed_back(step, node, task, event.op)
        case TaskDeadLettered():
            if _is_of_old_message(task, event.send) or (node.type.system_queue and task.status is not TaskStatus.SCHEDULED):
                return False
            _dead_lettered(step, node, task, event)
        case QueueMade():
            if task.status is not TaskStatus.SCHEDULED or _is_of_old_message(task, event.send):
                return False
            outcome.scheduled_again(step, node, task, due_ms=task.due_ms)
        case TaskLimited():
            if task.status is not TaskStatus.SCHEDULED or task.gate or not task.sent_ms or _is_of_old_message(task, event.send):
                return False
            outcome.scheduled_again(step, node, task, due_ms=task.due_ms, gate=event.gate)
        case TaskUndeliverable():
            outcome.task_failed(step, node, task, TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason=event.reason)
        case _:
            assert_never(event)
    return True


def _open_at(step: Step, place: TaskPlace) -> OpenTask | None:
    return next((task for task in step.open.values() if task.place == place), None)


def _is_late(task: OpenTask, call: int) -> bool:
    """Whether a worker speaks of a call after which the task has been sent out again."""
    return 0 <= call < task.calls


def _is_of_old_message(task: OpenTask, send: int) -> bool:
    """Whether the event speaks of a message that another has replaced since, or is a repeat of the one which brought that about."""
    return 0 <= send < task.sends


def _started(step: Step, node: Node, task: OpenTask, event: TaskStarted) -> None:
    task = replace(
        task,
        status=TaskStatus.IN_PROGRESS,
        started_ms=task.started_ms or event.started_ms or step.now_ms,
        updated_ms=step.now_ms,
        callback_s=0,
        polls=task.polls + 1,
        worker_id=event.worker_id or "",
        is_leased=event.is_leased,
    )
    step.change(
        task,
        {
            "status": task.status,
            "started_ms": task.started_ms,
            "poll_count": task.polls,
            "worker_id": task.worker_id,
            "callback_after_s": 0,
        },
    )
    if not node.gate or node.definition.rate_limit:  # else the start says nothing to the gate
        step.return_permit(task, is_over=False)
    step.keep(node, task)


def _updated(step: Step, node: Node, task: OpenTask, event: TaskUpdated, event_index: int) -> None:
    if event.started_ms and task.status is TaskStatus.SCHEDULED:  # the SDK reports the beginning of a short task with its end
        task = replace(task, started_ms=task.started_ms or event.started_ms, polls=task.polls + 1)
    # By reference the worker is left as it is; a worker's own report overwrites it, with nothing too (Conductor).
    task = replace(task, worker_id=event.worker_id or ("" if not event.is_merged else task.worker_id))
    reason = None if event.reason is None else event.reason[:REASON_MAX_CHARS]
    output, index = (_merged(step, task, event), -1) if event.is_merged else (None, event_index)
    if event.output is None and not event.is_merged:
        output, index = {}, -1
    if event.status is TaskStatus.IN_PROGRESS:
        _in_progress(step, node, task, event, reason, output, index)
    elif event.status is TaskStatus.COMPLETED:
        has_old_reason = (task.attempt > 1 or task.output_record > 0) and not node.type.system_queue  # there it stays (recorded)
        step.close_task(task, TaskStatus.COMPLETED, output=output, output_event=index, reason=reason or ("" if has_old_reason else None))
        outcome.task_succeeded(step, node)
    else:
        outcome.task_failed(step, node, task, event.status, reason=reason, output=output, output_event=index)


def _in_progress(step: Step, node: Node, task: OpenTask, event: TaskUpdated, reason: str | None, output: Any, output_event: int) -> None:
    """The worker's function wants to be called again; other types stay as they are, with another output."""
    callback_s = task.callback_s if event.callback_after_s is None else event.callback_after_s
    task = replace(task, updated_ms=step.now_ms, callback_s=callback_s, output_record=step.draft.seq, calls=task.calls + 1)
    if node.type.is_worker:
        task = outcome.scheduled_again(step, node, task, due_ms=step.now_ms + callback_s * 1000 if callback_s else 0)
    else:
        task = step.keep(node, replace(task, status=TaskStatus.IN_PROGRESS))
    fields: dict[str, Any] = {"status": task.status, "callback_after_s": callback_s, "poll_count": task.polls, "worker_id": task.worker_id}
    if task.started_ms:
        fields["started_ms"] = task.started_ms
    fields["reason"] = reason
    step.change(task, fields, output=output, output_event=output_event)


def _merged(step: Step, task: OpenTask, event: TaskUpdated) -> Mapping[str, Any]:
    old = step.reader.payload(output_in(step.reader.record(task.output_record), task.number)) if task.output_record else {}
    return {**(old or {}), **(step.reader.payload(event.output) or {})}


def _handed_back(step: Step, node: Node, task: OpenTask, op: str) -> None:
    """The message is on its queue again. SQS counts the receive all the same, so we note what to take off."""
    task = replace(task, status=TaskStatus.SCHEDULED, handed_back=(*task.handed_back, op))
    step.change(task, {"status": TaskStatus.SCHEDULED})
    step.keep(node, task)


def _dead_lettered(step: Step, node: Node, task: OpenTask, event: TaskDeadLettered) -> None:
    """Its message is gone. Receives that were no hand-backs were leases that nobody renewed: workers that died."""
    if node.type.system_queue and not node.type.is_repeatable:  # what it did nobody knows, so only the retry policy has it done again
        outcome.task_failed(
            step, node, task, TaskStatus.FAILED, reason=f"the {node.type.system_queue} function died while it ran this attempt"
        )
        return
    lost = task.lost + (1 if node.type.system_queue else max(event.receives - len(task.handed_back), 0))
    if lost >= LOST_LEASES_MAX:
        reason = f"its workers died: {lost} leases were lost by this attempt"
        if node.type.system_queue:
            reason = f"the {node.type.system_queue} function gave this attempt up {lost} times; its log says why"
        outcome.task_failed(step, node, task, TaskStatus.FAILED, reason=reason)
        return
    again = outcome.scheduled_again(step, node, task, lost=lost, due_ms=0)
    step.change(again, {"status": TaskStatus.SCHEDULED})


# --- deadlines


def miss(step: Step, task: OpenTask, *, is_asked: bool) -> bool:
    """Acts on the most serious deadline that the task has passed. Whether there was one."""
    node = step.node_of(task)
    passed = missed(task, node, step.now_ms, is_asked=is_asked)
    if not passed:
        return False
    match passed[0]:
        case Deadline.TOTAL | Deadline.TASK | Deadline.POLL as kind:
            _timed_out(step, node, task, _timeout_reason(step, node, task, kind))
        case Deadline.RESPONSE:
            seconds = node.timeouts.response_ms // 1000
            task_id = step.task_id_at(task.place)
            reason = f"responseTimeout: {seconds} exceeded for the taskId: {task_id} with Task Definition: {node.definition.name}"
            outcome.task_failed(step, node, task, TaskStatus.TIMED_OUT, reason=reason)  # whatever the timeout policy says
        case Deadline.LEASE:
            again = outcome.scheduled_again(step, node, task, due_ms=0)
            step.change(again, {"status": TaskStatus.SCHEDULED})
        case Deadline.DELIVERY:
            node.type.deliver(step, node, task)
        case Deadline.DUE:
            node.type.on_due(step, node, task)
    return True


def _timed_out(step: Step, node: Node, task: OpenTask, reason: str) -> None:
    if node.timeouts.policy is TimeoutPolicy.TIME_OUT_WF:  # at once: no retries, and optional does not help
        ended = step.close_task(task, TaskStatus.TIMED_OUT, reason=reason)
        outcome.finish(step, WorkflowStatus.TIMED_OUT, reason, failed=step.task_id_at(ended.place))
    else:
        outcome.task_failed(step, node, task, TaskStatus.TIMED_OUT, reason=reason)


def _timeout_reason(step: Step, node: Node, task: OpenTask, kind: Deadline) -> str:
    limits = node.timeouts
    what, configured, begin, limit_ms = {
        Deadline.TOTAL: ("Task exceeded its total timeout", "Total timeout", task.first_scheduled_ms, limits.total_ms),
        Deadline.TASK: ("Task timed out", "Timeout", task.started_ms + task.delay_s * 1000, limits.task_ms),
        Deadline.POLL: ("Task poll timed out", "Poll timeout", task.scheduled_ms + task.delay_s * 1000, limits.poll_ms),
    }[kind]
    after = (step.now_ms - begin) // 1000
    configured = f"{configured} configured as {limit_ms // 1000} seconds"
    return f"{what} after {after} seconds. {configured}. Timeout policy configured to {limits.policy.value}"
