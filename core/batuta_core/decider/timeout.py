"""Deadlines of an open task, and which of them a moment has passed."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from batuta_core.model.definition import TimeoutPolicy
from batuta_core.model.execution import TaskStatus
from batuta_core.model.record import OpenTask

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node

# A message in SQS lives 14 days at most (quota "message retention"); a day earlier it is sent again.
RESEND_MS = 13 * 24 * 3600 * 1000

# SQS delays a message by 15 minutes at most (quota "delay"); what is due later waits for a timer.
DELAY_MAX_MS = 15 * 60 * 1000

# What a function of ours was asked to run and nobody has said anything of. Lambda keeps an asynchronous invocation for six hours at
# most (quota "maximum age of an asynchronous event") and then tells the dead letters; an hour later the request was lost.
SYSTEM_RESEND_MS = 7 * 3600 * 1000

# Conductor's default responseTimeoutSeconds: the lease of a task that an HTTP poll took and that has no response timeout.
LEASE_MS = 3600 * 1000


# An attempt whose retry delay ends after the total budget is still made, and its result decides (recorded). One that is
# not answered ends this much later: Conductor looks at a workflow every 30 s.
LATE_ATTEMPT_MS = 30 * 1000

# How often Conductor looks at an execution in which no worker is at work (conductor.app.workflowOffsetTimeout).
LOOK_MS = 30 * 1000


class Deadline(StrEnum):
    """What a deadline means, in the order in which several that are due together are looked at."""

    TOTAL = "total"
    TASK = "task"
    POLL = "poll"
    RESPONSE = "response"
    LEASE = "lease"  # back to the queue
    DELIVERY = "delivery"  # onto the queue: its delay was too long for SQS, or its message gets too old
    DUE = "due"  # the task's own moment: a WAIT ends


class Due(NamedTuple):
    at_ms: int
    kind: Deadline


def delay_max_ms(node: Node, gate: str) -> int:
    """How long the queue of the node's tasks can hold a message back. Lambda's own queue, which feeds our functions, cannot at all; and
    a task that waits for its time holds no permit of a ``gate``."""
    return 0 if node.type.system_queue or gate else DELAY_MAX_MS


def deadlines(task: OpenTask, node: Node, *, is_asked: bool = False) -> Iterator[Due]:
    """All deadlines of a task as it stands. Those that would only be noted (ALERT_ONLY) are none. ``is_asked``: a user wants limits
    looked at that otherwise would be somewhat later."""
    limits = node.timeouts
    is_system = bool(node.type.system_queue)
    has_queue = node.type.is_worker or is_system
    late_ms = 0 if is_asked else node.type.limit_late_ms
    if not has_queue:
        if task.due_ms:
            yield Due(task.due_ms, Deadline.DUE)
        if task.child:
            yield Due(task.sent_ms + RESEND_MS, Deadline.DELIVERY)
        if not node.type.is_limited:
            return
    if limits.policy is not TimeoutPolicy.ALERT_ONLY:
        if limits.total_ms:
            yield Due(_total_at_ms(task, limits.total_ms) + late_ms, Deadline.TOTAL)
        if limits.task_ms and task.started_ms:
            yield Due(task.started_ms + task.delay_s * 1000 + limits.task_ms + late_ms, Deadline.TASK)
        if limits.poll_ms and task.status is TaskStatus.SCHEDULED and has_queue:
            yield Due(task.scheduled_ms + (task.delay_s + task.callback_s) * 1000 + limits.poll_ms, Deadline.POLL)
    if not has_queue:
        return
    if task.status is TaskStatus.SCHEDULED:
        resend_ms = SYSTEM_RESEND_MS if is_system else RESEND_MS
        yield Due(task.sent_ms + resend_ms if task.sent_ms else task.due_ms - delay_max_ms(node, task.gate), Deadline.DELIVERY)
    elif is_system:
        return  # asyncComplete: what it began is completed from outside, whenever that is
    elif limits.response_ms:
        yield Due(task.updated_ms + task.callback_s * 1000 + limits.response_ms, Deadline.RESPONSE)
    elif task.is_leased:
        yield Due(task.updated_ms + LEASE_MS, Deadline.LEASE)
    else:
        yield Due(task.sent_ms + RESEND_MS, Deadline.DELIVERY)


def _total_at_ms(task: OpenTask, total_ms: int) -> int:
    at_ms = task.first_scheduled_ms + total_ms
    return task.due_ms + LATE_ATTEMPT_MS if task.due_ms > at_ms else at_ms


def earliest(task: OpenTask, node: Node) -> int:
    """Epoch ms of the task's first deadline; 0 when it has none."""
    return min((due.at_ms for due in deadlines(task, node)), default=0)


def missed(task: OpenTask, node: Node, now_ms: int, *, is_asked: bool = False) -> list[Deadline]:
    """The deadlines that have passed, the most serious first."""
    order = list(Deadline)
    return sorted((due.kind for due in deadlines(task, node, is_asked=is_asked) if due.at_ms <= now_ms), key=order.index)
