"""What the queues gave up. Nothing here vanishes: a poison task fails with a reason, an event is decided alone once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from batuta_core.engine import timers
from batuta_core.engine.advance import advance_alone
from batuta_core.engine.ports import MAX_RECEIVES, Incoming, Outgoing, Ports
from batuta_core.model.error import NewerSchema
from batuta_core.model.event import TaskDeadLettered
from batuta_core.model.message import InboxMessage, NotOurs, TaskMessage, TimerMessage, batched_texts
from batuta_core.model.names import resource_name

_BATCH_MAX = 10
_BATCHES_MAX = 20  # of a queue in one run, some seconds' work; the others follow a minute later


def sweep(ports: Ports) -> int:
    """Deals with what lies there; to be called once a minute. Returns how many it dealt with.

    These queues are empty but for accidents, and having AWS poll one costs as much in a month as a million requests.
    """
    queues: Sequence[tuple[str, Callable[[Ports, Sequence[Incoming]], list[str]]]] = (
        (resource_name(ports.stage, "dead-letters.fifo"), drain),
        (resource_name(ports.stage, "dead-letters"), drain),
        (resource_name(ports.stage, "task-dead-letters"), drain_tasks),
    )
    done = 0
    for queue, work in queues:
        try:
            done += _sweep_queue(ports, queue, work)
        except Exception as error:  # whatever it is, it comes again; the other queues must not wait for this one
            ports.log.failed("sweep_failed", error, queue=queue)
    return done


def _sweep_queue(ports: Ports, queue: str, work: Callable[[Ports, Sequence[Incoming]], list[str]]) -> int:
    count = 0
    for _ in range(_BATCHES_MAX):
        batch = ports.queues.receive(queue, _BATCH_MAX, 0)
        if not batch:
            break
        ports.log.warning("dead_letters", queue=queue, messages=len(batch))
        failed = set(work(ports, batch))
        done = [received.receipt for received in batch if received.message_id not in failed]
        if done:
            ports.queues.delete(queue, done)
        count += len(done)
    return count


def drain_tasks(ports: Ports, incoming: Sequence[Incoming]) -> list[str]:
    """Tells the executions whose task messages were given up. Returns the ids of the messages that must come again."""
    failed: list[str] = []
    outgoing: list[Outgoing] = []
    for received, text, suffix in _task_texts(incoming):
        try:
            message = TaskMessage.parse(text)
        except NewerSchema:
            failed.append(received.message_id)
            continue
        except NotOurs as error:
            ports.log.warning("message_not_ours", queue="task-dead-letters", message_id=received.message_id, error=str(error))
            continue
        if not ports.signer.is_task_token(message.token, message.execution, message.place, message.attempt):
            ports.log.warning("message_refused", queue="task-dead-letters", message_id=received.message_id, error="no valid token")
            continue
        op = received.message_id + suffix
        event = TaskDeadLettered(place=message.place, op=op, receives=MAX_RECEIVES, send=message.send)
        text = InboxMessage(execution=message.execution, event=event).to_text(ports.signer)
        outgoing.append(Outgoing(text, group=str(message.execution), dedup=op))
    if outgoing:
        ports.queues.send(timers.inbox_queue(ports), outgoing)
    return failed


def _task_texts(incoming: Sequence[Incoming]) -> Iterator[tuple[Incoming, str, str]]:
    """Each task message, with what tells it from the others of its dead letter: Lambda gives up a whole event of a function that runs
    tasks, which holds several messages."""
    for received in incoming:
        bodies = batched_texts(received.text)
        if bodies is None:
            yield received, received.text, ""
        else:
            yield from ((received, text, f"-{place}") for place, text in enumerate(bodies))


def drain(ports: Ports, incoming: Sequence[Incoming]) -> list[str]:
    """Deals, one by one, with what the decider's and the timers' queues gave up. Returns the ids that must come again."""
    failed: list[str] = []
    for received in incoming:
        try:
            TimerMessage.parse(received.text)
        except (NotOurs, NewerSchema):
            is_done = advance_alone(ports, received)
        else:
            is_done = not timers.fire(ports, [received])
        if not is_done:
            failed.append(received.message_id)
    return failed
