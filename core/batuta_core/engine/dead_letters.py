"""What the queues gave up. Nothing here vanishes: a poison task fails with a reason, an event is decided alone once more."""

from __future__ import annotations

from collections.abc import Sequence

from batuta_core.engine import timers
from batuta_core.engine.advance import advance_alone
from batuta_core.engine.ports import MAX_RECEIVES, Incoming, Outgoing, Ports
from batuta_core.model.error import NewerSchema
from batuta_core.model.event import TaskDeadLettered
from batuta_core.model.message import InboxMessage, NotOurs, TaskMessage, TimerMessage


def drain_tasks(ports: Ports, incoming: Sequence[Incoming]) -> list[str]:
    """Tells the executions whose task messages were given up. Returns the ids of the messages that must come again."""
    failed: list[str] = []
    outgoing: list[Outgoing] = []
    for received in incoming:
        try:
            message = TaskMessage.parse(received.text)
        except NewerSchema:
            failed.append(received.message_id)
            continue
        except NotOurs as error:
            ports.log.warning("message_not_ours", queue="task-dead-letters", message_id=received.message_id, error=str(error))
            continue
        event = TaskDeadLettered(place=message.place, op=received.message_id, receives=MAX_RECEIVES)
        text = InboxMessage(execution=message.execution, event=event).to_text(ports.signer)
        outgoing.append(Outgoing(text, group=str(message.execution), dedup=received.message_id))
    if outgoing:
        ports.queues.send(timers.inbox_queue(ports), outgoing)
    return failed


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
