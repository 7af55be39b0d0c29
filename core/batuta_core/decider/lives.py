"""Parents and children: what each keeps in its head of the other, and for how long.

Between two executions nothing is ordered, and every message may come twice, late or not at all. So:

* A child runs in *lives* (until it is retried or restarted it has one), each named by the child's record that began it. Stops and
  ends name the life that they speak of. A child ignores stops of an earlier life than its own, a parent ends of an earlier
  life than the one it knows.
* A stop stays in the parent's head, whatever becomes of the parent, until that life's end is heard, or that a later one has begun.
  Hearing it makes a record, in an ended execution too.
* A child that a user retries, restarts or reruns tells its parent, for as long as that life runs; the end of a life of which the parent
  has not heard says the same. What the parent makes of it: ``revival.py``.
* An ended child keeps its ``TellParent`` in the head for good. A start or a stop that finds it ended is answered with it again.
* A stop that finds no child begins the child's journal, ended: a start that comes later finds that.
* Nobody waits for longer than SQS remembers: after 13 days what was asked is asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batuta_core.decider.timeout import RESEND_MS
from batuta_core.model import ids
from batuta_core.model.command import Command, StopChild, TellParent, TellRevival
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Head, OpenTask

if TYPE_CHECKING:
    from batuta_core.decider.step import Step

REMOVED = "The execution was removed."


def child_id(workflow_id: str, place: TaskPlace) -> str:
    """The execution that runs for the task at ``place`` of ``workflow_id``, the same at every repeat of its start, and another after a
    rerun."""
    return ids.child_workflow_id(workflow_id, place.record, f"task-{place.nth}" + (f"-{place.rerun}" if place.rerun else ""))


# --- the parent's side


def stop(step: Step, task: OpenTask) -> None:
    """``task`` is over before its child's end was heard."""
    order_stop(step, StopChild(place=task.place, definition=task.child, life=task.life))


def order_stop(step: Step, command: StopChild) -> None:
    """Tells the child to end, until its end is heard."""
    step.command(command)
    step.stops_ms = step.stops_ms if step.stops else step.now_ms
    step.stops = (*step.stops, command)


def hear(step: Step, place: TaskPlace, life: int) -> bool:
    """The end of a life of the child of ``place``. Whether a stop waited for it."""
    left = tuple(stop for stop in step.stops if stop.place != place or stop.life > life)
    is_heard = len(left) < len(step.stops)
    step.stops = left
    return is_heard


def hear_revival(step: Step, place: TaskPlace, life: int) -> bool:
    """Another life of the child of ``place`` has begun, so those before it have ended. Whether a stop waited for that."""
    return hear(step, place, life - 1)


def stops_due_ms(step: Step) -> int:
    """When the stops are to be sent again; 0 when none waits."""
    return step.stops_ms + RESEND_MS if step.stops else 0


def stop_again(step: Step) -> bool:
    """Sends the stops again when that is due. Whether it was."""
    if not 0 < stops_due_ms(step) <= step.now_ms:
        return False
    for command in step.stops:
        step.command(command)
    step.stops_ms = step.now_ms
    return True


def stop_reason(head: Head) -> str:
    """What a child is told, in Conductor's words where the parent has ended."""
    if not head.status.is_terminal:
        return "The task of the parent workflow has ended."
    if head.status is WorkflowStatus.REMOVED:
        return "Parent workflow has been removed."
    if head.reason:
        return f"Parent workflow has been terminated with reason: {head.reason}"
    return f"Parent workflow has been terminated with status {head.status.value}"


# --- the child's side


def told(step: Step, status: WorkflowStatus) -> tuple[Command, ...]:
    """The last command by which a child tells that this life has ended so. Only a life's first end counts."""
    life = life_of(step.before)
    if step.before.about.parent is None or told_of(step.last, life):
        return ()
    return (TellParent(status=status, record=step.draft.seq, life=life, seen=step.before.seen),)


def revival(head: Head) -> tuple[Command, ...]:
    """The command by which a child tells its parent of a life that a user began."""
    is_told = head.about.parent is not None and head.life > 0 and not head.status.is_terminal
    return (TellRevival(life=head.life),) if is_told else ()


def life_of(head: Head) -> int:
    """The life that an execution is in, or was in last."""
    return head.life or 1


def told_of(last: tuple[Command, ...], life: int) -> TellParent | None:
    """What is told of that life."""
    return next((command for command in last if isinstance(command, TellParent) and command.life == life), None)


def keep_output(step: Step) -> None:
    """A tombstone carries the output for as long as somebody may ask for it: the records before it go."""
    seq = step.before.output_record
    if step.output is not None or not seq or not any(isinstance(command, TellParent) for command in step.last):
        return
    step.output = step.known_record(seq).output
